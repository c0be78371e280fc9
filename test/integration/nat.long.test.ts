import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { capture } from '../support/capture.ts'
import type { Packet } from '../support/capture.ts'
import { caughtUp } from '../support/daemon.ts'
import type { Daemon } from '../support/daemon.ts'
import { CAN_MASQUERADE, describeWithNetns, newMachine, newSwitch } from '../support/netns.ts'
import type { Machine, Switch } from '../support/netns.ts'
import { packageFolder } from '../support/package-folder.ts'
import { tempDir } from '../support/temp-dir.ts'

/** A machine in a site of its own: it reaches the internet through its router, and nobody reaches it. */
interface Site {
  readonly machine: Machine
  /** What the internet sees of it. */
  readonly outside: string
}

const HOW = CAN_MASQUERADE
  ? 'behind a router each that translates addresses and lets in nothing but answers'
  : 'without a route to each other (this kernel translates no addresses)'

/** Behind a router with masquerade; or, where that cannot be had, on a network that only the relay is on as well. */
async function site(label: string, internet: Switch, host: number, relay: Machine): Promise<Site> {
  const lan = await newSwitch()
  const machine = await newMachine(label)
  await machine.plug(lan, 2)
  if (!CAN_MASQUERADE) {
    await relay.plug(lan, 1)
    return { machine, outside: machine.address }
  }
  const router = await newMachine(`router of ${label}`)
  await router.plug(lan, 1)
  const outside = await router.plug(internet, host)
  await machine.routeBy(router.address)
  await router.masquerade(outside)
  return { machine, outside: outside.address }
}

async function relayedAddress({ client, peerId }: Daemon, relay: Daemon): Promise<string> {
  const found = async (): Promise<string | undefined> =>
    (await client.call('status', {})).addresses.find(address => address.includes(`/p2p/${relay.peerId}/p2p-circuit`))
  await expect.poll(found, { timeout: 30_000 }).toBeDefined()
  return (await found())?.replace(/(?:\/p2p\/[^/]+)?$/, `/p2p/${peerId}`) ?? ''
}

const ends = ({ from, to }: Packet): string => `${from} ${to}`

describeWithNetns(`two nodes ${HOW}`, ['tcpdump'], () => {
  test('install from each other through a relay that follows nothing and holds nothing', async () => {
    const internet = await newSwitch('11.0')
    const middle = await newMachine('relay')
    await middle.plug(internet, 1)
    const [one, two] = [await site('one', internet, 11, middle), await site('two', internet, 12, middle)]
    const relay = await middle.startDaemon({ args: ['--relay'] })
    const recording = await capture(middle)
    const start = async ({ machine }: Site): Promise<Daemon> =>
      await machine.startDaemon({ listen: ['/ip4/0.0.0.0/tcp/4917'], args: ['--bootstrap', relay.address] })
    const [a, b] = await Promise.all([start(one), start(two)])

    const publish = async (daemon: Daemon, name: string): Promise<string> => {
      const { id } = await daemon.client.call('registryCreate', { name })
      const files = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`data/${i}.bin`, randomBytes(256 * 1024)]))
      await daemon.client.call('publish', {
        folder: await packageFolder({ name: `tool-${name}`, files }),
        registry: id
      })
      return id
    }
    const [ofA, ofB] = [await publish(a, 'east'), await publish(b, 'west')]
    const fetch = async (daemon: Daemon, from: Daemon, registry: string, name: string) => {
      const peer = await relayedAddress(from, relay)
      await daemon.client.call('registryAdd', { id: registry, alias: name, peer, isDefault: false, singleSource: true })
      await caughtUp(from, daemon, registry)
      const references = [`${name}:tool-${name}`]
      return await daemon.client.call('install', { references, project: await tempDir('project'), force: false })
    }
    const eastward = await fetch(b, a, ofA, 'east')
    const westward = await fetch(a, b, ofB, 'west')
    expect(eastward.installed.map(({ from }) => from[0])).toEqual([a.peerId])
    expect(westward.installed.map(({ from }) => from[0])).toEqual([b.peerId])

    // The relay saw it all go by, and its own store none of it.
    const packets = await recording.stop()
    const seen = new Set(packets.filter(({ kind }) => kind === 'tcp').map(ends))
    expect([...seen].filter(pair => !pair.includes(middle.address) && CAN_MASQUERADE)).toEqual([])
    const bytes = packets.reduce((sum, { payload }) => sum + payload.length, 0)
    expect(bytes).toBeGreaterThan(4 * 2 * 2 ** 20)
    expect((await relay.client.call('status', {})).registries).toEqual([])
    await Promise.all([a.stop(), b.stop()])
    await relay.stop()
  }, 180_000)

  test.skipIf(!CAN_MASQUERADE)(
    'a relayed connection becomes a direct one when one side has an address of its own',
    async () => {
      const internet = await newSwitch('11.0')
      const [middle, open] = [await newMachine('relay'), await newMachine('open')]
      await middle.plug(internet, 1)
      await open.plug(internet, 2)
      const { machine } = await site('inside', internet, 11, middle)
      const relay = await middle.startDaemon({ args: ['--relay'] })
      const inside = await machine.startDaemon({ args: ['--bootstrap', relay.address] })
      const outside = await open.startDaemon()
      await outside.client.call('connect', { address: await relayedAddress(inside, relay) })
      const way = async (): Promise<readonly string[]> =>
        (await outside.client.call('peers', {})).filter(({ id }) => id === inside.peerId).map(({ address }) => address)
      await expect.poll(way, { timeout: 30_000 }).toEqual([expect.not.stringContaining('p2p-circuit')])
      await Promise.all([inside.stop(), outside.stop()])
      await relay.stop()
    },
    120_000
  )

  test('bytes that only the other one has are found in the DHT, when both know nobody but a relay with the facts', async () => {
    const internet = await newSwitch('11.0')
    const middle = await newMachine('relay')
    await middle.plug(internet, 1)
    const [one, two] = [await site('one', internet, 11, middle), await site('two', internet, 12, middle)]
    const relay = await middle.startDaemon({ args: ['--relay'] })
    const a = await one.machine.startDaemon({ args: ['--bootstrap', relay.address] })
    const { id } = await a.client.call('registryCreate', { name: 'shared' })
    await a.client.call('publish', { folder: await packageFolder({ name: 'tool' }), registry: id })
    const peer = await relayedAddress(a, relay)
    await relay.client.call('registryAdd', { id, alias: 'shared', peer, isDefault: true })
    await caughtUp(a, relay, id)

    const b = await two.machine.startDaemon({ args: ['--bootstrap', relay.address] })
    await b.client.call('registryAdd', {
      id,
      alias: 'shared',
      peer: relay.address,
      isDefault: true,
      singleSource: true
    })
    await caughtUp(relay, b, id)
    const { installed } = await b.client.call('install', {
      references: ['tool'],
      project: await tempDir('project'),
      force: false
    })
    expect(installed.map(({ name }) => name)).toEqual(['tool'])
    const ways = (await b.client.call('peers', {})).filter(({ id: who }) => who === a.peerId)
    expect(ways.map(({ address }) => address)).toEqual([expect.stringContaining('/p2p-circuit/')])
    await Promise.all([a.stop(), b.stop()])
    await relay.stop()
  }, 120_000)
})
