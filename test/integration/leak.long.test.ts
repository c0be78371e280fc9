import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { capture } from '../support/capture.ts'
import { aDay, claims } from '../support/leak/claims.ts'
import type { Day } from '../support/leak/claims.ts'
import { forbidden, reachesOf } from '../support/leak/outgoing.ts'
import type { Reach } from '../support/leak/outgoing.ts'
import { readRecording } from '../support/leak/recording.ts'
import { startStranger } from '../support/leak/stranger.ts'
import type { Stranger } from '../support/leak/stranger.ts'
import { buildTown } from '../support/leak/town.ts'
import type { Town } from '../support/leak/town.ts'
import { workInTown } from '../support/leak/traffic.ts'
import type { Traffic } from '../support/leak/traffic.ts'
import { startWatchers } from '../support/leak/watchers.ts'
import type { Watchers } from '../support/leak/watchers.ts'
import { describeWithNetns, newMachine, newSwitch } from '../support/netns.ts'
import type { Machine } from '../support/netns.ts'

/** How long the node is watched at work. */
const WORK_MS = 5 * 60_000
/** Between two visits of the strangers. */
const PAUSE_MS = 20_000
const ROUNDS_BETWEEN_CHANGES = 4
/** What a program might call that phones home, or looks for a gateway, a router or a name server. */
const SINK_PORTS = [53, 80, 443, 853, 4001, 5001, 8080]
const MDNS = '224.0.0.251:5353'

describeWithNetns('a node in a public and a private swarm, on a network with strangers', ['tcpdump'], () => {
  let machines: Readonly<Record<Role, Machine>>
  let town: Town
  let day: Day
  let world: Stranger
  let reaches: readonly Reach[]

  beforeAll(async () => {
    machines = await plugged()
    const packets = await capture(machines.node, 'any')
    world = await outsideWorld(machines.world)
    town = await buildTown({ ...machines, args: ['--mdns'] })
    const watchers = await startWatchers(town, machines)
    for (const each of ['curious', 'knowing'] as const) {
      const tags = ['_services._dns-sd._udp.local', '_ggen._udp.local', '_p2p._udp.local']
      await watchers[each].mdns(machines[each].address, tags)
    }
    day = await aDay(town, watchers, () => watchedWork(town, watchers))
    reaches = reachesOf(await packets.stop(), new Set([machines.node.address, '127.0.0.1']))
  }, WORK_MS + 300_000)

  afterAll(async () => {
    await day?.watchers.end()
    await world?.end()
  })

  claims(() => day)

  test('nothing leaves it but to its neighbours and to the local network, and it asks the DNS for nothing', async () => {
    const { friend, member, former, curious, knowing } = machines
    const neighbours = [friend, member, former, curious, knowing].map(({ address }) => address)
    expect(forbidden(reaches, { to: [...neighbours, MDNS] })).toEqual([])
    // A capture without what must be there would prove nothing.
    expect(reaches.some(({ kind, to }) => kind === 'tcp' && to.startsWith(friend.address))).toBe(true)
    expect((await readRecording(world.recording)).map(({ channel }) => channel)).toEqual([])
  })
})

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
