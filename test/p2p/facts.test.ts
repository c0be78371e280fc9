import { randomBytes } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import { factsTopic } from '../../protocol/gossip-message.ts'
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
  const fact = new FactMaker(registry).next()
  a.facts.add(fact)
  await a.swarm.publishFact(registry, fact.id, fact.bytes)
  expect(await b.events.next('onFact')).toEqual({ registry, peer: a.swarm.peerId, way: 'gossip' })
  expect(await c.events.next('onFact')).toEqual({ registry, peer: b.swarm.peerId, way: 'gossip' })
})

test('a large fact is announced by its id and fetched', async () => {
  const [a, b] = [await testNode({ registries }), await testNode({ registries })]
  await b.swarm.connect(a.address())
  await subscribed(a, b)
  const fact = new FactMaker(registry).next(randomBytes(60_000))
  a.facts.add(fact)
  await a.swarm.publishFact(registry, fact.id, fact.bytes)
  expect(await b.events.next('onFact')).toEqual({ registry, peer: a.swarm.peerId, way: 'gossip' })
  expect(b.facts.count(registry)).toBe(1)
})

test('a newcomer reads 2,000 facts over several pages, then only what is new', async () => {
  const a = await testNode({ registries })
  const maker = new FactMaker(registry)
  a.facts.addAll(registry, maker.many(2_000))
  const b = await testNode({ registries })
  await b.swarm.connect(a.address())
  const first = await b.events.next('onCaughtUp')
  expect(first).toEqual({ peer: a.swarm.peerId, registry, facts: 2_000, toItsEnd: true })
  expect(b.facts.log.get(registry)?.map(({ id }) => id)).toEqual(a.facts.log.get(registry)?.map(({ id }) => id))
  expect(b.cursors.get(`${a.swarm.peerId} ${registry}`)).toEqual({ epoch: 'epoch-1', after: 2_000 })
  const judged = b.facts.judged

  await b.swarm.disconnect(a.swarm.peerId)
  await b.events.next('onPeerGone')
  a.facts.addAll(registry, maker.many(3))
  await b.swarm.connect(a.address())
  await b.facts.until(registry, 2_003)
  expect(b.facts.judged - judged).toBe(3)
})

test('a log with a new epoch is read from its start', async () => {
  const a = await testNode({ registries })
  a.facts.addAll(registry, new FactMaker(registry).many(5))
  const b = await testNode({ registries })
  b.cursors.set(`${a.swarm.peerId} ${registry}`, { epoch: 'before-the-rebuild', after: 99 })
  await b.swarm.connect(a.address())
  expect(await b.events.next('onCaughtUp')).toMatchObject({ facts: 5 })
})

test('both sides read: what each had before they met is on both', async () => {
  const [a, b] = [await testNode({ registries }), await testNode({ registries })]
  a.facts.addAll(registry, new FactMaker(registry).many(10))
  b.facts.addAll(registry, new FactMaker(registry).many(7))
  await b.swarm.connect(a.address())
  await Promise.all([a.facts.until(registry, 17), b.facts.until(registry, 17)])
})

test('a gap that gossip shows is closed by reading the log of whoever told it', async () => {
  const [a, b] = [
    await testNode({ registries }),
    await testNode({ registries, config: { tuning: { catchUpSoonMs: 50 } } })
  ]
  await b.swarm.connect(a.address())
  await b.events.next('onCaughtUp')
  await subscribed(a, b)
  const [first, second] = new FactMaker(registry).many(2)
  if (first === undefined || second === undefined) throw new Error('two facts were made')
  a.facts.add(first)
  a.facts.add(second)
  await a.swarm.publishFact(registry, second.id, second.bytes)
  await b.facts.until(registry, 2)
})

test('a cursor does not pass a fact that is not in the set yet', async () => {
  const a = await testNode({ registries })
  const maker = new FactMaker(registry)
  maker.next()
  a.facts.addAll(registry, maker.many(4))
  const b = await testNode({ registries })
  await b.swarm.connect(a.address())
  expect(await b.events.next('onCaughtUp')).toMatchObject({ facts: 0 })
  expect(b.cursors.size).toBe(0)
})

test('a registry that is not followed is neither told nor served', async () => {
  const other = registryNamed('other')
  const [a, b] = [await testNode({ registries }), await testNode({ registries: [other] })]
  a.facts.addAll(other, new FactMaker(other).many(2))
  await b.swarm.connect(a.address())
  expect(await b.events.next('onCaughtUp')).toMatchObject({ registry: other, facts: 0, toItsEnd: false })
  await expect(a.swarm.publishFact(other, new FactMaker(other).next().id, randomBytes(3))).rejects.toMatchObject({
    code: 'UNKNOWN_REGISTRY'
  })
})

/** Waits until each has seen the other's subscription, which is when gossip can reach it. */
async function subscribed(a: TestNode, b: TestNode): Promise<void> {
  const sees = (node: TestNode, other: TestNode): boolean =>
    node.swarm.libp2p.services.pubsub
      .getSubscribers(factsTopic(registry))
      .some(peer => peer.toString() === other.swarm.peerId)
  await expect.poll(() => sees(a, b) && sees(b, a), { timeout: 10_000, interval: 20 }).toBe(true)
}
