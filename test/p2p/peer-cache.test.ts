import { join } from 'node:path'
import { LevelDatastore } from 'datastore-level'
import { afterEach, expect, test } from 'vitest'
import type { Datastore } from '../../node/p2p/components.ts'
import { PeerCache } from '../../node/p2p/peer-cache.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { tempDir } from '../support/temp-dir.ts'

type Key = Parameters<Datastore['put']>[0]

const opened: LevelDatastore[] = []

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close()
})

async function open() {
  const inner = new LevelDatastore(join(await tempDir('peers'), 'data'))
  await inner.open()
  opened.push(inner)
  const due: (() => void)[] = []
  const clock = {
    now: () => 0,
    after: (_ms: number, task: () => void) => {
      due.push(task)
      return () => void due.splice(due.indexOf(task), 1)
    }
  }
  const quiet = { debug: () => {}, info: () => {}, warn: () => {} }
  const cache = new PeerCache({ inner, self: '/peers/self', clock, log: quiet })
  // The class of keys that the store itself uses: its package is not ours to name.
  await inner.put({ toString: () => '/seed' } as Key, new Uint8Array([0]))
  let make: new (name: string) => Key = Object as never
  for await (const key of inner.queryKeys({ prefix: '/seed' })) make = key.constructor as typeof make
  return { inner, cache, due, key: (name: string) => new make(name) }
}

const one = new Uint8Array([1])
const two = new Uint8Array([2])

test('a record of a peer is read as it was put, and reaches the disk later, in one write', async () => {
  const { inner, cache, due, key } = await open()
  await cache.put(key('/peers/a'), one)
  await cache.put(key('/peers/a'), two)
  expect(await cache.get(key('/peers/a'))).toEqual(two)
  expect(await inner.has(key('/peers/a'))).toBe(false)
  expect(due.length).toBe(1)
  await cache.flush()
  expect(Uint8Array.from(await inner.get(key('/peers/a')))).toEqual(two)
  expect(due.length).toBe(0)
})

test('everything else goes straight to the disk', async () => {
  const { inner, cache, key } = await open()
  await cache.put(key('/dht/x'), one)
  expect(await inner.has(key('/dht/x'))).toBe(true)
})

test('a caller that changes its bytes afterwards changes nothing', async () => {
  const { cache, key } = await open()
  const bytes = Uint8Array.from(one)
  await cache.put(key('/peers/a'), bytes)
  bytes[0] = 9
  const read = await cache.get(key('/peers/a'))
  read[0] = 9
  expect(await cache.get(key('/peers/a'))).toEqual(one)
})

test('a deleted record does not come back, whatever was being written', async () => {
  const { inner, cache, key } = await open()
  await cache.put(key('/peers/a'), one)
  const flushed = cache.flush()
  await cache.delete(key('/peers/a'))
  await flushed
  expect(await cache.has(key('/peers/a'))).toBe(false)
  expect(await inner.has(key('/peers/a'))).toBe(false)
})

test('a query sees what was not written yet', async () => {
  const { cache, key } = await open()
  await cache.put(key('/peers/a'), one)
  const found: string[] = []
  for await (const { key: name } of cache.query({ prefix: '/peers/' })) found.push(name.toString())
  expect(found).toEqual(['/peers/a'])
})

test('memory is bounded, and what leaves it is on disk', async () => {
  const { inner, cache, key } = await open()
  const count = LIMITS.peers.cached * 2 + 1
  for (let i = 0; i < count; i++) await cache.put(key(`/peers/${i}`), one)
  expect(await inner.has(key('/peers/0'))).toBe(true)
  expect(cache.size).toBe(LIMITS.peers.cached)
  expect(Uint8Array.from(await cache.get(key('/peers/0')))).toEqual(one)
})

test('the disk is bounded too, over restarts, and keeps our own record and the newest', async () => {
  const { inner, cache, key } = await open()
  await inner.put(key('/peers/self'), one)
  const many = LIMITS.peers.stored + 500
  const old = inner.batch()
  for (let i = 0; i < many; i++) old.put(key(`/peers/a${String(i).padStart(6, '0')}`), one)
  await old.commit()
  await cache.load()
  await cache.put(key('/peers/new'), two)
  await cache.flush()
  let count = 0
  for await (const _ of inner.queryKeys({ prefix: '/peers/' })) count += 1
  expect(count).toBe(LIMITS.peers.stored)
  expect([await inner.has(key('/peers/self')), await inner.has(key('/peers/new'))]).toEqual([true, true])
  expect(await inner.has(key('/peers/a000000'))).toBe(false)
})

test('closing writes what is left, and what a library puts after that disturbs no closed store', async () => {
  const { inner, cache, due, key } = await open()
  await cache.put(key('/peers/a'), one)
  await cache.close()
  expect(Uint8Array.from(await inner.get(key('/peers/a')))).toEqual(one)
  await cache.put(key('/peers/b'), two)
  expect(due).toEqual([])
})
