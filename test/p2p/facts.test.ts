import { randomBytes } from 'node:crypto'
import { afterEach, expect, test, vi } from 'vitest'
import { factsTopic } from '../../protocol/gossip-message.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { FactMaker, registryNamed, stopNodes, testNode } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'

afterEach(stopNodes)

const registry = registryNamed('acme')
const registries = [registry]

test('a fact that one node publishes reaches two others that follow the registry', async () => {
  const nodes = [
    await testNode({ registries }),
    await testNode({ registries }),
    await testNode({ registries })
  ] as const
  const [a, b, c] = nodes
  await b.swarm.connect(a.address())
  await c.swarm.connect(b.address())
  await subscribed(a, b)
  await subscribed(b, c)
  await Promise.all([b.events.next('onReconciled'), c.events.next('onReconciled')])
  const fact = new FactMaker(registry).next()
  a.facts.add(fact)
  await a.swarm.publishFact(registry, fact.id, fact.bytes)
  expect(await b.events.next('onFact')).toEqual({ registry, peer: a.swarm.peerId, way: 'gossip' })
  expect(await b.events.next('onGossip')).toEqual({ verdict: 'accept' })
  await expect.poll(() => b.swarm.meshPeers()).toBe(2)
  expect(await c.events.next('onFact')).toEqual({ registry, peer: b.swarm.peerId, way: 'gossip' })
})

test('a fact that was published before anybody had subscribed is told to whoever does', async () => {
  const [a, b] = [await testNode({ registries }), await testNode({ registries })]
  const fact = new FactMaker(registry).next()
  // In no set: no comparison can bring it.
  expect(await a.swarm.publishFact(registry, fact.id, fact.bytes)).toBe(0)
  await b.swarm.connect(a.address())
  expect(await b.events.next('onFact')).toEqual({ registry, peer: a.swarm.peerId, way: 'gossip' })
})

test('a new fact that came by comparing sets is told on, and an old one is not', async () => {
  // What is told on is watched below; c has the rest by comparing, which may have to wait for the interval.
  const config = { tuning: { syncIntervalMs: LIMITS.sync.intervalMs } }
  const ofProduct = async (): Promise<TestNode> => await testNode({ registries, config })
  const [a, b, c] = [await ofProduct(), await ofProduct(), await ofProduct()]
  await c.swarm.connect(b.address())
  await subscribed(b, c)
  // Whom c hears it from first is chance: it finds a, too.
  const told = vi.spyOn(b.swarm.libp2p.services.pubsub, 'publish')
  const old = new FactMaker(registry).next(undefined, Date.now() - 2 * LIMITS.gossip.seenMs)
  const fresh = new FactMaker(registry).next(undefined, Date.now())
  // Who has nothing takes a snapshot, of which nothing is told on.
  const common = new FactMaker(registry).next()
  b.facts.add(common)
  a.facts.addAll(registry, [common, old, fresh])
  await b.swarm.connect(a.address())
  await b.facts.until(registry, 3)
  await expect.poll(() => told.mock.calls.map(([, data]) => data)).toEqual([fresh.bytes])
  await c.facts.until(registry, 3)
})

test('a large fact is announced by its id and fetched', async () => {
  const [a, b] = [await testNode({ registries }), await testNode({ registries })]
  await b.swarm.connect(a.address())
  await subscribed(a, b)
  await b.events.next('onReconciled')
  const fact = new FactMaker(registry).next(randomBytes(60_000))
  a.facts.add(fact)
  await a.swarm.publishFact(registry, fact.id, fact.bytes)
  expect(await b.events.next('onFact')).toEqual({ registry, peer: a.swarm.peerId, way: 'gossip' })
  expect(b.facts.count(registry)).toBe(1)
})

test('a newcomer takes a snapshot of 2,000 facts, and after that only what is new', async () => {
  const a = await testNode({ registries })
  const maker = new FactMaker(registry)
  a.facts.addAll(registry, maker.many(2_000))
  const b = await testNode({ registries })
  await b.swarm.connect(a.address())
  await b.events.next('onReconciled')
  expect(b.events.of('onFact').filter(({ way }) => way === 'snapshot')).toHaveLength(2_000)
  expect(b.facts.log.get(registry)?.map(({ id }) => id)).toEqual(a.facts.log.get(registry)?.map(({ id }) => id))
  const judged = b.facts.judged

  await b.swarm.disconnect(a.swarm.peerId)
  await b.events.next('onPeerGone')
  a.facts.addAll(registry, maker.many(3))
  await b.swarm.connect(a.address())
  await b.facts.until(registry, 2_003)
  expect(b.facts.judged - judged).toBe(3)
})

test('what was missed while away comes at the reconnect, in both directions', async () => {
  const [a, b] = [await testNode({ registries }), await testNode({ registries })]
  const [ours, theirs] = [new FactMaker(registry), new FactMaker(registry)]
  a.facts.addAll(registry, ours.many(300))
  b.facts.addAll(registry, theirs.many(200))
  await b.swarm.connect(a.address())
  await Promise.all([a.facts.until(registry, 500), b.facts.until(registry, 500)])
  await b.swarm.disconnect(a.swarm.peerId)
  await Promise.all([a.events.next('onPeerGone'), b.events.next('onPeerGone')])
  a.facts.addAll(registry, ours.many(150))
  b.facts.addAll(registry, theirs.many(150))
  await b.swarm.connect(a.address())
  await Promise.all([a.facts.until(registry, 800), b.facts.until(registry, 800)])
})

test('several registries are compared on one connection', async () => {
  const all = ['acme', 'beta', 'gamma', 'delta', 'epsilon', 'zeta'].map(registryNamed)
  const [a, b] = [await testNode({ registries: all }), await testNode({ registries: all })]
  for (const [index, each] of all.entries()) (index % 2 === 0 ? a : b).facts.addAll(each, new FactMaker(each).many(20))
  await b.swarm.connect(a.address())
  await Promise.all(all.flatMap(each => [a.facts.until(each, 20), b.facts.until(each, 20)]))
  expect(b.swarm.libp2p.getConnections()).toHaveLength(1)
})

test('equal sets that were filled in different orders bring nothing to the gate', async () => {
  const [a, b] = [await testNode({ registries }), await testNode({ registries })]
  const facts = new FactMaker(registry).many(500)
  a.facts.addAll(registry, facts)
  b.facts.addAll(registry, facts.toReversed())
  await b.swarm.connect(a.address())
  expect(await b.events.next('onReconciled')).toEqual({ peer: a.swarm.peerId, registry, facts: 0, missing: 0 })
  expect(await a.events.next('onReconciled')).toEqual({ peer: b.swarm.peerId, registry, facts: 0, missing: 0 })
  expect(a.facts.judged + b.facts.judged).toBe(0)
})

test('a peer with an old set takes nothing back', async () => {
  const [a, old] = [await testNode({ registries }), await testNode({ registries })]
  const facts = new FactMaker(registry).many(50)
  a.facts.addAll(registry, facts)
  old.facts.addAll(registry, facts.slice(0, 5))
  await a.swarm.connect(old.address())
  await old.facts.until(registry, 50)
  expect(a.facts.count(registry)).toBe(50)
})

test('both sides read: what each had before they met is on both', async () => {
  const [a, b] = [await testNode({ registries }), await testNode({ registries })]
  a.facts.addAll(registry, new FactMaker(registry).many(10))
  b.facts.addAll(registry, new FactMaker(registry).many(7))
  await b.swarm.connect(a.address())
  await Promise.all([a.facts.until(registry, 17), b.facts.until(registry, 17)])
})

test('a gap that gossip shows is closed by comparing with whoever told it', async () => {
  const [a, b] = [
    await testNode({ registries }),
    await testNode({ registries, config: { tuning: { syncSoonMs: 50 } } })
  ]
  await b.swarm.connect(a.address())
  await b.events.next('onReconciled')
  await subscribed(a, b)
  const [first, second] = new FactMaker(registry).many(2)
  if (first === undefined || second === undefined) throw new Error('two facts were made')
  a.facts.add(first)
  a.facts.add(second)
  await a.swarm.publishFact(registry, second.id, second.bytes)
  await b.facts.until(registry, 2)
})

test('facts that wait for something that never comes keep no comparison from its end', async () => {
  const a = await testNode({ registries })
  const maker = new FactMaker(registry)
  maker.next()
  a.facts.addAll(registry, maker.many(4))
  const b = await testNode({ registries })
  await b.swarm.connect(a.address())
  expect(await b.events.next('onReconciled')).toMatchObject({ facts: 0 })
  expect(b.facts.count(registry)).toBe(0)
})

test('a registry that is not followed is neither told nor served', async () => {
  const other = registryNamed('other')
  const [a, b] = [await testNode({ registries }), await testNode({ registries: [other] })]
  a.facts.addAll(other, new FactMaker(other).many(2))
  await b.swarm.connect(a.address())
  await expect(a.swarm.publishFact(other, new FactMaker(other).next().id, randomBytes(3))).rejects.toMatchObject({
    code: 'UNKNOWN_REGISTRY'
  })
  expect(b.events.of('onReconciled')).toEqual([])
})

/** Waits until each has seen the other's subscription, which is when gossip can reach it. */
async function subscribed(a: TestNode, b: TestNode): Promise<void> {
  const sees = (node: TestNode, other: TestNode): boolean =>
    node.swarm.libp2p.services.pubsub
      .getSubscribers(factsTopic(registry))
      .some(peer => peer.toString() === other.swarm.peerId)
  await expect.poll(() => sees(a, b) && sees(b, a), { interval: 20 }).toBe(true)
}
