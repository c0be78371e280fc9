import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { KeyRange, KeyValue } from '../../storage/key-value.ts'

const bytes = (...values: number[]) => Uint8Array.from(values)

/** What every KeyValue must do. Run it on the fake and on the real thing, so the fake cannot lie. */
export function keyValueContract(name: string, open: () => Promise<KeyValue>): void {
  describe(`${name} as a KeyValue`, () => {
    let store: KeyValue
    beforeEach(async () => {
      store = await open()
    })
    afterEach(async () => {
      await store.close()
    })

    const put = (entries: Readonly<Record<string, Uint8Array>>) =>
      store.batch(Object.entries(entries).map(([key, value]) => ({ type: 'put', key, value })))
    const keysOf = async (range: KeyRange) => {
      const keys: string[] = []
      for await (const [key] of store.iterate(range)) keys.push(key)
      return keys
    }

    test('returns what was put, the empty value included, and undefined for the rest', async () => {
      await put({ a: bytes(1, 2), b: bytes() })
      expect(await store.get('a')).toEqual(bytes(1, 2))
      expect(await store.get('b')).toEqual(bytes())
      expect(await store.get('c')).toBeUndefined()
      expect(await store.getMany(['c', 'b', 'a'])).toEqual([undefined, bytes(), bytes(1, 2)])
      expect([await store.has('b'), await store.has('c')]).toEqual([true, false])
    })

    test('applies the operations of a batch in their order', async () => {
      await store.batch(
        [
          { type: 'put', key: 'a', value: bytes(1) },
          { type: 'del', key: 'a' },
          { type: 'put', key: 'b', value: bytes(1) },
          { type: 'put', key: 'b', value: bytes(2) },
          { type: 'del', key: 'never-there' }
        ],
        { sync: true }
      )
      expect(await store.getMany(['a', 'b'])).toEqual([undefined, bytes(2)])
    })

    test('writes nothing of a batch that holds one bad operation', async () => {
      const batch = store.batch([
        { type: 'put', key: 'good', value: bytes(1) },
        { type: 'put', key: 'bad key', value: bytes(1) }
      ])
      await expect(batch).rejects.toMatchObject({ code: 'INTERNAL' })
      expect(await store.has('good')).toBe(false)
    })

    test.each(['', ' ', 'ü', 'a\nb', 'x'.repeat(LIMITS.storage.keyChars + 1)])('refuses the key %j', async key => {
      await expect(store.get(key)).rejects.toBeInstanceOf(RegistryError)
      await expect(store.batch([{ type: 'del', key }])).rejects.toBeInstanceOf(RegistryError)
    })

    test('refuses values, batches and counts above their limits', async () => {
      const large = new Uint8Array(LIMITS.storage.valueBytes + 1)
      const many = Array.from(
        { length: LIMITS.storage.batchOperations + 1 },
        () => ({ type: 'del', key: 'a' }) as const
      )
      await expect(put({ a: large })).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
      await expect(store.batch(many)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
    })

    test('iterates in byte order within every kind of bound', async () => {
      await put({ b: bytes(2), B: bytes(1), 'a!2': bytes(4), 'a!10': bytes(3), '~': bytes(5) })
      expect(await keysOf({})).toEqual(['B', 'a!10', 'a!2', 'b', '~'])
      expect(await keysOf({ gte: 'a!', lt: 'a!~' })).toEqual(['a!10', 'a!2'])
      expect(await keysOf({ gt: 'a!10', lte: 'b' })).toEqual(['a!2', 'b'])
      expect(await keysOf({ gt: 'B', lt: '~', reverse: true, limit: 2 })).toEqual(['b', 'a!2'])
      expect(await keysOf({ gte: 'x', lt: 'c' })).toEqual([])
      expect(await keysOf({ limit: 0 })).toEqual([])
    })

    test('refuses a range with two bounds at one end', async () => {
      await expect(keysOf({ gt: 'a', gte: 'a' })).rejects.toMatchObject({ code: 'INTERNAL' })
      await expect(keysOf({ lt: 'a', lte: 'a' })).rejects.toMatchObject({ code: 'INTERNAL' })
    })

    test('iterates with values, or with keys and empty values', async () => {
      await put({ a: bytes(1), b: bytes(2) })
      const full: unknown[] = []
      for await (const entry of store.iterate()) full.push(entry)
      expect(full).toEqual([
        ['a', bytes(1)],
        ['b', bytes(2)]
      ])
      for await (const [, value] of store.iterate({ keysOnly: true })) expect(value).toEqual(bytes())
    })

    test('an iteration sees the store as it was when it began', async () => {
      await put({ a: bytes(1), c: bytes(3) })
      const iteration = store.iterate()[Symbol.asyncIterator]()
      const first = await iteration.next()
      await put({ b: bytes(9), c: bytes(9) })
      expect(first.value).toEqual(['a', bytes(1)])
      expect((await iteration.next()).value).toEqual(['c', bytes(3)])
      expect((await iteration.next()).done).toBe(true)
    })

    test('an aborted iteration throws the reason of its signal', async () => {
      await put({ a: bytes(1), b: bytes(2) })
      const controller = new AbortController()
      const reason = new RegistryError('CANCELLED', 'enough')
      const iterate = async () => {
        for await (const [key] of store.iterate({ signal: controller.signal }))
          if (key === 'a') controller.abort(reason)
      }
      await expect(iterate()).rejects.toBe(reason)
    })

    test('an iteration that is left early leaves the store usable', async () => {
      await put({ a: bytes(1), b: bytes(2) })
      for await (const [key] of store.iterate()) if (key === 'a') break
      expect(await store.get('b')).toEqual(bytes(2))
    })

    test('values belong to the caller: changing one changes nothing stored', async () => {
      const value = bytes(1)
      await put({ a: value })
      value[0] = 9
      const read = await store.get('a')
      read?.fill(7)
      for await (const [, seen] of store.iterate()) seen.fill(8)
      expect(await store.get('a')).toEqual(bytes(1))
    })

    test('a closed store refuses everything with one code', async () => {
      await store.close()
      await expect(store.get('a')).rejects.toMatchObject({ code: 'INTERNAL' })
      await expect(put({ a: bytes(1) })).rejects.toMatchObject({ code: 'INTERNAL' })
      await expect(keysOf({})).rejects.toMatchObject({ code: 'INTERNAL' })
    })
  })
}
