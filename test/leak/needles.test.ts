import { createHash, randomBytes } from 'node:crypto'
import { base32 } from 'multiformats/bases/base32'
import { base36 } from 'multiformats/bases/base36'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { describe, expect, test } from 'vitest'
import { formatPrincipal } from '../../protocol/did.ts'
import { cpuMs } from '../support/cpu-time.ts'
import { bytesThing, cidThing, keyThing, needlesOf, textThing } from '../support/leak/needles.ts'
import type { Thing } from '../support/leak/needles.ts'
import { Scanner } from '../support/leak/scanner.ts'

const CONTENT = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'
const cid = CID.parse(CONTENT)
const secret = randomBytes(32)
const keyPair = await generateKeyPair('Ed25519')
const publicKey = keyPair.publicKey.raw
const peerId = peerIdFromPrivateKey(keyPair)

const things: readonly Thing[] = [
  textThing('name', 'acme-billing-rules'),
  textThing('topic', '/ggen/1/0123456789abcdef0123456789abcdef'),
  cidThing('content', CONTENT),
  bytesThing('secret', 'the swarm secret', secret),
  keyThing('peer', 'the private host', publicKey)
]
const scanner = new Scanner(needlesOf(things))

/** Hides a pattern in random bytes and says what is found there, each thing once. */
function found(pattern: Uint8Array | string, cut?: number): readonly string[] {
  const whole = Buffer.concat([randomBytes(500), Buffer.from(pattern), randomBytes(500)])
  const scan = scanner.stream()
  const pieces = cut === undefined ? [whole] : [whole.subarray(0, cut), whole.subarray(cut)]
  return [...new Set(pieces.flatMap(scan).map(({ needle }) => needle.thing.kind))]
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest()
const shifted = (bytes: Uint8Array, by: number): Uint8Array => Buffer.concat([randomBytes(by), bytes, randomBytes(7)])

/** What could be sent, by somebody who did not mean to, made here by other means than the needles are. */
const PLANTS: readonly (readonly [string, string, string | Uint8Array])[] = [
  ['a name', 'name', 'acme-billing-rules'],
  ['a name in an address', 'name', 'GET /search?q=acme-billing-rules'],
  ['a name in capitals', 'name', 'ACME-BILLING-RULES'],
  ['a name in base64', 'name', base64(Buffer.from('{"x":"acme-billing-rules"}'))],
  ['a name in base32', 'name', base32.encode(Buffer.from('key=acme-billing-rules,'))],
  ['a name in hexadecimal', 'name', Buffer.from('acme-billing-rules').toString('hex')],
  ['a name in utf-16', 'name', Buffer.from('acme-billing-rules', 'utf16le')],
  ['the hash of a name', 'name', sha256(Buffer.from('acme-billing-rules'))],
  ['a topic', 'topic', '/ggen/1/0123456789abcdef0123456789abcdef'],
  ['a topic in percent encoding', 'topic', encodeURIComponent('/ggen/1/0123456789abcdef0123456789abcdef')],
  ['a content id', 'content', CONTENT],
  ['a content id in its old form', 'content', CID.createV0(cid.multihash as never).toString()],
  ['a content id in base58', 'content', cid.toString(base58btc)],
  ['a content id in base36', 'content', cid.toString(base36)],
  ['the bytes of a content id', 'content', cid.bytes],
  ['the multihash of a content id', 'content', cid.multihash.bytes],
  ['a content id in base64', 'content', base64(cid.bytes)],
  ['a content id in hexadecimal', 'content', Buffer.from(cid.bytes).toString('hex')],
  ['the same multihash under another codec', 'content', CID.createV1(0x55, cid.multihash).toString()],
  ['the place of a content id in a DHT', 'content', sha256(cid.multihash.bytes)],
  ['a secret', 'secret', secret],
  ['a secret in base64url', 'secret', Buffer.from(secret).toString('base64url')],
  ['a secret in base58', 'secret', base58btc.encode(secret)],
  ['a peer id', 'peer', peerId.toString()],
  ['a peer id as a CID', 'peer', peerId.toCID().toString(base36)],
  ['the bytes of a peer id', 'peer', peerId.toMultihash().bytes],
  ['a key as a DID', 'peer', formatPrincipal(publicKey)],
  ['a key', 'peer', publicKey],
  ['the place of a peer in a DHT', 'peer', sha256(peerId.toMultihash().bytes)]
]

describe('what must not be seen is found', () => {
  test.each(PLANTS)('%s', (_, kind, pattern) => {
    expect(found(pattern)).toEqual([kind])
  })

  test.each(PLANTS)('%s, wherever it is cut in two', (_, kind, pattern) => {
    const length = Buffer.from(pattern).length
    for (let cut = 500; cut <= 500 + length; cut++) expect(found(pattern, cut)).toEqual([kind])
  })

  test('in base64 and base32, wherever in a message it begins', () => {
    for (let by = 0; by < 15; by++) {
      expect(found(base64(shifted(cid.multihash.digest, by)))).toEqual(['content'])
      expect(found(Buffer.from(shifted(secret, by)).toString('base64url'))).toEqual(['secret'])
      expect(found(base32.encode(shifted(Buffer.from('acme-billing-rules'), by)))).toEqual(['name'])
      expect(found(base32.encode(shifted(cid.bytes, by)).toUpperCase())).toEqual(['content'])
    }
  })

  test('byte by byte, and each time it is there', () => {
    const scan = scanner.stream()
    const text = Buffer.from('acme-billing-rules, and again acme-billing-rules.')
    const hits = [...text].flatMap(byte => scan(Uint8Array.of(byte)))
    expect(hits.map(({ offset }) => offset)).toEqual([0, 30])
  })
})

test('what is nearly it is not found', () => {
  expect(found('acme-billing-rulez')).toEqual([])
  expect(found(Buffer.from(secret).subarray(1))).toEqual([])
  expect(found(CONTENT.slice(0, 30))).toEqual([])
  expect(found(randomBytes(2_000_000))).toEqual([])
})

test('a name that is found by chance is refused', () => {
  expect(() => needlesOf([textThing('name', 'tool')])).toThrow(/too short/)
})

test('ten thousand patterns and ten megabytes take no more than a moment', () => {
  const many = Array.from({ length: 500 }, (_, i) => cidThing('block', CID.createV1(0x55, digestOf(i)).toString()))
  const needles = needlesOf(many)
  expect(needles.length).toBeGreaterThan(10_000)
  const scan = new Scanner(needles).stream()
  const spent = cpuMs(() => {
    for (let i = 0; i < 160; i++) expect(scan(randomBytes(65_536))).toEqual([])
  })
  expect(spent).toBeLessThan(5_000)
})

function digestOf(seed: number) {
  return createDigest(0x12, Uint8Array.from(sha256(Buffer.from(`block ${seed}`))))
}
