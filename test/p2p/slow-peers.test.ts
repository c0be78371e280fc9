import type { Connection } from '@libp2p/interface'
import { afterEach, expect, test } from 'vitest'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import {
  FACTS_PROTOCOL,
  decodeFactsResponse,
  encodeFactsRequest,
  encodeFactsResponse
} from '../../protocol/catch-up.ts'
import type { FactsResponse } from '../../protocol/catch-up.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { codeOf } from '../support/error-code.ts'
import { dialRaw, rawPeer, sayHello, stopRawPeers } from '../support/raw-peer.ts'
import { FactMaker, realClock, registryNamed, stopNodes, testNode } from '../support/swarm-node.ts'

afterEach(async () => {
  await stopRawPeers()
  await stopNodes()
})

const registry = registryNamed('acme')
const registries = [registry]

async function ask(connection: Connection): Promise<FactsResponse | undefined> {
  const io = new FramedStream(await connection.newStream(FACTS_PROTOCOL))
  const signal = AbortSignal.timeout(5_000)
  await io.write(encodeFactsRequest({ type: 'page', registry, epoch: '', after: 0, facts: 10, bytes: 65_536 }), signal)
  const bytes = await io.read(LIMITS.catchUp.pageBytes, signal)
  return bytes === undefined ? undefined : decodeFactsResponse(bytes)
}

test('streams that ask nothing keep nobody else from being served', async () => {
  const server = await testNode({ registries })
  for (let i = 0; i < 8; i++) {
    const idler = await rawPeer()
    const connection = await dialRaw(idler, server.address())
    await sayHello(connection)
    for (let n = 0; n < LIMITS.streams.facts; n++) await connection.newStream(FACTS_PROTOCOL)
  }
  const honest = await dialRaw(await rawPeer(), server.address())
  await sayHello(honest)
  expect(await ask(honest)).toMatchObject({ type: 'page' })
})

test('logs that are told one fact at a time keep no honest log from being read', async () => {
  // Time as a slow peer makes it pass: each page takes nineteen seconds.
  let slept = 0
  let told = 0
  const clock = { ...realClock, now: () => Date.now() + slept }
  const victim = await testNode({ registries, clock })
  const maker = new FactMaker(registry)
  for (let i = 0; i < LIMITS.catchUp.sessionsInFlight; i++) {
    const slow = await rawPeer()
    await slow.handle(FACTS_PROTOCOL, stream => {
      const io = new FramedStream(stream)
      void (async () => {
        for (let next = 1; ; next++) {
          const signal = AbortSignal.timeout(30_000)
          if ((await io.read(65_536, signal)) === undefined) return
          slept += 19_000
          told += 1
          const facts = [maker.next().bytes]
          await io.write(encodeFactsResponse({ type: 'page', epoch: 'x', facts, next, done: false }), signal)
        }
      })().catch(() => undefined)
    })
    await sayHello(await dialRaw(slow, victim.address()), { registries })
  }
  const honest = await testNode({ registries })
  const fact = new FactMaker(registry).next()
  honest.facts.add(fact)
  await honest.swarm.connect(victim.address())
  await expect.poll(() => victim.facts.seen.has(fact.id), { timeout: 10_000 }).toBe(true)
  // A session would go on for 2,000 pages.
  expect(told).toBeLessThan(LIMITS.catchUp.pagesPerSession / 4)
})

test('a page of a million empty things is refused without being built', () => {
  const page = encodeCbor({
    type: 'page',
    epoch: 'x',
    next: 1,
    done: false,
    facts: Array(1_000_000).fill(new Uint8Array())
  })
  const started = performance.now()
  expect(codeOf(() => decodeFactsResponse(page))).toBe('MALFORMED')
  expect(performance.now() - started).toBeLessThan(100)
})
