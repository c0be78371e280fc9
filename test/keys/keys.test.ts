import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  admitKey,
  generateSecret,
  isUnambiguous,
  parseSecret,
  principalOf,
  sign,
  verify
} from '../../attestation/keys.ts'
import { signFact, verifyFact } from '../../attestation/sign-fact.ts'
import { utf8 } from '../../protocol/bytes.ts'
import { publicKeyOf } from '../../protocol/did.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import type { FactBody } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { REPOSITORY } from '../support/shared.ts'

interface RfcTest {
  readonly name: string
  readonly secret: string
  readonly public: string
  readonly message: string
  readonly signature: string
}

const rfcFile = join(REPOSITORY, 'test', 'vectors', 'rfc8032-ed25519.json')
const rfc = (JSON.parse(readFileSync(rfcFile, 'utf8')) as { tests: readonly RfcTest[] }).tests
const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const secretOf = (fill: number) => generateSecret(new Uint8Array(32).fill(fill))

/** The eight points of the torsion subgroup, RFC 8032 encoding. */
const SMALL_ORDER = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa'
]

describe('the vectors of RFC 8032', () => {
  test.each(rfc)('$name: key, signature and check agree', ({ secret, public: key, message, signature }) => {
    const parsed = parseSecret(hex(secret))
    expect(toHex(publicKeyOf(principalOf(parsed)))).toBe(key)
    expect(toHex(sign(parsed, hex(message)))).toBe(signature)
    expect(verify(hex(key), hex(message), hex(signature))).toBe(true)
    expect(() => admitKey(hex(key))).not.toThrow()
  })
})

describe('verify', () => {
  const secret = secretOf(7)
  const key = publicKeyOf(principalOf(secret))

  test('refuses a signature after any one bit of key, message or signature changed', () => {
    const message = utf8('some bytes')
    const signature = sign(secret, message)
    const flip = (bytes: Uint8Array, bit: number) =>
      bytes.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte))
    fc.assert(
      fc.property(fc.nat(511), fc.nat(79), fc.nat(255), (inSignature, inMessage, inKey) => {
        expect(verify(key, message, flip(signature, inSignature))).toBe(false)
        expect(verify(key, flip(message, inMessage), signature)).toBe(false)
        expect(verify(flip(key, inKey), message, signature)).toBe(false)
      }),
      { numRuns: 100 }
    )
    expect(verify(key, message, signature)).toBe(true)
  })

  test('refuses the second signature that adding the group order to S makes', () => {
    const message = utf8('malleable')
    const signature = sign(secret, message)
    const order = 2n ** 252n + 27742317777372353535851937790883648493n
    const s = BigInt(`0x${toHex(signature.slice(32).reverse())}`) + order
    const shifted = hex(s.toString(16).padStart(64, '0')).reverse()
    const second = Uint8Array.from([...signature.slice(0, 32), ...shifted])
    expect([isUnambiguous(key, signature), isUnambiguous(key, second)]).toEqual([true, false])
    expect(verify(key, message, second)).toBe(false)
  })

  test.each(SMALL_ORDER)('refuses the point %s as key and as R', point => {
    for (let i = 0; i < 64; i++) {
      const signature = Uint8Array.from([...hex(SMALL_ORDER[0] ?? ''), ...new Uint8Array(32)])
      expect(verify(hex(point), utf8(`message ${i}`), signature)).toBe(false)
    }
    const honest = sign(secret, utf8('x'))
    const lowR = Uint8Array.from([...hex(point), ...honest.slice(32)])
    // Asked of our own rules: the OpenSSL of this machine may refuse these too, and must not be what refuses them.
    expect([isUnambiguous(hex(point), honest), isUnambiguous(key, lowR)]).toEqual([false, false])
    expect(verify(key, utf8('x'), lowR)).toBe(false)
  })

  test('answers false, and does not throw, for wrong lengths and for bytes that are no point', () => {
    expect(verify(key.slice(1), utf8(''), new Uint8Array(64))).toBe(false)
    expect(verify(key, utf8(''), new Uint8Array(63))).toBe(false)
    expect(verify(new Uint8Array(32).fill(255), utf8(''), new Uint8Array(64))).toBe(false)
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array({ minLength: 64, maxLength: 64 }),
        (k, s) => {
          expect(verify(k, utf8('x'), s)).toBe(false)
        }
      )
    )
  })

  test('goes on answering right after more keys than it keeps', () => {
    const message = utf8('still there')
    const signature = sign(secret, message)
    expect(verify(key, message, signature)).toBe(true)
    const other = new Uint8Array(32)
    const view = new DataView(other.buffer)
    for (let i = 0; i <= LIMITS.keys.cachedVerifiers; i++) {
      view.setUint32(4, i)
      expect(verify(other, message, signature)).toBe(false)
    }
    expect(verify(key, message, signature)).toBe(true)
  })
})

describe('key admission', () => {
  test('refuses again what it refused before', () => {
    const key = hex(SMALL_ORDER[0] ?? '')
    for (let i = 0; i < 2; i++) {
      expect(() => admitKey(key)).toThrow(expect.objectContaining({ code: 'INADMISSIBLE_KEY' }))
    }
  })

  test.each(SMALL_ORDER)('refuses the small-order key %s, under which one signature fits many messages', key => {
    expect(() => admitKey(hex(key))).toThrow(expect.objectContaining({ code: 'INADMISSIBLE_KEY' }))
  })

  test.each([
    ['y = p + 3, a second spelling of y = 3', 'f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
    ['the identity with a sign bit', '0100000000000000000000000000000000000000000000000000000000000080'],
    ['no point of the curve', '0200000000000000000000000000000000000000000000000000000000000000'],
    ['31 bytes', '58666666666666666666666666666666666666666666666666666666666666']
  ])('refuses as no canonical encoding: %s', (_, key) => {
    const refused = { code: 'INADMISSIBLE_KEY', message: 'the public key is not the canonical encoding of a point' }
    expect(() => admitKey(hex(key))).toThrow(expect.objectContaining(refused))
  })

  test('takes every key that comes from a secret', () => {
    for (const fill of [1, 2, 3, 255]) expect(() => admitKey(publicKeyOf(principalOf(secretOf(fill))))).not.toThrow()
  })
})

describe('secrets', () => {
  test('all zeros are no randomness, 31 bytes are no secret', () => {
    expect(() => generateSecret(new Uint8Array(32))).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
    expect(() => generateSecret(new Uint8Array(31).fill(1))).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
  })

  test('a secret does not change with the buffer that it was made from', () => {
    const random = new Uint8Array(32).fill(9)
    const secret = generateSecret(random)
    const before = principalOf(secret)
    random.fill(0)
    expect(principalOf(secret)).toBe(before)
  })
})

describe('a signed fact', () => {
  const secret = secretOf(5)
  const body: FactBody = {
    v: 1,
    type: 'genesis',
    registry: null,
    subject: 'registry',
    author: principalOf(secret),
    chain: '00'.repeat(16),
    seq: 0,
    prev: null,
    time: 1_700_000_000_000,
    payload: Uint8Array.of(0xa0)
  }

  test('holds for exactly its own bytes', () => {
    const envelope = parseEnvelope(signFact(body, secret))
    expect(verifyFact(envelope)).toBe(true)
    const other = parseEnvelope(signFact({ ...body, time: body.time + 1 }, secret))
    expect(verifyFact({ ...envelope, signature: other.signature })).toBe(false)
    expect(verifyFact({ ...envelope, bodyBytes: other.bodyBytes })).toBe(false)
  })

  test('is bound to its type', () => {
    const envelope = parseEnvelope(signFact(body, secret))
    expect(verifyFact({ ...envelope, body: { ...body, type: 'grant' } })).toBe(false)
  })

  test('is signed by its author and by nobody else', () => {
    expect(() => signFact(body, secretOf(6))).toThrow(expect.objectContaining({ code: 'NOT_AUTHORIZED' }))
  })
})
