import { randomBytes } from 'node:crypto'
import type { Connection, Libp2p } from '@libp2p/interface'
import { afterEach, expect, test } from 'vitest'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { digestOf } from '../../protocol/cid.ts'
import { FACTS_PROTOCOL, decodeFactsResponse, encodeFactsRequest } from '../../protocol/facts-messages.ts'
import type { FactsResponse } from '../../protocol/facts-messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { SYNC_PROTOCOL, decodeSyncReply, decodeSyncRequest, encodeSyncMessage } from '../../protocol/sync/messages.ts'
import type { SyncReply, SyncRequest } from '../../protocol/sync/messages.ts'
import { cpuMs } from '../support/cpu-time.ts'
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
  const signal = AbortSignal.timeout(60_000)
  await io.write(encodeFactsRequest({ type: 'ids', registry, ids: [] }), signal)
  const bytes = await io.read(LIMITS.facts.responseBytes, signal)
  return bytes === undefined ? undefined : decodeFactsResponse(bytes)
}

/** Answers comparisons as `answer` says; what it answers nothing to is left waiting. */
async function answering(
  host: Libp2p,
  answer: (request: SyncRequest) => SyncReply | undefined | Promise<SyncReply | undefined>
): Promise<void> {
  await host.handle(SYNC_PROTOCOL, stream => {
    const io = new FramedStream(stream)
    const signal = AbortSignal.timeout(60_000)
    void (async () => {
      for (;;) {
        const bytes = await io.read(LIMITS.sync.pageBytes, signal)
        if (bytes === undefined) return
        const reply = await answer(decodeSyncRequest(bytes))
        if (reply !== undefined) await io.write(encodeSyncMessage(reply), signal)
      }
    })().catch(() => undefined)
  })
}

test('streams that ask nothing keep nobody else from being served', async () => {
  const server = await testNode({ registries })
  for (let i = 0; i < 8; i++) {
    const idler = await rawPeer()
    const connection = await dialRaw(idler, server.address())
    await sayHello(connection)
    for (let n = 0; n < LIMITS.streams.facts; n++) await connection.newStream(FACTS_PROTOCOL)
    await connection.newStream(SYNC_PROTOCOL)
  }
  const honest = await dialRaw(await rawPeer(), server.address())
  await sayHello(honest)
  expect(await ask(honest)).toMatchObject({ type: 'facts' })
  const fact = new FactMaker(registry).next()
  server.facts.add(fact)
  const newcomer = await testNode({ registries })
  await newcomer.swarm.connect(server.address())
  await newcomer.facts.until(registry, 1)
})

test('sets that are told one fact at a time keep no honest set from being compared', async () => {
  // Time as slow peers make it pass that are asked beside each other: each answer of each takes them about eight seconds. None of
  // them may be late with one: whoever is given up for that gives his place up too.
  const ms = 8_000 / LIMITS.sync.sessionsInFlight
  let slept = 0
  let told = 0
  let isWaiting = false
  const wanted = new FactMaker(registry).next()
  const clock = { ...realClock, now: () => Date.now() + slept }
  const victim = await testNode({ registries, clock, config: { tuning: { syncListenMs: 20 } } })
  victim.facts.add(new FactMaker(registry).next())
  for (let i = 0; i < LIMITS.sync.sessionsInFlight; i++) {
    const maker = new FactMaker(registry)
    const slow = await rawPeer()
    let fact = maker.next()
    await answering(slow, ({ type, session }) => {
      if (type === 'done') return undefined
      slept += ms
      // As long as nobody waits they may go on, and how long it takes until somebody is here is the machine's affair.
      if (isWaiting && !victim.facts.seen.has(wanted.id)) told += 1
      if (type === 'want') return { type: 'facts', session, facts: [fact.bytes] }
      if (type === 'push') return { type: 'taken', session, more: true }
      fact = maker.next()
      // One fact in the first millisecond of all, and there is more after it: what it has never adds up to what we have.
      const [first, rest] = [
        Uint8Array.of(2, 0, 2, 1, ...digestOf(fact.id)),
        Uint8Array.of(0, 0, 1, ...randomBytes(16))
      ]
      return { type: 'ranges', session, ranges: Uint8Array.of(0x61, ...first, ...rest) }
    })
    await sayHello(await dialRaw(slow, victim.address()), { registries })
  }
  // It waits until it is asked, and whoever dials asks first: what it pushed of its own accord would take no turn from anybody.
  const honest = await testNode({ registries, config: { tuning: { syncListenMs: 2 ** 30, syncIntervalMs: 2 ** 30 } } })
  honest.facts.add(wanted)
  await victim.swarm.connect(honest.address())
  isWaiting = true
  await expect.poll(() => victim.facts.seen.has(wanted.id)).toBe(true)
  expect(told).toBeLessThan(LIMITS.sync.roundsPerSession / 4)
})

test('peers that take a question and never answer keep nobody from being asked', async () => {
  let slept = 0
  const timers = new Set<() => void>()
  const clock = {
    now: () => Date.now() + slept,
    after: (ms: number, task: () => void) => {
      // Only long waits are moved: handshakes and the like go on as they are.
      if (ms < 10_000) return realClock.after(ms, task)
      timers.add(task)
      return () => timers.delete(task)
    }
  }
  const victim = await testNode({ registries, clock, config: { tuning: { syncListenMs: 20 } } })
  victim.facts.add(new FactMaker(registry).next())
  let asked = 0
  for (let i = 0; i < LIMITS.sync.sessionsInFlight; i++) {
    const silent = await rawPeer()
    await answering(silent, () => {
      asked += 1
      return undefined
    })
    await sayHello(await dialRaw(silent, victim.address()), { registries })
  }
  await expect.poll(() => asked).toBe(LIMITS.sync.sessionsInFlight)
  const honest = await testNode({ registries, config: { tuning: { syncListenMs: 2 ** 30 } } })
  honest.facts.add(new FactMaker(registry).next())
  await victim.swarm.connect(honest.address())
  expect(victim.facts.count(registry)).toBe(1)
  slept += LIMITS.sync.answerMs + 1_000
  const due = [...timers]
  timers.clear()
  for (const task of due) task()
  await victim.facts.until(registry, 2)
})

test.each([
  [
    'garbage for ranges',
    ({ session }: SyncRequest) => ({ type: 'ranges', session, ranges: Uint8Array.of(0x61, 0x80) })
  ],
  [
    'a list of 2^31 ids',
    ({ session }: SyncRequest) => ({
      type: 'ranges',
      session,
      ranges: Uint8Array.of(0x61, 0, 0, 2, 0x88, 0x80, 0x80, 0x80, 0)
    })
  ],
  [
    'facts that nobody asked for',
    ({ session }: SyncRequest) => ({ type: 'facts', session, facts: [Uint8Array.of(1)] })
  ],
  ['the session of somebody else', () => ({ type: 'taken', session: 12_345, more: true })]
] as const)('a peer that answers with %s is cut when it goes on, and honest sets go on', async (_, reply) => {
  const victim = await testNode({ registries, config: { tuning: { syncListenMs: 20, syncIntervalMs: 40 } } })
  victim.facts.add(new FactMaker(registry).next())
  const liar = await rawPeer()
  await answering(liar, request => reply(request) as SyncReply)
  await sayHello(await dialRaw(liar, victim.address()), { registries })
  expect(await victim.events.next('onCut')).toMatchObject({ peer: liar.peerId.toString(), reason: 'malformed-message' })
  const honest = await testNode({ registries })
  honest.facts.add(new FactMaker(registry).next())
  await honest.swarm.connect(victim.address())
  await Promise.all([victim.facts.until(registry, 2), honest.facts.until(registry, 2)])
})

test('a peer that names facts and never delivers them is passed over, and another one is asked', async () => {
  const victim = await testNode({ registries, config: { tuning: { syncListenMs: 20 } } })
  victim.facts.add(new FactMaker(registry).next())
  const facts = new FactMaker(registry).many(40)
  const honest = await testNode({ registries })
  honest.facts.addAll(registry, facts)
  const liar = await rawPeer()
  const wanted: SyncRequest[] = []
  await answering(liar, request => {
    const { type, session } = request
    if (type === 'want') wanted.push(request)
    if (type === 'want') return { type: 'facts', session, facts: [] }
    if (type === 'push') return { type: 'taken', session, more: true }
    const ids = facts.flatMap(({ id }) => [...digestOf(id)])
    return type === 'done' ? undefined : { type: 'ranges', session, ranges: Uint8Array.of(0x61, 0, 0, 2, 40, ...ids) }
  })
  await sayHello(await dialRaw(liar, victim.address()), { registries })
  expect(await victim.events.next('onReconciled')).toMatchObject({
    peer: liar.peerId.toString(),
    facts: 0,
    missing: 40
  })
  expect(wanted).toHaveLength(1)
  await honest.swarm.connect(victim.address())
  await victim.facts.until(registry, 41)
  expect(victim.events.of('onCut')).toEqual([])
})

test('a message whose length says 2^31 ends the stream, and nothing is allocated', async () => {
  const server = await testNode({ registries })
  const connection = await dialRaw(await rawPeer(), server.address())
  await sayHello(connection)
  const stream = await connection.newStream(SYNC_PROTOCOL)
  const reset = new Promise(resolve => stream.addEventListener('close', resolve, { once: true }))
  stream.send(Uint8Array.of(0x80, 0, 0, 0))
  await reset
  expect(stream.status).toBe('reset')
})

test('whoever asks without end is told to come back, and others are answered', async () => {
  const server = await testNode({ registries })
  server.facts.add(new FactMaker(registry).next())
  const connection = await dialRaw(await rawPeer(), server.address())
  await sayHello(connection)
  const io = new FramedStream(await connection.newStream(SYNC_PROTOCOL))
  const signal = AbortSignal.timeout(60_000)
  const seen = new Set<string>()
  for (let session = 0; session < LIMITS.sync.comparisonsBurst * 3; session++) {
    await io.write(
      encodeSyncMessage({ type: 'open', session, registry, ranges: Uint8Array.of(0x61, 0, 0, 2, 0) }),
      signal
    )
    const bytes = await io.read(LIMITS.sync.pageBytes, signal)
    if (bytes === undefined) throw new Error('the node has ended the stream')
    const reply = decodeSyncReply(bytes)
    seen.add(reply.type === 'refused' ? reply.reason : reply.type)
  }
  expect([...seen].sort()).toEqual(['busy', 'ranges'])
  const honest = await testNode({ registries })
  await honest.swarm.connect(server.address())
  await honest.facts.until(registry, 1)
})

test('a page of a million empty things is refused without being built', () => {
  const page = encodeCbor({ type: 'facts', session: 1, facts: Array(1_000_000).fill(new Uint8Array()) })
  const spent = cpuMs(() => {
    expect(codeOf(() => decodeSyncReply(page))).toBe('MALFORMED')
    expect(codeOf(() => decodeFactsResponse(page))).toBe('MALFORMED')
  })
  expect(spent).toBeLessThan(100)
})
