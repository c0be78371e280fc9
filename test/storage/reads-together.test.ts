import { Level } from 'level'
import { afterEach, expect, test, vi } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { openLevel } from '../../storage/level-key-value.ts'
import { ReadsTogether } from '../../storage/reads-together.ts'
import { tempDir } from '../support/temp-dir.ts'

afterEach(() => vi.restoreAllMocks())

const keys = Array.from({ length: 40 }, (_, i) => `key-${i}`)
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const texts = (values: readonly (Uint8Array | undefined)[]): readonly (string | undefined)[] =>
  values.map(value => (value === undefined ? undefined : new TextDecoder().decode(value)))

test('reads of a store that are asked for at once, and what follows from them, are one read each time', async () => {
  const store = await openLevel(await tempDir('level'))
  await store.batch(keys.map(key => ({ type: 'put', key, value: bytes(`${key}-next`) })))
  await store.batch(keys.map(key => ({ type: 'put', key: `${key}-next`, value: bytes(`end of ${key}`) })))
  const [one, many] = [vi.spyOn(Level.prototype, 'get'), vi.spyOn(Level.prototype, 'getMany')]
  const follow = async (key: string): Promise<Uint8Array | undefined> => {
    const [next] = texts([await store.get(key)])
    return next === undefined ? undefined : store.get(next)
  }
  const ends = await Promise.all(['absent', ...keys].map(follow))
  expect(texts(ends)).toEqual([undefined, ...keys.map(key => `end of ${key}`)])
  expect([one.mock.calls.length, many.mock.calls.length]).toEqual([0, 2])
  expect(texts([await store.get('key-7')])).toEqual(['key-7-next'])
  expect([one.mock.calls.length, many.mock.calls.length]).toEqual([1, 2])
  await store.close()
})

test('a store that is opened again meanwhile answers those who have asked', async () => {
  const store = await openLevel(await tempDir('level'))
  await store.batch(keys.map(key => ({ type: 'put', key, value: bytes(key) })))
  const reading = Promise.all(keys.map(key => store.get(key)))
  const alone = store.get('key-1')
  await store.recover()
  expect(texts(await reading)).toEqual(keys)
  expect(texts([await alone])).toEqual(['key-1'])
  await store.close()
})

test('who asks for what cannot be read is told so, and nobody else', async () => {
  const get = async (key: string): Promise<Uint8Array> => {
    if (key === 'bad') throw new Error('damaged')
    return bytes(key)
  }
  const reads = new ReadsTogether({ get, getMany: asked => Promise.all(asked.map(get)) })
  const [a, bad, b] = await Promise.allSettled(['a', 'bad', 'b'].map(key => reads.get(key)))
  expect([a, b]).toEqual([
    { status: 'fulfilled', value: bytes('a') },
    { status: 'fulfilled', value: bytes('b') }
  ])
  expect(bad).toMatchObject({ status: 'rejected', reason: { message: 'damaged' } })
})

test('no read goes with more than the bound', async () => {
  const asked: number[] = []
  const getMany = async (some: readonly string[]): Promise<readonly Uint8Array[]> => {
    asked.push(some.length)
    return some.map(bytes)
  }
  const reads = new ReadsTogether({ getMany, get: async key => bytes(key) })
  const many = Array.from({ length: 2 * LIMITS.storage.readsTogether + 3 }, (_, i) => String(i))
  expect(texts(await Promise.all(many.map(key => reads.get(key))))).toEqual(many)
  expect(asked).toEqual([LIMITS.storage.readsTogether, LIMITS.storage.readsTogether, 3])
})
