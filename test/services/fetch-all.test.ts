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

test('what came of each package, and who sent it, is told of that package alone', async () => {
  const both = Promise.withResolvers<void>()
  let under = 0
  const content: PackageContent = {
    ...nothing,
    fetch: async ({ size }, _, trail) => {
      under += 1
      if (under === 2) both.resolve()
      await both.promise
      trail?.here(7)
      trail?.block('dag', `peer of ${size}`, size - 100)
      trail?.block('bitswap', 'another', 100)
      return { fetched: size }
    }
  }
  const sizes = [LIMITS.dag.eagerBytes + 1, LIMITS.dag.eagerBytes + 2]
  const arrived = await fetchAll(steps(sizes), { content, ...around })
  const told = [...arrived.values()].map(({ from, bytes }) => ({ from, bytes }))
  expect(told).toEqual(sizes.map(size => ({ from: [`peer of ${size}`, 'another'], bytes: size })))
})

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
