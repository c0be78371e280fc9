import { expect, test } from 'vitest'
import { fetchAll } from '../../node/services/project/execute.ts'
import type { PackageContent } from '../../node/services/project/execute.ts'
import type { Step } from '../../node/services/project/plan.ts'

test('packages that have come are not installed before they are durable', async () => {
  const durable = Promise.withResolvers<void>()
  const content: PackageContent = {
    isHere: async () => false,
    fetch: async (_order, _signal, trail) => {
      trail?.stored()
      await durable.promise
      return { fetched: 1 }
    },
    fetchTogether: async () => new Set(),
    onPlaced: async () => undefined,
    unpack: async () => new Map(),
    filesOf: async () => undefined,
    meter: { read: () => new Map() },
    isRelayed: () => false
  }
  const steps = Array.from({ length: 9 }, (_, i) => ({ pack: { id: `p${i}`, cid: `c${i}` }, release: { size: 1 } }))
  const { signal } = new AbortController()
  let isOver = false
  const all = fetchAll(steps as unknown as Step[], { content, now: () => 0, signal, onProgress: () => undefined })
  void all.then(() => (isOver = true))
  await new Promise(resolve => setImmediate(resolve))
  expect(isOver).toBe(false)
  durable.resolve()
  expect((await all).size).toBe(9)
})
