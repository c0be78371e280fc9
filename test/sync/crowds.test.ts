import { expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { FactMaker, registryNamed } from '../support/fact-maker.ts'
import { SyncNet } from '../support/sync-net.ts'
import type { SyncNode } from '../support/sync-net.ts'

const acme = registryNamed('acme')
const pool = new FactMaker(acme).many(200)

function ids(node: SyncNode): readonly string[] {
  return [...(node.facts.get(acme)?.keys() ?? [])].sort()
}

function reconciled(node: SyncNode): number {
  return node.effects.filter(({ type }) => type === 'reconciled').length
}

test('sides that differ by few facts push them; one that lacks many is told so, and asks after a moment', () => {
  const { pushFacts } = LIMITS.sync
  for (const lacks of [pushFacts, pushFacts + 1]) {
    const net = new SyncNet()
    const [a, b] = [net.node('a'), net.node('b')]
    a.follow(acme, pool.slice(0, 20 + lacks))
    b.follow(acme, pool.slice(0, 20))
    net.connect(a, b)
    net.settle()
    expect(net.sent.filter(({ message }) => message.type === 'push')).toHaveLength(lacks > pushFacts ? 0 : 1)
    expect(net.sent.at(-1)?.message).toMatchObject({ type: 'done', end: lacks > pushFacts ? 'behind' : 'complete' })
    expect(ids(b)).toHaveLength(lacks > pushFacts ? 20 : 20 + lacks)
    net.pass(LIMITS.sync.soonMs)
    expect(ids(b)).toEqual(ids(a))
    expect(reconciled(a) + reconciled(b)).toBe(2)
  }
})

test('two crowds move every fact about once to each who lacks it', () => {
  const net = new SyncNet()
  const crowds = [pool.slice(0, 100), pool.slice(100, 200)].map((facts, side) =>
    Array.from({ length: 6 }, (_, index) => {
      const node = net.node(`${side}${index}`)
      node.follow(acme, facts)
      return node
    })
  )
  const [ours = [], theirs = []] = crowds
  for (const [i, a] of ours.entries())
    for (const [j, b] of theirs.entries()) net.connect(...((i + j) % 2 === 0 ? ([a, b] as const) : ([b, a] as const)))
  net.settle()
  for (let i = 0; i < 4; i++) net.pass(LIMITS.sync.soonMs)
  for (const node of [...ours, ...theirs]) expect(ids(node)).toHaveLength(200)
  const moved = net.sent.reduce((sum, { message }) => sum + ('facts' in message ? message.facts.length : 0), 0)
  expect(moved).toBeLessThan(12 * 100 * 1.2)
})
