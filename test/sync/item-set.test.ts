import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ItemSet } from '../../protocol/sync/item-set.ts'
import type { Bound, Item } from '../../protocol/sync/item-set.ts'

/** Few times and ids that differ in few bytes, so that equal times, shared prefixes and doubles are common. */
const itemArbitrary: fc.Arbitrary<Item> = fc.record({
  time: fc.oneof(fc.nat({ max: 3 }), fc.maxSafeNat()),
  id: fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 255 }), fc.constantFrom(0, 255)).map(([first, second, rest]) => {
    const id = new Uint8Array(32).fill(rest)
    id[0] = first
    id[31] = second
    return id
  })
})

const boundArbitrary: fc.Arbitrary<Bound> = fc.record({
  time: fc.oneof(fc.nat({ max: 4 }), fc.constant(Infinity)),
  prefix: fc.uint8Array({ maxLength: 32, max: 4 })
})

describe('a set of items', () => {
  test('answers as a sorted array does, whatever was put in and taken out', () => {
    const change = fc.record({ item: itemArbitrary, out: fc.boolean() })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 600, size: 'max' }), fc.array(boundArbitrary), (changes, bounds) => {
        const set = new ItemSet()
        const naive = new Map<string, Item>()
        for (const { item, out } of changes) {
          const key = keyOf(item)
          if (out) expect(set.delete(item)).toBe(naive.delete(key))
          else {
            expect(set.insert(item)).toBe(!naive.has(key))
            naive.set(key, item)
          }
        }
        expectEqual(set, naive, bounds)
      }),
      { numRuns: 60 }
    )
  })

  test('is the same when built at once, doubles included', () => {
    fc.assert(
      fc.property(
        fc.array(itemArbitrary, { maxLength: 600, size: 'max' }),
        fc.array(boundArbitrary),
        (items, bounds) => {
          const naive = new Map(items.map(item => [keyOf(item), item]))
          expectEqual(ItemSet.fromUnsorted([...items, ...items.slice(0, 5)]), naive, bounds)
        }
      ),
      { numRuns: 60 }
    )
  })

  test('goes back to nothing', () => {
    const items = Array.from({ length: 1_000 }, (_, index) => numbered(index))
    const set = ItemSet.fromUnsorted(items)
    for (const item of items) expect(set.delete(item)).toBe(true)
    expect(set.size).toBe(0)
    expect(set.sum()).toEqual(new Uint8Array(32))
    expect(set.indexOf({ time: 5, prefix: new Uint8Array() })).toBe(0)
    expect(set.items(0, 10)).toEqual([])
    expect(set.insert(numbered(1))).toBe(true)
  })

  test('says that there is no item behind the last one', () => {
    expect(() => ItemSet.fromUnsorted([numbered(1)]).itemAt(1)).toThrow(RangeError)
  })

  test('builds 100,000 items and takes 1,000 more while others ask for fingerprints, without anybody noticing', () => {
    const items = Array.from({ length: 100_000 }, (_, index) => numbered(index))
    const set = ItemSet.fromUnsorted(items)
    for (let index = 0; index < 1_000; index++) {
      set.insert(numbered(200_000 + index))
      set.fingerprint(index, set.size - index)
    }
    expect(set.size).toBe(101_000)
  })
})

function numbered(index: number): Item {
  return { time: 1_700_000_000_000 + (index % 977), id: createHash('sha256').update(`item ${index}`).digest() }
}

function expectEqual(set: ItemSet, naive: ReadonlyMap<string, Item>, bounds: readonly Bound[]): void {
  const sorted = [...naive.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, item]) => item)
  expect(set.size).toBe(sorted.length)
  expect(set.items(0, sorted.length).map(keyOf)).toEqual(sorted.map(keyOf))
  expect(hex(set.sum())).toBe(hex(sumOf(sorted)))
  const cuts = [0, 1, Math.floor(sorted.length / 3), sorted.length - 1, sorted.length].filter(
    cut => cut >= 0 && cut <= sorted.length
  )
  for (const from of cuts) {
    for (const to of cuts.filter(cut => cut >= from)) {
      expect(hex(set.fingerprint(from, to))).toBe(hex(fingerprintOf(sorted.slice(from, to))))
      expect(set.items(from, to).map(keyOf)).toEqual(sorted.slice(from, to).map(keyOf))
    }
  }
  for (const [index, item] of sorted.entries()) {
    expect(set.has(item)).toBe(true)
    expect(keyOf(set.itemAt(index))).toBe(keyOf(item))
  }
  for (const bound of bounds) {
    const key = keyOf({
      time: bound.time,
      id: new Uint8Array([...bound.prefix, ...new Uint8Array(32)]).subarray(0, 32)
    })
    const expected = sorted.filter(item => bound.time === Infinity || keyOf(item) < key).length
    expect(set.indexOf(bound)).toBe(expected)
  }
}

/** Compares as text as items compare. */
function keyOf({ time, id }: Item): string {
  return `${time.toString().padStart(16, '0')} ${hex(id)}`
}

function sumOf(items: readonly Item[]): Uint8Array {
  let sum = 0n
  for (const { id } of items) sum += BigInt(`0x${hex(Uint8Array.from(id).reverse())}`)
  const text = (sum % 2n ** 256n).toString(16).padStart(64, '0')
  return Uint8Array.from(Buffer.from(text, 'hex')).reverse()
}

function fingerprintOf(items: readonly Item[]): Uint8Array {
  const digits = [items.length & 127]
  for (let rest = items.length >> 7; rest > 0; rest >>= 7) digits.unshift((rest & 127) | 128)
  const hash = createHash('sha256').update(sumOf(items)).update(Uint8Array.from(digits)).digest()
  return hash.subarray(0, 16)
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
