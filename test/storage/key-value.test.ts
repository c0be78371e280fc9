import { open as openFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isRegistryError } from '../../protocol/errors.ts'
import type { KeyRange, KeyValue, KeyValueOp } from '../../storage/key-value.ts'
import { openLevel } from '../../storage/level-key-value.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { failing, PlannedFailure } from '../support/failing.ts'
import { tempDir } from '../support/temp-dir.ts'
import { keyValueContract } from './key-value.contract.ts'

keyValueContract('memory', async () => memoryKeyValue())
keyValueContract('level', async () => openLevel(await tempDir('level')))

const key = fc.string({ unit: fc.constantFrom('!', 'a', 'B', '0', '~'), minLength: 1, maxLength: 3 })
const op: fc.Arbitrary<KeyValueOp> = fc.oneof(
  fc.record({ type: fc.constant('put' as const), key, value: fc.uint8Array({ maxLength: 8 }) }),
  fc.record({ type: fc.constant('del' as const), key })
)
const lower = fc.oneof(fc.record({ gt: key }), fc.record({ gte: key }), fc.constant({}))
const upper = fc.oneof(fc.record({ lt: key }), fc.record({ lte: key }), fc.constant({}))
const manner = fc.record({ reverse: fc.boolean(), limit: fc.nat(5), keysOnly: fc.boolean() }, { requiredKeys: [] })
const range: fc.Arbitrary<KeyRange> = fc
  .tuple(lower, upper, manner)
  .map(([low, high, how]) => ({ ...low, ...high, ...how }))

/** The same answers from a plain Map, by filtering everything. */
function modelled(model: ReadonlyMap<string, Uint8Array>, asked: KeyRange): readonly (readonly [string, Uint8Array])[] {
  const { gt, gte, lt, lte, reverse = false, limit, keysOnly = false } = asked
  const inside = [...model].filter(
    ([name]) =>
      (gt === undefined || name > gt) &&
      (gte === undefined || name >= gte) &&
      (lt === undefined || name < lt) &&
      (lte === undefined || name <= lte)
  )
  inside.sort(([a], [b]) => (a < b ? -1 : 1))
  if (reverse) inside.reverse()
  return inside.slice(0, limit).map(([name, value]) => [name, keysOnly ? new Uint8Array(0) : value])
}

async function collect(store: KeyValue, asked: KeyRange): Promise<unknown> {
  const found: unknown[] = []
  for await (const [name, value] of store.iterate(asked)) found.push([name, Uint8Array.from(value)])
  return found
}

describe('a KeyValue and a plain map', () => {
  test.each([
    ['memory', async () => memoryKeyValue()],
    ['level', async () => openLevel(await tempDir('model'))]
  ] as const)('%s answers as the map does, whatever was written', async (_, open) => {
    const store = await open()
    const property = fc.asyncProperty(
      fc.array(fc.array(op, { maxLength: 6 }), { maxLength: 6 }),
      range,
      async (batches, asked) => {
        const model = new Map<string, Uint8Array>()
        const left: KeyValueOp[] = []
        for await (const [name] of store.iterate({ keysOnly: true })) left.push({ type: 'del', key: name })
        await store.batch(left)
        for (const ops of batches) {
          await store.batch(ops)
          for (const change of ops) {
            if (change.type === 'put') model.set(change.key, change.value)
            else model.delete(change.key)
          }
        }
        expect(await collect(store, asked)).toEqual(modelled(model, asked))
      }
    )
    await fc.assert(property, { numRuns: 150 })
    await store.close()
  })
})

describe('the level store', () => {
  test('keeps what was written when it is closed and opened again', async () => {
    const dir = await tempDir('level')
    const first = await openLevel(dir)
    await first.batch([{ type: 'put', key: 'a', value: Uint8Array.of(1) }], { sync: true })
    await first.close()
    const second = await openLevel(dir)
    expect(await second.get('a')).toEqual(Uint8Array.of(1))
    await second.close()
  })

  test('says that another process has the store open', async () => {
    const dir = await tempDir('level')
    const first = await openLevel(dir)
    await expect(openLevel(dir)).rejects.toMatchObject({ code: 'HOME_LOCKED' })
    await first.close()
  })

  test('operations that come while it recovers wait for it', async () => {
    const store = await openLevel(await tempDir('level'))
    await store.batch([{ type: 'put', key: 'a', value: Uint8Array.of(1) }])
    const recovered = store.recover()
    expect(await store.get('a')).toEqual(Uint8Array.of(1))
    await store.batch([{ type: 'put', key: 'b', value: Uint8Array.of(2) }])
    await recovered
    expect(await store.get('b')).toEqual(Uint8Array.of(2))
    await store.close()
  })

  test('a bit flipped anywhere in a table is never returned as if it had been stored', async () => {
    const dir = await tempDir('level')
    const value = (i: number) => Uint8Array.from({ length: 64 }, (_, at) => (i * 31 + at * 7) & 255)
    const names = Array.from({ length: 200 }, (_, i) => `key!${String(i).padStart(3, '0')}`)
    const store = await openLevel(dir)
    await store.batch(names.map((name, i) => ({ type: 'put', key: name, value: value(i) })))
    await store.close()
    // Opening moves the log into a table.
    await (await openLevel(dir)).close()
    const table = (await readdir(dir)).find(name => name.endsWith('.ldb'))
    expect(table).toBeDefined()
    let detected = 0
    for (let step = 0; step < 24; step++) {
      const undo = await flipBit(join(dir, table ?? ''), step * 509 + 11)
      detected += await countDamage(dir, names, value)
      await undo()
    }
    expect(detected).toBeGreaterThan(12)
  })
})

/** Reads everything; wrong bytes fail the test, refused or missing ones count as damage that was seen. */
async function countDamage(dir: string, names: readonly string[], value: (i: number) => Uint8Array): Promise<number> {
  let damage = 0
  const store = await openLevel(dir).catch((error: unknown) => error)
  if (store instanceof Error) return isRegistryError(store) ? 1 : Promise.reject(store)
  const opened = store as KeyValue
  for (const [i, name] of names.entries()) {
    try {
      const read = await opened.get(name)
      if (read === undefined) damage = 1
      else expect(Uint8Array.from(read)).toEqual(value(i))
    } catch (error) {
      expect(error).toMatchObject({ code: 'STORE_CORRUPT' })
      damage = 1
    }
  }
  await opened.close()
  return damage
}

async function flipBit(file: string, offset: number): Promise<() => Promise<void>> {
  const flip = async () => {
    const handle = await openFile(file, 'r+')
    const { size } = await handle.stat()
    const at = offset % size
    const byte = Buffer.alloc(1)
    await handle.read(byte, 0, 1, at)
    await handle.write(Buffer.of((byte[0] ?? 0) ^ 4), 0, 1, at)
    await handle.close()
  }
  await flip()
  return flip
}

describe('failing', () => {
  test.each([
    [true, Uint8Array.of(1)],
    [false, undefined]
  ])('breaks one write (persisted: %s) and lets the rest through', async (persisted, left) => {
    const store = memoryKeyValue()
    const broken = failing(store, name => name.startsWith('head!'), { persisted })
    const write = () => broken.batch([{ type: 'put', key: 'head!x', value: Uint8Array.of(1) }])
    await broken.batch([{ type: 'put', key: 'other', value: Uint8Array.of(0) }])
    await expect(write()).rejects.toBeInstanceOf(PlannedFailure)
    expect(await broken.get('head!x')).toEqual(left)
    await write()
    expect(await broken.get('head!x')).toEqual(Uint8Array.of(1))
  })
})
