import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { concatBytes, equalBytes, fromHex, toHex } from '../../protocol/bytes.ts'
import { decodeCbor, encodeCbor } from '../../protocol/cbor.ts'
import { contentIdFromLink, factIdFromLink } from '../../protocol/cid.ts'
import { isRegistryError } from '../../protocol/errors.ts'

/** What another codec makes of bytes that are its own spelling of something; undefined of all others. */
function elsewhere(bytes: Uint8Array): { readonly value: unknown } | undefined {
  try {
    const value: unknown = dagCbor.decode(bytes)
    return equalBytes(dagCbor.encode(value), bytes) && !holdsFloat(value) ? { value } : undefined
  } catch {
    return undefined
  }
}

/** Other codecs know numbers that are no integers; no record holds any (docs/spec/fact.md section 1). */
function holdsFloat(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isSafeInteger(value)
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || CID.asCID(value) !== null)
    return false
  return Object.values(value).some(holdsFloat)
}

function here(bytes: Uint8Array): { readonly value: unknown } | undefined {
  try {
    return { value: decodeCbor(bytes, 32, Infinity) }
  } catch (error) {
    // Whatever a stranger sends, it is refused as nothing else.
    if (isRegistryError(error) && error.code === 'MALFORMED') return undefined
    throw error
  }
}

function agree(bytes: Uint8Array): void {
  const [ours, theirs] = [here(bytes), elsewhere(bytes)]
  expect(ours, toHex(bytes)).toEqual(theirs)
  if (ours !== undefined) expect(toHex(encodeCbor(ours.value))).toBe(toHex(bytes))
}

const LINK = CID.decode(concatBytes([Uint8Array.of(1, 0x71, 0x12, 32), new Uint8Array(32)]))
const raw = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map(digest => CID.decode(concatBytes([Uint8Array.of(1, 0x71, 0x12, 32), digest])))
const integers = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -1, -24, -25, -(2 ** 53) + 1),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
  fc.bigInt({ min: -(2n ** 64n), max: -(2n ** 53n) })
)
const texts = fc
  .oneof(
    fc.string({ maxLength: 80 }),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.constantFrom('__proto__', 'constructor', '', 'toString', 'é'.repeat(70), 'x'.repeat(300))
  )
  .filter(text => !text.startsWith('\ufeff'))
const leaves = fc.oneof(integers, texts, fc.boolean(), fc.constant(null), raw, fc.uint8Array({ maxLength: 60 }))
const { value: values } = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    leaves,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(texts, tie('value'), { maxKeys: 6 })
  )
}))

test('what is encoded are the bytes of another codec, and they read as the same value', () => {
  fc.assert(
    fc.property(values, value => {
      const bytes = encodeCbor(value)
      expect(toHex(bytes)).toBe(toHex(dagCbor.encode(value)))
      agree(bytes)
    }),
    { numRuns: 500 }
  )
})

test('bytes of which some were changed are read as another codec reads them, or by neither', () => {
  const changes = fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255), kind: fc.constantFrom('set', 'put', 'cut') }), {
    minLength: 1,
    maxLength: 3
  })
  fc.assert(
    fc.property(values, changes, (value, list) => {
      const bytes = [...encodeCbor(value)]
      for (const { at, byte, kind } of list) {
        const place = at % (bytes.length + 1)
        if (kind === 'put') bytes.splice(place, 0, byte)
        else bytes.splice(place, 1, ...(kind === 'set' ? [byte] : []))
      }
      agree(Uint8Array.from(bytes))
    }),
    { numRuns: 2_000 }
  )
})

test('a map that has what a link has is none, and is read by nobody where others take it for one', () => {
  const about = { code: 0x71, multihash: { code: 0x12, size: 32 }, version: 1 }
  fc.assert(
    fc.property(values, values, fc.boolean(), (one, two, isSame) => {
      const map = { '/': one, bytes: isSame ? one : two, ...about }
      agree(encodeCbor(map))
      agree(encodeCbor([{ '/': map['/'], bytes: map.bytes }]))
      for (const read of [factIdFromLink, contentIdFromLink])
        expect(() => read(map)).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
    }),
    { numRuns: 500 }
  )
})

test('of short bytes, all there are and many, both codecs say the same', () => {
  for (let first = 0; first < 256; first++) {
    agree(Uint8Array.of(first))
    for (let second = 0; second < 256; second++) agree(Uint8Array.of(first, second))
  }
  fc.assert(fc.property(fc.uint8Array({ minLength: 3, maxLength: 24 }), agree), { numRuns: 5_000 })
})

test.each([
  ['a mark of the byte order at the beginning of a text', '63efbbbf'],
  ['half of a pair in a text', '63eda080'],
  ['a link whose length has a longer form', `d82a5825000171128020${'00'.repeat(27)}`],
  ['a tag of another number', 'c100'],
  ['a float of four bytes', 'fa3fc00000'],
  ['an integer as a float', 'fb3ff0000000000000'],
  ['no number', 'fb7ff8000000000000'],
  ['undefined', 'f7'],
  ['a list without a length', '9fff'],
  ['keys by bytes and not by length', 'a2626161016162'],
  ['a key twice', 'a2616101616102'],
  ['a key that is a number', 'a10101'],
  ['more after the value', '0101']
])('refuses %s, as others do', (_, hex) => {
  const bytes = fromHex(hex) ?? new Uint8Array(0)
  expect(here(bytes)).toBeUndefined()
  expect(elsewhere(bytes)).toBeUndefined()
})

test.each([0.5, -1.5, 2 ** 53, 1e300, 5e-324])('%d is in no record: neither written nor read', value => {
  expect(() => encodeCbor([value])).toThrow(TypeError)
  expect(here(dagCbor.encode([value]))).toBeUndefined()
})

test('a text that begins with a byte order mark is in no record, as a value or as a key; one that has it elsewhere is', () => {
  for (const value of ['\ufeff', '\ufeffabc', `\ufeff${'x'.repeat(100)}`, { '\ufeffa': 1 }]) {
    expect(() => encodeCbor(value)).toThrow(TypeError)
    expect(here(dagCbor.encode(value))).toBeUndefined()
  }
  agree(encodeCbor(['a\ufeff', { 'a\ufeff': 1 }]))
})

test('what has no spelling is not encoded', () => {
  for (const value of [undefined, { a: undefined }, [undefined], Array(1), NaN, Infinity, 2n ** 64n, -(2n ** 64n) - 1n])
    expect(() => encodeCbor(value)).toThrow()
  for (const value of [() => 1, Symbol('x'), new Map(), new Set(), new Date(), new Float64Array(1), /x/])
    expect(() => encodeCbor(value)).toThrow(TypeError)
})

test('what is decoded, and what is encoded, is nobody else’s memory', () => {
  const bytes = encodeCbor([Uint8Array.of(1, 2, 3)])
  expect(bytes.buffer.byteLength).toBe(bytes.length)
  const [read] = decodeCbor(bytes, 1) as [Uint8Array]
  bytes.fill(0)
  expect([...read]).toEqual([1, 2, 3])
  expect(read.buffer.byteLength).toBe(3)
})

test('an encoder inside of an encoder leaves it alone, and so does one that failed', () => {
  const value = {
    get a(): unknown {
      return encodeCbor(['inside'])
    },
    b: 1
  }
  expect(() => encodeCbor(['x'.repeat(100), undefined])).toThrow(TypeError)
  expect(toHex(encodeCbor(value))).toBe(toHex(dagCbor.encode({ a: dagCbor.encode(['inside']), b: 1 })))
})

test('counts the heads of items, keys and links among them', () => {
  const bytes = encodeCbor({ a: [1, CID.parse('bafyreigdmqpykrgxyaxtlafqpqhzrb7qy2rh75nldvfd4tucqmqqme5yje')] })
  expect(decodeCbor(bytes, 3, 6)).toHaveProperty('a')
  expect(() => decodeCbor(bytes, 3, 5)).toThrow('too many items')
  expect(() => decodeCbor(bytes, 2, 6)).toThrow('nested too deeply')
})

test('what is read of a buffer shares no memory with it', () => {
  const bytes = Buffer.from(encodeCbor({ a: Uint8Array.of(1, 2), b: LINK }))
  const value = decodeCbor(bytes, 4) as { readonly a: Uint8Array; readonly b: CID }
  bytes.fill(0xff)
  expect(value).toEqual({ a: Uint8Array.of(1, 2), b: LINK })
  expect(Buffer.isBuffer(value.a)).toBe(false)
})
