import { encode } from '@ipld/dag-cbor'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { expect, test } from 'vitest'
import { concatBytes, fromHex, toHex, utf8 } from '../../protocol/bytes.ts'
import { decodeCbor } from '../../protocol/cbor.ts'
import { toLink } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import {
  encodeBody,
  encodeEnvelope,
  FACT_TYPES,
  parseEnvelope,
  preAuthEncoding,
  recordOf
} from '../../protocol/fact.ts'
import type { FactBody, FactType } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { codeOf } from '../support/error-code.ts'
import { FactWriter, person } from '../support/facts.ts'

const root = person('root')
const facts = new FactWriter(root)
const claim = facts.claim('alpha')
facts.release('alpha', '1.0.0', facts.cite(claim))
const SIGNATURE = new Uint8Array(64)

/** The body of the claim as the map it is on the wire, some of its entries replaced. */
function wireBody(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const { body } = claim
  return { ...body, registry: toLink(facts.registry), chain: fromHex(body.chain), prev: null, ...changes }
}

function envelopeOf(body: unknown): Uint8Array {
  return encodeEnvelope(encode(body), SIGNATURE)
}

const verdict = (bytes: Uint8Array): string => codeOf(() => parseEnvelope(bytes))

test('an unchanged body is read: the refusals below are of what they change', () => {
  expect(verdict(envelopeOf(wireBody()))).toBe('none')
})

const other = toLink(facts.genesis.id)
const raw = CID.createV1(0x55, other.multihash)

test.each<[string, Record<string, unknown>]>([
  ['a later version of the format', { v: 2 }],
  ['a version that is text', { v: '1' }],
  ['an unknown type', { type: 'vote' }],
  ['a type named like a method of objects', { type: 'constructor' }],
  ['a registry that is text', { registry: facts.registry }],
  ['a registry that is a link to content', { registry: raw }],
  ['no registry outside a genesis', { registry: null }],
  ['a subject that is no name', { subject: 'alpha' }],
  ['a subject of another spelling', { subject: 'ggen/Alpha' }],
  ['the registry as the subject of a claim', { subject: 'registry' }],
  ['a digest as the subject of a claim', { subject: `sha256/${'0a'.repeat(32)}` }],
  ['a package as the subject of an attestation', { type: 'attestation' }],
  ['half a digest', { type: 'attestation', subject: 'sha256/0a' }],
  ['a digest in another spelling', { type: 'attestation', subject: `sha256/${'0A'.repeat(32)}` }],
  ['an author that is no key', { author: 'did:key:z6Mk' }],
  ['an author that is bytes', { author: new Uint8Array(32) }],
  ['a chain of 15 bytes', { chain: new Uint8Array(15) }],
  ['a chain of 17 bytes', { chain: new Uint8Array(17) }],
  ['a chain that is text', { chain: claim.body.chain }],
  ['a negative position', { seq: -1 }],
  ['a position that is a fraction', { seq: 0.5 }],
  ['the first position with a predecessor', { prev: other }],
  ['a later position without a predecessor', { seq: 1 }],
  ['a position beyond the last', { seq: LIMITS.fact.seq + 1, prev: other }],
  ['a predecessor that is a link to content', { seq: 1, prev: raw }],
  ['a negative time', { time: -1 }],
  ['a time beyond safe numbers', { time: 2 ** 53 }],
  ['a time that is a big number', { time: 2n ** 60n }],
  ['a payload that is a map', { payload: {} }],
  ['a genesis with a registry', { type: 'genesis', subject: 'registry' }],
  ['a genesis about a package', { type: 'genesis', registry: null }],
  ['a genesis about a package', { type: 'genesis', registry: null, seq: 0, prev: null }],
  ['an invite into a package', { type: 'invite' }],
  ['an invite into a package that is redeemed', { type: 'redeem' }],
  ['the policy of a package', { type: 'policy' }],
  ['one key more', { extra: 1 }]
])('refuses %s', (_, changes) => {
  expect(verdict(envelopeOf(wireBody(changes)))).toBe('MALFORMED')
})

test.each(Object.keys(wireBody()))('refuses a body without %s', key => {
  const { [key]: _left, ...rest } = wireBody()
  expect(verdict(envelopeOf(rest))).toBe('MALFORMED')
  // As many keys as there should be, one of them another.
  expect(verdict(envelopeOf({ ...rest, other: null }))).toBe('MALFORMED')
})

test('takes the last position there is', () => {
  expect(verdict(envelopeOf(wireBody({ seq: LIMITS.fact.seq, prev: other })))).toBe('none')
})

test.each<[string, unknown]>([
  ['a list', []],
  ['a link', other],
  ['bytes', new Uint8Array(8)],
  ['null', null],
  ['an empty map', {}]
])('refuses %s as body and as envelope', (_, value) => {
  expect(verdict(envelopeOf(value))).toBe('MALFORMED')
  expect(verdict(encode(value))).toBe('MALFORMED')
})

test('refuses an envelope with another key, another signature length or a body that is no bytes', () => {
  const body = encode(wireBody())
  expect(verdict(encode({ body, sig: SIGNATURE, more: 1 }))).toBe('MALFORMED')
  expect(verdict(encode({ body, sig: new Uint8Array(63) }))).toBe('MALFORMED')
  expect(verdict(encode({ body, sig: new Uint8Array(65) }))).toBe('MALFORMED')
  expect(verdict(encode({ body: wireBody(), sig: SIGNATURE }))).toBe('MALFORMED')
})

test('reads a body of the largest size and refuses one byte more', () => {
  const empty = encode(wireBody({ payload: new Uint8Array(40_000) })).length - 40_000
  const withBytes = (size: number): Uint8Array => envelopeOf(wireBody({ payload: new Uint8Array(size - empty) }))
  expect(verdict(withBytes(LIMITS.fact.bodyBytes))).toBe('none')
  expect(verdict(withBytes(LIMITS.fact.bodyBytes + 1))).toBe('LIMIT_EXCEEDED')
})

const MAP_OF_TWO = 'a2'
const KEY_A = '6161'
const KEY_B = '6162'

test.each<[string, string]>([
  ['keys out of order', `${MAP_OF_TWO}${KEY_B}01${KEY_A}02`],
  ['a key twice', `${MAP_OF_TWO}${KEY_A}01${KEY_A}02`],
  ['a number in more bytes than it needs', '1801'],
  ['a length in more bytes than it needs', '5801ff'],
  ['a list of indefinite length', '9f01ff'],
  ['a map of indefinite length', 'bf616101ff'],
  ['a text of indefinite length', '7f6161ff'],
  ['a whole number as a float', 'fb3ff0000000000000'],
  ['a number that is no integer', 'fb3ff8000000000000'],
  ['a half float', 'f93c00'],
  ['a single float', 'fa3fc00000'],
  ['not a number', 'fb7ff8000000000000'],
  ['undefined', 'f7'],
  ['a simple value', 'e0'],
  ['a tag other than 42', 'c100'],
  ['a link without its leading nought', `d82a5824${toHex(other.bytes)}`],
  ['a link that is no identifier', 'd82a420001'],
  ['text that is not UTF-8', '61ff'],
  ['half a surrogate pair in UTF-8', '63eda080'],
  ['a text that begins with a byte order mark', '64efbbbf61'],
  ['a key that begins with a byte order mark', 'a164efbbbf6101'],
  ['a key that is a number', 'a10102'],
  ['bytes after the value', '0101'],
  ['nothing', ''],
  ['a map cut short', 'a26161'],
  ['a text cut short', '6261'],
  ['a list longer than the bytes', '9a7fffffff01'],
  ['a list longer than memory', '9bffffffffffffffff01']
])('cbor has one spelling: refuses %s', (_, hex) => {
  expect(codeOf(() => decodeCbor(fromHex(hex) ?? new Uint8Array(0), 8))).toBe('MALFORMED')
})

test('a key named __proto__ is a key like any other, and so one too many', () => {
  const value = decodeCbor(fromHex('a1695f5f70726f746f5f5f80') ?? new Uint8Array(0), 8)
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
  expect(codeOf(() => recordOf(value, []))).toBe('MALFORMED')
})

test('cbor nested too deeply is refused before it is decoded', () => {
  const nested = (levels: number): Uint8Array => concatBytes([new Uint8Array(levels).fill(0x81), Uint8Array.of(0x01)])
  expect(decodeCbor(nested(16), 16)).toBeInstanceOf(Array)
  expect(codeOf(() => decodeCbor(nested(17), 16))).toBe('MALFORMED')
  expect(codeOf(() => decodeCbor(nested(60_000), 16))).toBe('MALFORMED')
  // Links inside links are depth as well.
  expect(codeOf(() => decodeCbor(concatBytes([new Uint8Array(60_000).fill(0xc6), Uint8Array.of(0x01)]), 16))).toBe(
    'MALFORMED'
  )
})

const ABOUT_THE_REGISTRY: readonly FactType[] = ['genesis', 'invite', 'redeem', 'policy']

const ABOUT_PACKAGES = FACT_TYPES.filter(
  type => !ABOUT_THE_REGISTRY.includes(type) && type !== 'grant' && type !== 'attestation'
)
const places = fc.oneof(
  fc.record({
    subject: fc.constantFrom('ggen/alpha', 'ggen/b.c_d-e', 'npm/@scope/x'),
    type: fc.constantFrom(...ABOUT_PACKAGES)
  }),
  fc.record({ subject: fc.constant(`sha256/${'0a'.repeat(32)}`), type: fc.constant('attestation' as const) })
)
const bodies = fc.record({
  place: places,
  chain: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(toHex),
  seq: fc.integer({ min: 0, max: LIMITS.fact.seq }),
  time: fc.maxSafeNat(),
  payload: fc.uint8Array({ maxLength: 2_000 })
})

test('what is encoded is read back, and encodes to the same bytes', () => {
  fc.assert(
    fc.property(bodies, ({ place, ...rest }) => {
      const fields = { ...place, ...rest }
      const prev = fields.seq === 0 ? null : facts.genesis.id
      const body = { v: 1, registry: facts.registry, author: root.did, prev, ...fields } as FactBody
      const bytes = encodeBody(body)
      const read = parseEnvelope(encodeEnvelope(bytes, SIGNATURE))
      expect(read.body).toEqual(body)
      expect(toHex(encodeBody(read.body))).toBe(toHex(bytes))
    }),
    { numRuns: 300 }
  )
})

test('20,000 random and mutated byte strings are read or refused, and nothing else is ever thrown', () => {
  const valid = facts.all.map(fact => fact.bytes)
  const mutation = fc.record({
    which: fc.nat(valid.length - 1),
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    cut: fc.nat(4),
    insert: fc.uint8Array({ maxLength: 6 })
  })
  const input = fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
    {
      weight: 4,
      arbitrary: mutation.map(({ which, at, cut, insert }) => {
        const bytes = valid[which] ?? new Uint8Array(0)
        const from = Math.floor(at * bytes.length)
        return concatBytes([bytes.subarray(0, from), insert, bytes.subarray(from + cut)])
      })
    }
  )
  let refused = 0
  fc.assert(
    fc.property(input, bytes => {
      try {
        parseEnvelope(bytes)
      } catch (error) {
        if (!(error instanceof RegistryError)) throw error
        refused += 1
      }
    }),
    { numRuns: 20_000 }
  )
  expect(refused).toBeGreaterThan(10_000)
})

test('the signature covers type and lengths in bytes, not characters', () => {
  expect(new TextDecoder().decode(preAuthEncoding('é', utf8('ü€')))).toBe('DSSEv1 2 é 5 ü€')
})
