import type { Libp2p } from '@libp2p/interface'
import { afterEach, expect, test } from 'vitest'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { Pace } from '../../node/p2p/pace.ts'
import { encodeCarBlock, encodeCarHeader } from '../../protocol/car.ts'
import { FACTS_PROTOCOL, encodeFactsResponse } from '../../protocol/facts-messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { dialRaw, rawPeer, sayHello, stopRawPeers } from '../support/raw-peer.ts'
import { codeOf } from '../support/error-code.ts'
import { FactMaker, realClock, registryNamed, stopNodes, testNode } from '../support/swarm-node.ts'
import type { TestNode } from '../support/swarm-node.ts'

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
})

const registry = registryNamed('acme')
const registries = [registry]

/** A peer that answers a request for a snapshot with these bytes, then ends as it is told. */
async function telling(bytes: Uint8Array, ending: 'end' | 'reset'): Promise<{ host: Libp2p; done: Promise<void> }> {
  const host = await rawPeer()
  const { promise, resolve } = Promise.withResolvers<void>()
  await host.handle(FACTS_PROTOCOL, stream => {
    const io = new FramedStream(stream)
    const signal = AbortSignal.timeout(60_000)
    const tell = async (): Promise<void> => {
      await io.read(65_536, signal)
      await io.write(encodeFactsResponse({ type: 'snapshot' }), signal)
      await io.writeRaw(bytes, signal)
      if (ending === 'end') await io.end(signal)
      else io.abort(new Error('cut short'))
    }
    void tell()
      .catch(() => undefined)
      .finally(resolve)
  })
  return { host, done: promise }
}

async function victimOf(host: Libp2p): Promise<TestNode> {
  const victim = await testNode({ registries, config: { tuning: { syncListenMs: 20 } } })
  await sayHello(await dialRaw(host, victim.address()), { registries })
  return victim
}

test.each(['end', 'reset'] as const)(
  'a snapshot that is cut short by %s is left off, and comparing brings the rest',
  async ending => {
    const facts = new FactMaker(registry).many(600)
    const archive = Buffer.concat([
      encodeCarHeader(registry),
      ...facts.slice(0, 400).map(({ bytes }) => encodeCarBlock(bytes))
    ])
    const { host, done } = await telling(archive.subarray(0, -7), ending)
    const victim = await victimOf(host)
    await done
    const honest = await testNode({ registries })
    honest.facts.addAll(registry, facts)
    await honest.swarm.connect(victim.address())
    await victim.facts.until(registry, 600)
    expect(
      victim.facts.log
        .get(registry)
        ?.map(({ id }) => id)
        .sort()
    ).toEqual(facts.map(({ id }) => id).sort())
  }
)

test('a snapshot makes nobody believe what its facts do not prove', async () => {
  const [fact, second] = new FactMaker(registry).many(2)
  if (fact === undefined || second === undefined) throw new Error('two facts were made')
  const forged = Uint8Array.from(second.bytes)
  // The signature is the value of the first key, "sig", of the envelope.
  forged[10] = (forged[10] ?? 0) ^ 1
  const foreign = new FactMaker(registryNamed('other')).next()
  const blocks = [fact.bytes, forged, foreign.bytes].map(encodeCarBlock)
  const { host, done } = await telling(Buffer.concat([encodeCarHeader(registry), ...blocks]), 'end')
  const victim = await victimOf(host)
  await done
  await victim.facts.until(registry, 1)
  await expect.poll(() => victim.facts.judged).toBe(3)
  expect(victim.facts.log.get(registry)?.map(({ id }) => id)).toEqual([fact.id])
  expect([...victim.facts.log.keys()]).toEqual([registry])
})

test('a snapshot of orphans is left off before they fill anything', async () => {
  const maker = new FactMaker(registry)
  // What all of them wait for is told to nobody.
  maker.next()
  const orphans = maker.many(1_000).map(({ bytes }) => encodeCarBlock(bytes))
  const { host } = await telling(Buffer.concat([encodeCarHeader(registry), ...orphans]), 'end')
  const victim = await victimOf(host)
  await expect.poll(() => victim.facts.judged).toBeGreaterThanOrEqual(LIMITS.snapshot.refused)
  const honest = await testNode({ registries })
  honest.facts.add(new FactMaker(registry).next())
  await honest.swarm.connect(victim.address())
  await victim.facts.until(registry, 1)
  expect(victim.facts.judged).toBeLessThan(LIMITS.snapshot.refused + LIMITS.snapshot.batchFacts + 10)
})

test('bytes that are no archive cost the sender', async () => {
  const { host } = await telling(new Uint8Array(1_000), 'end')
  const victim = await victimOf(host)
  await expect.poll(() => victim.swarm.peers().length).toBe(1)
  const honest = await testNode({ registries })
  honest.facts.add(new FactMaker(registry).next())
  await honest.swarm.connect(victim.address())
  await victim.facts.until(registry, 1)
  expect(victim.facts.judged).toBe(1)
})

test('a snapshot that trickles, or does not end, is given up', () => {
  let now = 0
  const pace = new Pace({ ...realClock, now: () => now })
  pace.count(1)
  now += LIMITS.snapshot.graceMs
  pace.count(1)
  now += 10_000
  expect(codeOf(() => pace.count(1))).toBe('TIMEOUT')
  expect(codeOf(() => new Pace(realClock).count(LIMITS.snapshot.bytes + 1))).toBe('LIMIT_EXCEEDED')
})

test('time that the gate takes is not held against the sender', async () => {
  let now = 0
  const pace = new Pace({ ...realClock, now: () => now })
  await pace.pause(async () => {
    now += 3_600_000
  })
  expect(() => pace.count(1)).not.toThrow()
})
