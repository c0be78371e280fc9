import { expect, test } from 'vitest'
import { fetchAll } from '../../node/services/project/execute.ts'
import type { PackageContent } from '../../node/services/project/execute.ts'
import type { Step } from '../../node/services/project/plan.ts'
import { LIMITS } from '../../protocol/limits.ts'

const nothing: PackageContent = {
  isHere: async () => false,
  fetch: async () => ({ fetched: 1 }),
  fetchTogether: async () => new Set(),
  onPlaced: async () => undefined,
  unpack: async () => new Map(),
  filesOf: async () => undefined,
  meter: { read: () => new Map() },
  isRelayed: () => false
}

const { signal } = new AbortController()
const around = { now: () => 0, signal, onProgress: () => undefined }

function steps(sizes: readonly number[]): readonly Step[] {
  const all = sizes.map((size, i) => ({
    pack: { id: `p${i}`, cid: `c${i}`, name: `ggen/p${i}`, alias: 'acme', version: '1.0.0' },
    release: { size }
  }))
  return all as unknown as Step[]
}

test('packages that have come are not installed before they are durable', async () => {
  const durable = Promise.withResolvers<void>()
  const content: PackageContent = {
    ...nothing,
    fetch: async (_order, _signal, trail) => {
      trail?.stored()
      await durable.promise
      return { fetched: 1 }
    }
  }
  let isOver = false
  const all = fetchAll(steps(Array.from({ length: 9 }, () => 1)), { ...around, content })
  void all.then(() => (isOver = true))
  await new Promise(resolve => setImmediate(resolve))
  expect(isOver).toBe(false)
  durable.resolve()
  expect((await all).size).toBe(9)
})

test('what is too large to come with others is asked for at the same time, and alone', async () => {
  const begun: string[] = []
  const come = Promise.withResolvers<void>()
  const ask = async <T>(names: readonly string[], answer: T): Promise<T> => {
    begun.push(names.join(' '))
    await come.promise
    return answer
  }
  const content: PackageContent = {
    ...nothing,
    fetch: async ({ root }) => ask([root], { fetched: 1 }),
    fetchTogether: async orders => {
      const roots = orders.map(({ root }) => root)
      return ask(roots, new Set(roots))
    }
  }
  const { eagerBytes } = LIMITS.dag
  const all = fetchAll(steps([1, eagerBytes + 1, eagerBytes, 2]), { ...around, content })
  await new Promise(resolve => setImmediate(resolve))
  // Nothing has come yet, of the one or of the others.
  expect(begun.toSorted()).toEqual(['c0 c2 c3', 'c1'])
  come.resolve()
  expect([...(await all).keys()].toSorted()).toEqual(['p0', 'p1', 'p2', 'p3'])
  expect(begun).toHaveLength(2)
})
