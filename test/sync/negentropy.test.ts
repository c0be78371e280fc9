import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toHex } from '../../protocol/bytes.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { ItemSet } from '../../protocol/sync/item-set.ts'
import type { Item } from '../../protocol/sync/item-set.ts'
import { initiate, learn, respond } from '../../protocol/sync/negentropy.ts'
import { ByteReader, formatVarint } from '../../protocol/sync/varint.ts'
import { codeOf } from '../support/error-code.ts'

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))

function item(index: number, spread = 1_000): Item {
  return { time: index % spread, id: createHash('sha256').update(`item ${index}`).digest() }
}

/** Both sides until there is nothing left to compare. */
function reconcile(ours: ItemSet, theirs: ItemSet, frameBytes?: number) {
  const have = new Set<string>()
  const need = new Set<string>()
  let exchanges = 0
  let bytes = 0
  for (let message: Uint8Array | undefined = initiate(ours); message !== undefined; exchanges++) {
    if (exchanges > 10_000) throw new Error('it does not end')
    const answer = respond(theirs, message, frameBytes)
    expect(answer.length).toBeLessThanOrEqual(frameBytes ?? LIMITS.sync.frameBytes)
    const learned = learn(ours, answer, frameBytes)
    // A message that was full names some ids again, which by then are usually on both sides.
    for (const id of learned.need.flatMap(range => range.ids)) need.add(toHex(id))
    for (const { from, to, except } of learned.have) {
      for (const { id } of ours.items(ours.indexOf(from), ours.indexOf(to)))
        if (!except.has(toHex(id))) have.add(toHex(id))
    }
    bytes += message.length + answer.length
    message = learned.next
  }
  return { have, need, exchanges, bytes }
}

const idsOf = (items: readonly Item[]): Set<string> => new Set(items.map(({ id }) => toHex(id)))

describe('reconciliation', () => {
  test('finds exactly the two differences, whatever the sets, also in small messages', () => {
    const part = fc.integer({ min: 0, max: 3_000 })
    const times = fc.constantFrom(1, 7, 1_000, 1_000_000)
    const frame = fc.constantFrom(undefined, 4_096, 5_000, 16_384)
    fc.assert(
      fc.property(fc.tuple(part, part, part), times, frame, ([common, onlyOurs, onlyTheirs], spread, frameBytes) => {
        const at = (from: number, count: number) => Array.from({ length: count }, (_, i) => item(from + i, spread))
        const [both, ours, theirs] = [at(0, common), at(10_000, onlyOurs), at(20_000, onlyTheirs)]
        const result = reconcile(
          ItemSet.fromUnsorted([...both, ...ours]),
          ItemSet.fromUnsorted([...both, ...theirs]),
          frameBytes
        )
        expect(result.have).toEqual(idsOf(ours))
        expect(result.need).toEqual(idsOf(theirs))
      }),
      { numRuns: 20 }
    )
  })

  test('of equal sets ends in one exchange, whatever the order in which they were filled', () => {
    const items = Array.from({ length: 5_000 }, (_, index) => item(index))
    const other = new ItemSet()
    for (const each of items.toReversed()) other.insert(each)
    expect(reconcile(ItemSet.fromUnsorted(items), other)).toMatchObject({
      exchanges: 1,
      have: new Set(),
      need: new Set()
    })
  })

  test('of one change among 100,000 takes two exchanges and less than 3 KiB', () => {
    const items = Array.from({ length: 100_000 }, (_, index) => item(index, 1_000_000))
    const { exchanges, bytes } = reconcile(ItemSet.fromUnsorted(items.slice(1)), ItemSet.fromUnsorted(items))
    expect(exchanges).toBeLessThanOrEqual(2)
    expect(bytes).toBeLessThan(3 * 1024)
  })
})

describe('the bytes', () => {
  // Ids of one repeated byte, so that sums can be made by hand.
  const id = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)
  const small = ItemSet.fromUnsorted([
    { time: 5, id: id(0x11) },
    { time: 300, id: id(0x22) }
  ])

  test('of numbers are base 128, the most significant digit first', () => {
    const cases: readonly (readonly [number, string])[] = [
      [0, '00'],
      [127, '7f'],
      [128, '8100'],
      [300, '822c'],
      [16_384, '818000'],
      [Number.MAX_SAFE_INTEGER, '8fffffffffffff7f']
    ]
    for (const [value, bytes] of cases) {
      expect(toHex(formatVarint(value))).toBe(bytes)
      expect(new ByteReader(hex(bytes)).varint()).toBe(value)
    }
  })

  test('of a small set are one list up to the end', () => {
    // version, end (time 0 = infinity, no prefix), mode 2, two ids
    expect(toHex(initiate(small))).toBe(`61 00 00 02 02 ${'11'.repeat(32)} ${'22'.repeat(32)}`.replaceAll(' ', ''))
    expect(toHex(initiate(new ItemSet()))).toBe('6100000200')
  })

  test('of a fingerprint are the hash of sum and count', () => {
    // 0x11… + 0x22… = 0x33…; sha256(33 x 32 ++ 02)
    const expected = createHash('sha256')
      .update(new Uint8Array(32).fill(0x33))
      .update(hex('02'))
      .digest()
      .subarray(0, 16)
    expect(toHex(small.fingerprint(0, 2))).toBe(expected.toString('hex'))
  })

  test('of a sum carry from the first byte to the last', () => {
    const one = new Uint8Array(32)
    one[0] = 1
    const sum = ItemSet.fromUnsorted([
      { time: 0, id: one },
      { time: 0, id: id(0xff) }
    ])
    expect(toHex(sum.sum())).toBe('00'.repeat(32))
  })

  test('of 32 items are 16 fingerprints, with times as distances and the shortest prefixes', () => {
    // Two items at each of the times 1000, 1000, 1001, 1002 … : bucket k ends before item 2k + 2.
    const items = Array.from({ length: 32 }, (_, index) => ({
      time: index < 4 ? 1_000 : 1_000 + Math.floor(index / 2),
      id: id(index + 1)
    }))
    const set = ItemSet.fromUnsorted(items)
    const fingerprint = (bucket: number): string => toHex(set.fingerprint(2 * bucket, 2 * bucket + 2))
    // 1000 + 1 = 1001 = 87 69; the third item starts with 03, and the second with 02
    const first = `8769 01 03 01 ${fingerprint(0)}`
    // from 1000 to 1002: 2 + 1 = 3, then each is one later: 1 + 1 = 2
    const second = `03 00 01 ${fingerprint(1)}`
    const others = Array.from({ length: 13 }, (_, index) => `02 00 01 ${fingerprint(index + 2)}`)
    const last = `00 00 01 ${fingerprint(15)}`
    expect(toHex(initiate(set))).toBe(`61${[first, second, ...others, last].join('')}`.replaceAll(' ', ''))
  })

  test('of an answer skip what is equal, as one range', () => {
    const theirs = ItemSet.fromUnsorted([{ time: 300, id: id(0x22) }])
    // up to time 10 they say: nothing here; the rest by its fingerprint
    const message = hex(`61 0b 00 02 00 00 00 01 ${toHex(theirs.fingerprint(0, 1))}`)
    expect(toHex(respond(small, message))).toBe(`610b000201${'11'.repeat(32)}`)
    // what the first range skips is written only because something follows
    const second = hex(`61 0b 00 00 00 00 02 00`)
    expect(toHex(respond(small, second))).toBe(`610b00000000 0201${'22'.repeat(32)}`.replaceAll(' ', ''))
  })

  test('of another version are answered with ours', () => {
    expect(toHex(respond(small, hex('62 01 02 03')))).toBe('61')
    expect(codeOf(() => learn(small, hex('62')))).toBe('MALFORMED')
  })
})

describe('hostile messages are malformed', () => {
  const set = ItemSet.fromUnsorted(Array.from({ length: 100 }, (_, index) => item(index)))
  const cases: Readonly<Record<string, string>> = {
    'nothing at all': '',
    'no version': '00',
    'a bound that ends early': '61 81',
    'a prefix that ends early': '61 05 04 01 02',
    'a prefix of 33 bytes': `61 05 21 ${'00'.repeat(33)} 00`,
    'a prefix at infinity': '61 00 01 05 00',
    'a fingerprint that ends early': '61 00 00 01 aa',
    'a list of 2^31 ids': '61 00 00 02 88 80 80 80 00',
    'a list that ends early': `61 00 00 02 02 ${'11'.repeat(32)}`,
    'a mode that does not exist': '61 00 00 03',
    'a number with a leading zero': '61 80 05 00 00',
    'a number above 2^53': '61 ff ff ff ff ff ff ff ff 7f 00 00',
    'a time above 2^53': '61 8f ff ff ff ff ff ff 7f 00 00 8f ff ff ff ff ff ff 7f 00 00',
    'bounds that go back': '61 05 01 09 00 01 01 08 00',
    'bounds behind infinity': '61 00 00 00 05 00 00',
    'more ranges than anybody writes': `61 ${'01 00 00'.repeat(LIMITS.sync.rangesPerMessage + 1)}`
  }
  for (const [name, bytes] of Object.entries(cases)) {
    test(name, () => {
      expect(codeOf(() => respond(set, hex(bytes)))).toBe('MALFORMED')
      expect(codeOf(() => learn(set, hex(bytes)))).toBe('MALFORMED')
    })
  }

  test('bytes at random are malformed or understood, and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        for (const read of [respond, learn]) {
          try {
            read(set, Uint8Array.of(0x61, ...bytes))
          } catch (error) {
            expect(error).toMatchObject({ code: 'MALFORMED' })
          }
        }
      })
    )
  })
})
