import { expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { Records } from '../../storage/records.ts'
import { registryNamed } from '../support/swarm-node.ts'

const registry = registryNamed('acme')

test('peers without end leave a bounded number of cursors, and the one in use stays', async () => {
  const kv = memoryKeyValue()
  const records = new Records(kv)
  await records.putCursor(registry, 'honest', { epoch: 'e', after: 7 })
  for (let i = 0; i < LIMITS.peers.cursors + 100; i++) {
    await records.putCursor(registry, `sybil-${i}`, { epoch: 'e', after: 1 })
    if (i % 1_000 === 0) await records.cursor(registry, 'honest')
  }
  let count = 0
  for await (const _ of kv.iterate({ gte: 'cursor!', lt: 'cursor!~' })) count += 1
  expect(count).toBe(LIMITS.peers.cursors)
  expect(await records.cursor(registry, 'honest')).toEqual({ epoch: 'e', after: 7 })
  expect(await records.cursor(registry, 'sybil-0')).toBeUndefined()
})

test('more cursors than one write takes are forgotten as a whole', async () => {
  const kv = memoryKeyValue()
  const value = new Uint8Array(1)
  for (let from = 0; from < 70_000; from += 10_000) {
    const keys = Array.from({ length: 10_000 }, (_, i) => `cursor!${registry}!peer-${from + i}`)
    await kv.batch(keys.map(key => ({ type: 'put', key, value })))
  }
  const records = new Records(kv)
  await records.forgetCursors(registry)
  for await (const _ of kv.iterate({ gte: 'cursor!', lt: 'cursor!~' })) expect.fail('a cursor is left')
  await records.putCursor(registry, 'honest', { epoch: 'e', after: 7 })
  expect(await records.cursor(registry, 'honest')).toEqual({ epoch: 'e', after: 7 })
})
