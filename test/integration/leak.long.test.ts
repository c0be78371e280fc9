import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { capture } from '../support/capture.ts'
import { PLANTS, aDay, claims, isFound, reopen } from '../support/leak/claims.ts'
import type { Day } from '../support/leak/claims.ts'
import { forbidden, reachesOf } from '../support/leak/outgoing.ts'
import type { Reach } from '../support/leak/outgoing.ts'
import { readRecording } from '../support/leak/recording.ts'
import { startStranger } from '../support/leak/stranger.ts'
import type { Stranger } from '../support/leak/stranger.ts'
import { VAULT, buildTown } from '../support/leak/town.ts'
import type { Town } from '../support/leak/town.ts'
import { workInTown } from '../support/leak/traffic.ts'
import type { Traffic } from '../support/leak/traffic.ts'
import { portOf, startWatchers, toldIn } from '../support/leak/watchers.ts'
import type { Watchers } from '../support/leak/watchers.ts'
import { containing } from '../support/like.ts'
import { describeWithNetns, newMachine, newSwitch } from '../support/netns.ts'
import type { Machine } from '../support/netns.ts'

/** How long the node is watched at work. */
const WORK_MS = 5 * 60_000
/** Between two visits of the strangers: who comes all the time keeps the node from its work. */
const PAUSE_MS = 20_000
const ROUNDS_BETWEEN_CHANGES = 4
/** What a program might call that phones home, or looks for a gateway, a router or a name server. */
const SINK_PORTS = [53, 80, 443, 853, 4001, 5001, 8080]
/** What a machine opens, all that is no TCP, and names that are asked for: not what others knock at it with. */
const beginningsOf = ({ address }: Machine): string =>
  `not tcp or tcp port 53 or (tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn and src host ${address})`
const MDNS = '224.0.0.251:5353'

describeWithNetns('a node in a public and a private swarm, on a network with strangers', ['tcpdump'], () => {
  let machines: Readonly<Record<Role, Machine>>
  let town: Town
  let day: Day
  let world: Stranger
  let reaches: readonly Reach[]
  let ports: readonly number[]

  beforeAll(async () => {
    machines = await plugged()
    const packets = await capture(machines.node, 'any', beginningsOf(machines.node))
    world = await outsideWorld(machines.world)
    town = await buildTown({ ...machines, psk: true, args: ['--mdns'] })
    const watchers = await startWatchers(town, machines)
    for (const each of ['curious', 'knowing'] as const) {
      const tags = ['_services._dns-sd._udp.local', '_ggen._udp.local', '_p2p._udp.local']
      await watchers[each].mdns(machines[each].address, tags)
    }
    day = await aDay(town, watchers, async () => {
      ports = await watchers.curious.knock(machines.node.address, ALL_PORTS)
      return await watchedWork(town, watchers)
    })
    reaches = reachesOf(await packets.stop(), new Set([machines.node.address, '127.0.0.1']))
  }, WORK_MS + 600_000)

  afterAll(async () => {
    await day?.watchers.end()
    await world?.end()
  })

  claims(() => day)

  const neighbours = (): readonly string[] => {
    const { friend, member, former, curious, knowing } = machines
    return [friend, member, former, curious, knowing].map(({ address }) => address)
  }

  test('it has no door but the two that strangers were at', async () => {
    expect(ports).toEqual([portOf(town.publicDoor), portOf(town.privateDoor)].toSorted((a, b) => a - b))
  })

  test('nothing leaves it but to its neighbours and to the local network, and it asks the DNS for nothing', async () => {
    const { friend } = machines
    expect(forbidden(reaches, { to: [...neighbours(), MDNS] })).toEqual([])
    // A capture without what must be there would prove nothing.
    expect(reaches.some(({ kind, to }) => kind === 'tcp' && to.startsWith(friend.address))).toBe(true)
    expect((await readRecording(world.recording)).map(({ channel }) => channel)).toEqual([])
  })

  describe('a leak that is planted is found', () => {
    beforeAll(async () => {
      await reopen(town)
    }, 60_000)

    afterAll(async () => {
      for (const { daemon } of [town.node, town.friend]) await daemon.stop('SIGKILL')
    })

    test('on the cable', async () => {
      const { node, world: outside } = machines
      const packets = await capture(node, 'any', beginningsOf(node))
      const { daemon } = town.node
      await daemon.plant({ plant: 'dial', host: '198.51.100.7', port: 4001 })
      await expect.poll(async () => await daemon.outgoing()).toContain('tcp 198.51.100.7:4001')
      await daemon.plant({ plant: 'dns', name: `${VAULT}.example` })
      await expect
        .poll(async () => (await readRecording(world.recording)).map(({ channel }) => channel))
        .toContain('sink dns')
      await daemon.plant({ plant: 'dial', host: node.address.replace(/\d+$/, '200'), port: 1 })
      await expect.poll(async () => (await daemon.outgoing()).length).toBeGreaterThan(2)
      const found = forbidden(reachesOf(await packets.stop(), new Set([node.address])), { to: [...neighbours(), MDNS] })
      expect(found.join()).toContain('tcp 198.51.100.7:4001')
      expect(found.join()).toContain(`dns ${VAULT}.example`)
      expect(found.join()).toContain(`udp ${outside.address}:53`)
      expect(found.join()).toContain(`arp ${node.address.replace(/\d+$/, '200')}`)
    }, 60_000)

    test('on the local network', async () => {
      const since = Date.now()
      await town.node.daemon.plant({ plant: 'mdns', text: `here is ${VAULT}` })
      const heard = async () => await toldIn(day.things, [day.watchers.curious.recording], { since })
      await expect.poll(heard, { timeout: 10_000 }).toContainEqual(containing('on mdns '))
    }, 30_000)

    test('behind a port', async () => {
      const since = Date.now()
      const { address } = machines.node
      await town.node.daemon.plant({ plant: 'page', host: address, port: 8081, text: `here is ${VAULT}` })
      const { curious } = day.watchers
      await expect
        .poll(async () => await curious.knock(address, ALL_PORTS.slice(8000, 8200)), { timeout: 60_000 })
        .toContain(8081)
      expect(await toldIn(day.things, [curious.recording], { since })).toContainEqual(containing(':8081'))
    }, 90_000)

    test.each(PLANTS)(
      '%s',
      async (_, order) => {
        expect(await isFound(day, order(day))).not.toEqual([])
      },
      90_000
    )
  })
})

const ALL_PORTS = Array.from({ length: 65_535 }, (_, index) => index + 1)

const ROLES = ['node', 'friend', 'member', 'former', 'curious', 'knowing', 'world'] as const
type Role = (typeof ROLES)[number]

/** All on one switch; whatever is not there goes to the world, which takes everything. */
async function plugged(): Promise<Readonly<Record<Role, Machine>>> {
  const lan = await newSwitch()
  const entries: [Role, Machine][] = []
  for (const [index, role] of ROLES.entries()) {
    const machine = await newMachine(role)
    await machine.plug(lan, index + 1)
    entries.push([role, machine])
  }
  const machines = Object.fromEntries(entries) as Record<Role, Machine>
  const { world, ...others } = machines
  for (const machine of Object.values(others)) {
    await machine.routeBy(world.address)
    await machine.resolveAt(world.address)
  }
  return machines
}

/** Every address that is nobody's is the world's. */
async function outsideWorld(world: Machine): Promise<Stranger> {
  await world.run('ip', 'route', 'add', 'local', 'default', 'dev', 'lo', 'table', 'main')
  const stranger = await startStranger('world', world.prefix)
  await stranger.sink(world.address, SINK_PORTS)
  return stranger
}

async function watchedWork(town: Town, watchers: Watchers): Promise<Traffic> {
  const untilMs = Date.now() + WORK_MS
  let isOver = false
  const looking = (async () => {
    while (!isOver) {
      await watchers.visit()
      await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
    }
  })()
  try {
    return await workInTown(town, { untilMs, every: ROUNDS_BETWEEN_CHANGES })
  } finally {
    isOver = true
    await looking
  }
}
