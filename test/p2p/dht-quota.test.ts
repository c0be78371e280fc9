import { join } from 'node:path'
import { LevelDatastore } from 'datastore-level'
import { expect, test } from 'vitest'
import { QuotaDatastore } from '../../node/p2p/dht.ts'
import type { Datastore } from '../../node/p2p/components.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { tempDir } from '../support/temp-dir.ts'

type Key = Parameters<Datastore['put']>[0]

async function open(): Promise<{ inner: LevelDatastore; quota: QuotaDatastore }> {
  const inner = new LevelDatastore(join(await tempDir('quota'), 'data'))
  await inner.open()
  const quota = new QuotaDatastore(inner, 'self')
  await quota.load()
  return { inner, quota }
}

/** Keys of the class that the store itself uses, whose package is not ours to name: level makes one of each name it holds. */
async function keys(inner: LevelDatastore): Promise<(name: string) => Key> {
  const seed = { toString: () => '/seed' } as Key
  await inner.put(seed, value)
  for await (const key of inner.queryKeys({ prefix: '/seed' })) {
    await inner.delete(seed)
    const make = key.constructor as new (name: string) => Key
    return name => new make(name)
  }
  throw new Error('the store lost its seed')
}

const value = Uint8Array.of(1, 2, 3)

test('one peer may store 1,000 records, and no more however it asks', async () => {
  const { inner, quota } = await open()
  const key = await keys(inner)
  for (let i = 0; i < LIMITS.dht.recordsPerPeer; i++) await quota.put(key(`/dht/provider/c${i}/peer`), value)
  await expect(quota.put(key('/dht/provider/one-more/peer'), value)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  await quota.put(key('/dht/provider/one-more/other'), value)
  await quota.put(key('/dht/provider/c1/peer'), value)
  await quota.delete(key('/dht/provider/c1/peer'))
  await quota.put(key('/dht/provider/one-more/peer'), value)
  expect(quota.records).toBe(LIMITS.dht.recordsPerPeer + 1)
  await inner.close()
})

test('one content root has at most 20 providers, of which our own does not count', async () => {
  const { inner, quota } = await open()
  const key = await keys(inner)
  for (let i = 0; i < LIMITS.dht.providersPerKey; i++) await quota.put(key(`/dht/provider/c/peer${i}`), value)
  await expect(quota.put(key('/dht/provider/c/late'), value)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  await quota.put(key('/dht/provider/c/self'), value)
  await inner.close()
})

test('all records together have a bound in bytes, which rewriting does not get past', async () => {
  const { inner, quota } = await open()
  const key = await keys(inner)
  const { recordBytes, totalBytes, recordsPerPeer } = LIMITS.dht
  // What counts is what was written, so a store that writes nothing shows it as well, and in no time.
  inner.put = async name => name
  const large = new Uint8Array(recordBytes - 64)
  const small = new Uint8Array(8)
  let kept = 0
  const fill = async (): Promise<void> => {
    for (; kept * recordBytes < 2 * totalBytes; kept++) {
      const peer = Math.floor(kept / recordsPerPeer)
      await quota.put(key(`/dht/provider/c${kept}/p${peer}`), large)
    }
  }
  await expect(fill()).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  expect(kept).toBeGreaterThanOrEqual(totalBytes / recordBytes - 1)
  expect(kept * large.length).toBeLessThanOrEqual(totalBytes)
  await quota.put(key('/dht/provider/later/last'), small)
  await expect(quota.put(key('/dht/provider/later/last'), large)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  await quota.put(key('/dht/provider/c0/p0'), small)
  await quota.put(key('/dht/provider/later/last'), large)
  await inner.close()
})

test('many records at once cannot slip past the count', async () => {
  const { inner, quota } = await open()
  const key = await keys(inner)
  const results = await Promise.allSettled(
    Array.from({ length: 100 }, async (_, i) => await quota.put(key(`/dht/provider/c/peer${i}`), value))
  )
  expect(results.filter(({ status }) => status === 'fulfilled').length).toBe(LIMITS.dht.providersPerKey)
  await inner.close()
})

test('values, oversized records and batches are refused; what is not of the DHT passes', async () => {
  const { inner, quota } = await open()
  const key = await keys(inner)
  await expect(quota.put(key('/dht/record/pk'), value)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  await expect(quota.put(key('/dht/provider/c/p'), new Uint8Array(9_000))).rejects.toMatchObject({
    code: 'LIMIT_EXCEEDED'
  })
  expect(() => quota.batch().put(key('/dht/provider/c/p'), value)).toThrow()
  await quota.put(key('/peers/x'), value)
  expect(Uint8Array.from(await quota.get(key('/peers/x')))).toEqual(value)
  await inner.close()
})

test('counts what is there already after a restart', async () => {
  const { inner, quota } = await open()
  const key = await keys(inner)
  for (let i = 0; i < LIMITS.dht.providersPerKey; i++) await quota.put(key(`/dht/provider/c/peer${i}`), value)
  const again = new QuotaDatastore(inner, 'self')
  await again.load()
  expect(again.records).toBe(LIMITS.dht.providersPerKey)
  await expect(again.put(key('/dht/provider/c/late'), value)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  await inner.close()
})
