import { createHash, randomBytes } from 'node:crypto'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { identify } from '@libp2p/identify'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { afterEach, expect, test } from 'vitest'
import { encodeFactsRequest } from '../../protocol/facts-messages.ts'
import { encodeFrame } from '../../protocol/frame.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { PUBLIC_NAMES } from '../../protocol/membership/names.ts'
import { ipOf, relayOf } from '../../node/p2p/address.ts'
import { dialRaw, drain, rawPeer, sayHello, stopRawPeers } from '../support/raw-peer.ts'
import { FactMaker, registryNamed, stopNodes, testNode } from '../support/swarm-node.ts'
import type { TestNode, TestNodeOptions } from '../support/swarm-node.ts'

/** A crowded machine takes its time. */
const SLOWLY = { timeout: 60_000 }

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
})

const registry = registryNamed('acme')
const registries = [registry]
const HOP = '/libp2p/circuit/relay/0.2.0/hop'
/** A request for a place at a relay, with its length before it. */
const RESERVE = Uint8Array.of(2, 0x08, 0x00)

/** A relay that follows nothing, and a node that keeps a place at it. */
async function behindRelay(
  options: TestNodeOptions = {}
): Promise<{ relay: TestNode; node: TestNode; address: string }> {
  const relay = await testNode({ config: { relay: true } })
  const node = await testNode({ registries, ...options })
  await node.swarm.connect(relay.address())
  return { relay, node, address: await relayedAddress(node) }
}

async function relayedAddress({ swarm }: TestNode): Promise<string> {
  const found = (): string | undefined => swarm.addresses().find(text => relayOf(multiaddr(text)) !== undefined)
  await expect.poll(found, SLOWLY).toBeDefined()
  return found() ?? ''
}

test('two nodes find facts and blocks of each other through a relay that follows nothing', async () => {
  const { relay, node: a, address } = await behindRelay()
  // It listens nowhere: otherwise the relayed connection may become a direct one in the middle of this.
  const b = await testNode({ registries, config: { listen: [] } })
  a.facts.addAll(registry, new FactMaker(registry).many(50))
  await b.swarm.connect(address)
  await b.facts.until(registry, 50)

  const bytes = randomBytes(2 ** 20)
  const cid = CID.createV1(0x55, createDigest(0x12, createHash('sha256').update(bytes).digest()))
  await a.blocks.put(cid, bytes)
  const session = b.swarm.fetch(registry)
  expect(Buffer.from(await session.block(cid)).equals(bytes)).toBe(true)
  session.close()

  // Gossip runs over it as well: a new fact is told, not asked for.
  const [fact] = new FactMaker(registry).many(1)
  if (fact === undefined) throw new Error('no fact was made')
  a.facts.add(fact)
  const topic = PUBLIC_NAMES.topicOf(registry)
  await expect
    .poll(() => a.swarm.libp2p.services.pubsub.getSubscribers(topic).map(String), SLOWLY)
    .toContain(b.swarm.peerId)
  await a.swarm.publishFact(registry, fact.id, fact.bytes)
  await b.facts.until(registry, 51)

  const connections = b.swarm.libp2p.getConnections(a.swarm.libp2p.peerId)
  expect(connections.map(({ remoteAddr }) => relayOf(remoteAddr))).toEqual([relay.swarm.peerId])
  expect(relay.facts.judged).toBe(0)
  // Nobody is punished for the address of the relay.
  const score: unknown = Reflect.get(b.swarm.libp2p.services.pubsub, 'score')
  const stats = Reflect.get(score as object, 'peerStats') as Map<string, { knownIPs: Set<string> }>
  expect(stats.get(a.swarm.peerId)?.knownIPs).toEqual(new Set())
  expect(stats.get(relay.swarm.peerId)?.knownIPs).toEqual(new Set(['127.0.0.1']))
})

test('a place has the limits that we give, and is free again when its peer has left', async () => {
  const { relay, node } = await behindRelay()
  const places = relay.swarm.libp2p.services.relay?.reservations
  const { bytes, durationMs } = LIMITS.reach.relay
  expect([...(places?.values() ?? [])].map(({ limit }) => limit)).toEqual([
    { data: BigInt(bytes), duration: durationMs }
  ])
  await node.stop()
  await expect.poll(() => places?.size, SLOWLY).toBe(0)
})

test('a place lost with its relay is taken at another one', async () => {
  const [first, second] = [await testNode({ config: { relay: true } }), await testNode({ config: { relay: true } })]
  const third = await testNode({ config: { relay: true } })
  const node = await testNode()
  for (const relay of [first, second, third]) await node.swarm.connect(relay.address())
  const relays = (): readonly unknown[] => [
    ...new Set(node.swarm.addresses().flatMap(text => relayOf(multiaddr(text)) ?? []))
  ]
  await expect.poll(() => relays().length, SLOWLY).toBe(LIMITS.reach.relay.used)
  const gone = [first, second, third].find(({ swarm }) => relays().includes(swarm.peerId))
  const spare = [first, second, third].find(({ swarm }) => !relays().includes(swarm.peerId))
  await gone?.stop()
  await expect.poll(relays, SLOWLY).toContain(spare?.swarm.peerId)
})

test('nothing is relayed for who was not introduced', async () => {
  const relay = await testNode({ config: { relay: true, tuning: { helloTimeoutMs: 2_000 } } })
  const [stranger, guest] = [await rawPeer(), await rawPeer()]
  const silent = await dialRaw(stranger, relay.address())
  const introduced = await dialRaw(guest, relay.address())
  await sayHello(introduced)
  const answers = await Promise.all(
    [silent, introduced].map(async connection => {
      const stream = await connection.newStream(HOP)
      const heard = drain(stream)
      stream.send(RESERVE)
      return (await heard).length
    })
  )
  expect(answers[0]).toBe(0)
  expect(answers[1]).toBeGreaterThan(0)
  expect([...(relay.swarm.libp2p.services.relay?.reservations.keys() ?? [])].map(String)).toEqual([
    guest.peerId.toString()
  ])
})

test('who comes through a relay has to introduce himself to whom he came for, and not only to the relay', async () => {
  const { relay, node, address } = await behindRelay({ config: { tuning: { helloTimeoutMs: 2_000 } } })
  node.facts.addAll(registry, new FactMaker(registry).many(3))
  const stranger = await createLibp2p({
    transports: [tcp(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    services: { identify: identify({ runOnConnectionOpen: false }) }
  })
  try {
    await sayHello(await dialRaw(stranger, relay.address()))
    const connection = await stranger.dial(multiaddr(address))
    const stream = await connection.newStream('/ggen/facts/1', { runOnLimitedConnection: true })
    const heard = drain(stream)
    stream.send(encodeFrame(encodeFactsRequest({ type: 'snapshot', registry })))
    expect((await heard).length).toBe(0)
    await expect.poll(() => connection.status, SLOWLY).not.toBe('open')
  } finally {
    await stranger.stop()
  }
})

test('a peer that is no relay of ours cannot make itself one', async () => {
  const { node } = await behindRelay()
  const guest = await rawPeer()
  const connection = await dialRaw(guest, node.address())
  await sayHello(connection)
  const listeners = (): number => {
    const manager: unknown = Reflect.get(Reflect.get(node.swarm.libp2p, 'components') as object, 'transportManager')
    return (manager as { getListeners(): readonly unknown[] }).getListeners().length
  }
  const before = listeners()
  const stream = await connection.newStream('/libp2p/circuit/relay/0.2.0/stop')
  expect((await drain(stream)).length).toBe(0)
  expect(listeners()).toBe(before)
})

test('the address of a relay is not that of whom it leads to', () => {
  const [relay, peer] = [
    '12D3KooWM3svask5a9trGkL74PNuvpEQPrMBMYkgSXyTN8bLj9vY',
    '12D3KooWGRUVh2vPMGeGhkUKNXoFqPrtUXVQ3vQbdyHyTxmAeYGv'
  ]
  const through = multiaddr(`/ip4/8.8.8.8/tcp/1/p2p/${relay}/p2p-circuit/p2p/${peer}`)
  expect([ipOf(through), relayOf(through)]).toEqual([undefined, relay])
  const direct = multiaddr(`/ip4/8.8.8.8/tcp/1/p2p/${peer}`)
  expect([ipOf(direct), relayOf(direct)]).toEqual(['8.8.8.8', undefined])
})
