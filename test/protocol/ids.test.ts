import { sha256 } from '@noble/hashes/sha2.js'
import fc from 'fast-check'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { expect, test } from 'vitest'
import { concatBytes } from '../../protocol/bytes.ts'
import {
  contentIdFromLink,
  digestOf,
  factIdFromLink,
  factIdOf,
  factIdOfDigest,
  parseContentId,
  parseFactId,
  toLink
} from '../../protocol/cid.ts'
import { formatPrincipal, isPrincipal, parsePrincipal, publicKeyOf } from '../../protocol/did.ts'
import type { Principal } from '../../protocol/did.ts'
import { isRegistryError } from '../../protocol/errors.ts'

const bytes32 = fc.oneof(
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
  fc.constantFrom(
    new Uint8Array(32),
    new Uint8Array(32).fill(255),
    Uint8Array.from({ length: 32 }, (_, i) => i)
  )
)
const ED25519 = Uint8Array.of(0xed, 0x01)
const elsewhere = (key: Uint8Array): string => `did:key:${base58btc.encode(concatBytes([ED25519, key]))}`

test('a key is spelled as another library spells it, and read back', () => {
  fc.assert(
    fc.property(bytes32, key => {
      const did = formatPrincipal(key)
      expect(did).toBe(elsewhere(key))
      expect(parsePrincipal(did)).toBe(did)
      expect(publicKeyOf(did)).toEqual(key)
    }),
    { numRuns: 2_000 }
  )
})

test('a name of which some characters were changed is a key exactly where another library reads one and spells it so', () => {
  const digits = Array.from('123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0lé ')
  const changes = fc.array(fc.tuple(fc.nat(55), fc.constantFrom(...digits)), { minLength: 1, maxLength: 3 })
  const theirs = (text: string): Uint8Array | undefined => {
    try {
      const bytes = base58btc.decode(text.slice('did:key:'.length))
      const key = bytes.slice(2)
      return text === elsewhere(key) && key.length === 32 ? key : undefined
    } catch {
      return undefined
    }
  }
  fc.assert(
    fc.property(bytes32, changes, (key, list) => {
      const text = Array.from(formatPrincipal(key))
      // Late characters are changed more often: with the first ones it soon is no key at all.
      for (const [at, digit] of list) text[at < 14 ? at : 55 - ((at * at) % 43)] = digit
      const changed = text.join('')
      const read = theirs(changed)
      expect(isPrincipal(changed), changed).toBe(read !== undefined)
      if (read !== undefined) expect(publicKeyOf(changed as Principal)).toEqual(read)
    }),
    { numRuns: 3_000 }
  )
})

test.each([
  ['more than 34 bytes hold', `did:key:z6Mk${'z'.repeat(44)}`],
  ['the least of so many digits', `did:key:z6Mk${'1'.repeat(44)}`],
  ['a digit too few', elsewhere(new Uint8Array(32)).slice(0, -1)],
  ['another kind of key', `did:key:${base58btc.encode(concatBytes([Uint8Array.of(0xe7, 0x01), new Uint8Array(32)]))}`],
  ['a character that is no digit', `did:key:z6Mk${'0'.repeat(44)}`],
  ['nothing', '']
])('refuses %s', (_, text) => {
  expect(isPrincipal(text)).toBe(false)
})

test('ids are what another library makes of them, and read back', () => {
  fc.assert(
    fc.property(bytes32, fc.constantFrom(0x70, 0x55), (digest, codec) => {
      const fact = CID.createV1(0x71, createDigest(0x12, digest))
      const id = factIdOfDigest(digest)
      expect(id).toBe(fact.toString())
      expect(parseFactId(id)).toBe(id)
      expect(digestOf(id)).toEqual(digest)
      expect(toLink(id).equals(fact)).toBe(true)
      expect(factIdFromLink(fact)).toBe(id)
      expect(factIdOf(digest)).toBe(factIdOfDigest(sha256(digest)))
      const root = CID.createV1(codec, createDigest(0x12, digest))
      const content = parseContentId(root.toString())
      expect(contentIdFromLink(root)).toBe(content)
      expect(toLink(content).equals(root)).toBe(true)
      expect(digestOf(content)).toEqual(digest)
    }),
    { numRuns: 1_000 }
  )
})

test('what only claims to be an id is no link', () => {
  for (const text of ['', 'bafy', `b${'1'.repeat(58)}`, `z${'a'.repeat(58)}`, 'é'.repeat(59)]) {
    let error: unknown
    try {
      toLink(text as never)
    } catch (caught) {
      error = caught
    }
    expect(isRegistryError(error) && error.code, text).toBe('MALFORMED')
  }
})
