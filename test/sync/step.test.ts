import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { digestOf } from '../../protocol/cid.ts'
import type { Envelope } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { ItemSet } from '../../protocol/sync/item-set.ts'
import { initiate } from '../../protocol/sync/negentropy.ts'
import type { SyncEffect } from '../../protocol/sync/state.ts'
import { FactMaker, registryNamed } from '../support/fact-maker.ts'
import { SyncNet } from '../support/sync-net.ts'
import type { SyncNode } from '../support/sync-net.ts'

const acme = registryNamed('acme')
const other = registryNamed('other')
const pool = new FactMaker(acme).many(1_500)

function ids(node: SyncNode, registry = acme): readonly string[] {
  return [...(node.facts.get(registry)?.keys() ?? [])].sort()
}

function effectsOf<T extends SyncEffect['type']>(node: SyncNode, type: T): Extract<SyncEffect, { type: T }>[] {
  return node.effects.filter((effect): effect is Extract<SyncEffect, { type: T }> => effect.type === type)
}

function pair(ours: readonly Envelope[], theirs: readonly Envelope[]) {
  const net = new SyncNet()
  const [a, b] = [net.node('a'), net.node('b')]
  a.follow(acme, ours)
  b.follow(acme, theirs)
  return { net, a, b }
}

describe('two sides', () => {
  test('that meet have the union, whatever each had', () => {
    const share = fc.array(fc.constantFrom('a', 'b', 'both', 'none'), { minLength: 300, maxLength: 300 })
    fc.assert(
      fc.property(share, shares => {
        const [ours, theirs] = [
          ['a', 'both'],
          ['b', 'both']
        ].map(sides => pool.filter((_, index) => sides.includes(shares[index % 300] ?? '')))
        const { net, a, b } = pair(ours ?? [], theirs ?? [])
        net.connect(a, b)
        net.settle()
        net.pass(LIMITS.sync.soonMs)
        expect(ids(a)).toEqual(ids(b))
        expect(a.facts.get(acme)?.size).toBe(new Set([...(ours ?? []), ...(theirs ?? [])]).size)
        // Each fact that one side lacked was sent once, and nothing else.
        const moved = net.sent.flatMap(({ message }) => ('facts' in message ? message.facts : []))
        expect(moved.length).toBe(2 * ids(a).length - (ours?.length ?? 0) - (theirs?.length ?? 0))
        expect(a.state.asked.size + a.state.sessions.size + b.state.serving).toBe(0)
        expect(effectsOf(a, 'reconciled')).toMatchObject([{ peer: 'b', registry: acme }])
        expect(effectsOf(b, 'reconciled')).toMatchObject([{ peer: 'a', registry: acme }])
      }),
      { numRuns: 8 }
    )
  })

  test('whose sets are equal, filled in different orders, are done after one exchange', () => {
    const { net, a, b } = pair(pool.slice(0, 500), pool.slice(0, 500).toReversed())
    net.connect(a, b)
    net.settle()
    expect(net.sent.map(({ message }) => message.type)).toEqual(['open', 'ranges', 'done'])
  })

  test('that both open at the same moment have one session, that of the lower id', () => {
    const { net, a, b } = pair(pool.slice(0, 10), pool.slice(5, 20))
    a.tell({ type: 'came', peer: 'b', dialled: true })
    b.tell({ type: 'came', peer: 'a', dialled: true })
    net.settle()
    expect(ids(a)).toEqual(ids(b))
    expect(net.sent.filter(({ message }) => message.type === 'refused')).toMatchObject([
      { from: 'a', message: { reason: 'busy' } }
    ])
    expect([...a.effects, ...b.effects].filter(({ type }) => type === 'blame')).toEqual([])
    net.pass(LIMITS.sync.retryMs)
    expect([...a.effects, ...b.effects].filter(({ type }) => type === 'blame')).toEqual([])
  })

  test('compare several registries, each by itself', () => {
    const { net, a, b } = pair(pool.slice(0, 3), [])
    const third = registryNamed('third')
    const [one, two] = [new FactMaker(other).many(200), new FactMaker(third).many(3)]
    a.follow(other, one)
    b.follow(other, [])
    b.follow(third, two)
    net.connect(a, b)
    net.settle()
    net.pass(LIMITS.sync.soonMs)
    expect(ids(b)).toEqual(ids(a))
    expect(ids(b, other)).toEqual(ids(a, other))
    expect(a.facts.get(third)).toBeUndefined()
  })

  test('compare again at the interval, once for both', () => {
    const { net, a, b } = pair(pool.slice(0, 10), pool.slice(0, 10))
    net.connect(a, b)
    net.settle()
    const extra = pool[20]
    if (extra === undefined) throw new Error('the pool has 20')
    b.add(acme, extra)
    net.sent.length = 0
    net.pass(LIMITS.sync.intervalMs)
    expect(ids(a)).toEqual(ids(b))
    expect(net.sent.filter(({ message }) => message.type === 'done')).toHaveLength(1)
  })

  test('of which the dialling one says nothing: the other opens after a while', () => {
    const { net, a, b } = pair([], pool.slice(0, 10))
    b.tell({ type: 'came', peer: 'a', dialled: false })
    a.tell({ type: 'came', peer: 'b', dialled: false })
    net.settle()
    expect(net.sent).toEqual([])
    net.pass(LIMITS.sync.listenMs)
    expect(ids(a)).toEqual(ids(b))
  })

  test('close a gap that gossip showed, after a moment', () => {
    const { net, a, b } = pair([], [])
    net.connect(a, b)
    net.settle()
    for (const each of pool.slice(0, 3)) b.add(acme, each)
    a.tell({ type: 'gap', peer: 'b', registry: acme })
    a.tell({ type: 'gap', peer: 'b', registry: acme })
    net.settle()
    expect(ids(a)).toEqual([])
    net.pass(LIMITS.sync.soonMs)
    expect(ids(a)).toEqual(ids(b))
  })

  test('move facts in the order of the set, so that none waits for one that comes later', () => {
    const scattered = pool.filter((_, index) => index < 5 || (index > 700 && index % 97 === 0))
    const { net, a, b } = pair([], pool)
    for (const each of scattered) a.add(acme, each)
    a.judge = ({ body }) =>
      body.prev === null || a.facts.get(acme)?.has(body.prev) === true ? { verdict: 'accept' } : { verdict: 'pending' }
    net.connect(a, b)
    net.settle()
    expect(ids(a)).toEqual(ids(b))
    const c = net.node('c')
    c.follow(acme, pool.slice(0, 1))
    c.judge = ({ body }) =>
      body.prev !== null && c.facts.get(acme)?.has(body.prev) === true ? { verdict: 'accept' } : { verdict: 'pending' }
    net.connect(a, c)
    net.settle()
    net.pass(LIMITS.sync.soonMs)
    expect(ids(c)).toEqual(ids(a))
  })

  test('of which one has a much older set: nothing is taken back', () => {
    const { net, a, b } = pair(pool.slice(0, 400), pool.slice(0, 10))
    net.connect(b, a)
    net.settle()
    expect(a.facts.get(acme)?.size).toBe(400)
    expect(ids(b)).toEqual(ids(a))
  })
})

test('one change among 100,000 takes at most 4 round trips and 8 KiB both ways', () => {
  const { net, a, b } = pair([], [])
  const base = Array.from({ length: 100_000 }, (_, index) => {
    const id = new Uint8Array(32)
    new DataView(id.buffer).setUint32(0, Math.imul(index + 1, 2_654_435_761))
    new DataView(id.buffer).setUint32(28, index)
    return { time: 1_600_000_000_000 + index * 1_000, id }
  })
  a.sets.set(acme, ItemSet.fromUnsorted(base))
  b.sets.set(acme, ItemSet.fromUnsorted(base))
  const fact = pool[0]
  if (fact === undefined) throw new Error('the pool is not empty')
  b.add(acme, fact)
  net.connect(a, b)
  net.settle()
  expect(a.facts.get(acme)?.has(fact.id)).toBe(true)
  expect(net.sent.filter(({ from }) => from === 'b').length).toBeLessThanOrEqual(4)
  expect(net.sent.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(8 * 1024)
})

describe('an id', () => {
  test('is asked of one peer at a time, and of the next when the first does not deliver', () => {
    const net = new SyncNet()
    const [a, liar, honest] = [net.node('a'), net.node('liar'), net.node('z')]
    a.follow(acme, pool.slice(0, 1))
    liar.follow(acme, pool.slice(0, 200))
    honest.follow(acme, pool.slice(0, 200))
    liar.withholds = () => true
    net.connect(a, liar)
    net.connect(a, honest)
    const asked = new Map<string, string>()
    const tell = a.tell.bind(a)
    a.tell = event => {
      tell(event)
      for (const [id, peer] of a.state.asked) {
        const before = asked.get(id)
        if (before !== undefined && before !== peer) expect(a.effects.some(({ type }) => type === 'send')).toBe(true)
        asked.set(id, peer)
      }
    }
    net.settle()
    expect(ids(a)).toEqual(ids(honest))
    expect(effectsOf(a, 'blame')).toEqual([])
    const wants = net.sent.flatMap(({ to, message }) => (message.type === 'want' ? [{ to, ids: message.ids }] : []))
    const toLiar = wants.filter(({ to }) => to === 'liar').flatMap(each => each.ids)
    expect(new Set(toLiar).size).toBe(toLiar.length)
  })

  test('that came by another way meanwhile is not asked for', () => {
    const { net, a, b } = pair(pool.slice(0, 1), pool.slice(0, 3))
    const [, second] = pool
    if (second === undefined) throw new Error('the pool has two')
    a.intercept = effect => {
      if (effect.type !== 'sift') return false
      a.intercept = () => false
      net.later(() => {
        a.tell({ ...effect, type: 'sifted' })
        a.add(acme, second)
        a.tell({ type: 'arrived', registry: acme, id: second.id })
      })
      return true
    }
    b.intercept = () => false
    net.connect(a, b)
    net.settle()
    expect(ids(a)).toEqual(ids(b))
  })

  test('that is known outside of the set is not asked for', () => {
    const { net, a, b } = pair(pool.slice(0, 1), pool.slice(0, 3))
    // Known, as a fact in the cut area is, and not in the set.
    for (const each of pool.slice(1, 3)) a.facts.get(acme)?.set(each.id, each)
    net.connect(a, b)
    net.settle()
    expect(net.sent.some(({ message }) => message.type === 'want')).toBe(false)
    expect(effectsOf(a, 'reconciled')).toHaveLength(1)
  })

  test('that the gate refused is asked for once in a session, and does not keep it from its end', () => {
    const { net, a, b } = pair(pool.slice(0, 1), pool.slice(0, 300))
    a.judge = () => ({ verdict: 'ignore', reason: 'revoked' })
    net.connect(a, b)
    net.settle()
    const wanted = net.sent.flatMap(({ message }) => (message.type === 'want' ? message.ids : []))
    expect(wanted.length).toBe(299)
    expect(effectsOf(a, 'reconciled')).toMatchObject([{ facts: 0 }])
  })

  test('for which the gate has no room ends the session, and it is tried again at the interval', () => {
    const { net, a, b } = pair(pool.slice(0, 1), pool.slice(0, 300))
    a.judge = () => ({ verdict: 'ignore', reason: 'over-rate' })
    net.connect(a, b)
    net.settle()
    expect(effectsOf(a, 'reconciled')).toEqual([])
    expect(effectsOf(b, 'reconciled')).toEqual([])
    expect(a.state.asked.size).toBe(0)
    // The other side opens once, because it has heard nothing, and says that it has more.
    net.pass(LIMITS.sync.listenMs)
    net.pass(LIMITS.sync.soonMs)
    const tried = effectsOf(a, 'admit').length
    net.pass(LIMITS.sync.retryMs)
    expect(effectsOf(a, 'admit')).toHaveLength(tried)
    a.judge = () => ({ verdict: 'accept' })
    net.pass(LIMITS.sync.intervalMs)
    expect(ids(a)).toEqual(ids(b))
  })

  test('for which there is no room any more, after others had some, is asked for again before long', () => {
    const { net, a, b } = pair(pool.slice(0, 1), pool.slice(0, 300))
    let room = 150
    a.judge = () => (room-- > 0 ? { verdict: 'accept' } : { verdict: 'ignore', reason: 'over-rate' })
    net.connect(a, b)
    net.settle()
    expect(effectsOf(a, 'reconciled')).toEqual([])
    room = 1_000
    net.pass(LIMITS.sync.retryMs)
    expect(ids(a)).toEqual(ids(b))
  })

  test('of a peer that is gone is free for others', () => {
    const net = new SyncNet()
    const [a, b, c] = [net.node('a'), net.node('b'), net.node('c')]
    a.follow(acme, pool.slice(0, 1))
    b.follow(acme, pool.slice(0, 50))
    c.follow(acme, pool.slice(0, 50))
    // b answers comparisons, and no request for facts.
    b.intercept = effect => effect.type === 'load'
    net.connect(a, b)
    net.settle()
    expect(a.state.asked.size).toBe(49)
    net.connect(a, c)
    net.settle()
    expect(ids(a)).toHaveLength(1)
    a.tell({ type: 'gone', peer: 'b' })
    net.settle()
    expect(ids(a)).toEqual(ids(c))
    expect(a.state.asked.size).toBe(0)
  })
})

describe('a peer', () => {
  test('that does not answer in time loses its stream and its sessions, and nobody else waits for it', () => {
    const net = new SyncNet()
    const a = net.node('a')
    a.follow(acme, pool.slice(0, 1))
    for (let index = 0; index < 8; index++) a.tell({ type: 'came', peer: `slow-${index}`, dialled: true })
    const b = net.node('b')
    b.follow(acme, pool.slice(0, 10))
    net.connect(a, b)
    net.settle()
    expect(ids(a)).toHaveLength(1)
    net.pass(LIMITS.sync.answerMs)
    net.pass(LIMITS.sync.answerMs)
    expect(ids(a)).toEqual(ids(b))
    expect(effectsOf(a, 'close').length).toBe(8)
  })

  test('whose fingerprints never agree is passed over', () => {
    const { net, a } = pair(pool.slice(0, 1), [])
    a.tell({ type: 'came', peer: 'liar', dialled: true })
    let rounds = 0
    const ranges = initiate(ItemSet.fromUnsorted(pool.map(({ id, body }) => ({ time: body.time, id: digestOf(id) }))))
    const answered = new Set<number>()
    for (;;) {
      const last = net.sent.at(-1)?.message ?? effectsOf(a, 'send').at(-1)?.message
      net.settle()
      const message = effectsOf(a, 'send').at(-1)?.message
      if (message === undefined || message.type === 'done') break
      expect(last).toBeDefined()
      answered.add(message.session)
      rounds += 1
      a.tell({ type: 'message', peer: 'liar', message: { type: 'ranges', session: message.session, ranges } })
    }
    expect(rounds).toBeLessThanOrEqual(LIMITS.sync.roundsPerSession + 1)
    expect(effectsOf(a, 'reconciled')).toEqual([])
  })

  test.each([
    ['an answer that nobody waits for', { type: 'taken', more: true }],
    ['an answer to nothing', { type: 'facts', facts: [], session: 4_711 }],
    ['garbage for ranges', { type: 'ranges', ranges: Uint8Array.of(0x61, 0x80) }],
    ['a list of 2^31 ids', { type: 'ranges', ranges: Uint8Array.of(0x61, 0, 0, 2, 0x88, 0x80, 0x80, 0x80, 0) }]
  ] as const)('that sends %s is blamed, and its session is over', (_, reply) => {
    const { a } = pair(pool.slice(0, 1), [])
    a.tell({ type: 'came', peer: 'liar', dialled: true })
    const [sent] = effectsOf(a, 'send')
    a.tell({ type: 'message', peer: 'liar', message: { session: sent?.message.session ?? 0, ...reply } })
    expect(effectsOf(a, 'blame')).toEqual([{ type: 'blame', peer: 'liar', reason: 'malformed-message' }])
    expect(a.state.sessions.size).toBe(0)
  })

  test('that sends facts which nobody asked for is blamed, and they are not looked at', () => {
    const { net, a, b } = pair(pool.slice(0, 1), pool.slice(0, 3))
    b.intercept = effect => {
      if (effect.type !== 'load') return false
      const fact = pool[77]
      b.tell({ ...effect, type: 'loaded', facts: fact === undefined ? [] : [fact.bytes], reached: 1 })
      return true
    }
    net.connect(a, b)
    net.settle()
    expect(effectsOf(a, 'blame')).toHaveLength(1)
    expect(effectsOf(a, 'admit')).toEqual([])
    expect(ids(a)).toHaveLength(1)
  })

  test('that asks without end is told to come back', () => {
    const { a } = pair(pool.slice(0, 1), [])
    a.tell({ type: 'came', peer: 'greedy', dialled: false })
    for (let session = 0; session < LIMITS.sync.comparisonsBurst + 10; session++) {
      const message = { type: 'open', session, registry: acme, ranges: Uint8Array.of(0x61) } as const
      a.tell({ type: 'message', peer: 'greedy', message })
    }
    const refused = effectsOf(a, 'send').filter(({ message }) => message.type === 'refused')
    expect(refused).toHaveLength(10)
    expect(a.state.peers.get('greedy')?.theirs.size).toBeLessThanOrEqual(1)
  })

  test('that answers slowly gives its place up when others wait', () => {
    const net = new SyncNet()
    const [a, slow, honest] = [net.node('a'), net.node('b'), net.node('c')]
    a.follow(acme, pool.slice(0, 1))
    slow.follow(acme, pool.slice(0, 1_400))
    honest.follow(acme, [...pool.slice(0, 1), ...pool.slice(1_400)])
    for (let index = 0; index < 3; index++) a.tell({ type: 'came', peer: `idle-${index}`, dialled: true })
    slow.intercept = effect => {
      if (effect.type === 'load') net.now += LIMITS.sync.answerMs - 1_000
      return false
    }
    net.connect(a, slow)
    net.connect(a, honest)
    net.settle()
    expect(ids(a)).toEqual(expect.arrayContaining([...ids(honest)]))
  })
})
