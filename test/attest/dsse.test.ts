import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { sign } from '../../attestation/keys.ts'
import { verifyEnvelope } from '../../attestation/verify-envelope.ts'
import { fromBase64, toBase64 } from '../../protocol/attest/base64.ts'
import { formatDsse, IN_TOTO_TYPE, parseDsse, signedPart } from '../../protocol/attest/envelope.ts'
import type { DsseEnvelope } from '../../protocol/attest/envelope.ts'
import { fromUtf8, toHex, utf8 } from '../../protocol/bytes.ts'
import { formatPrincipal } from '../../protocol/did.ts'
import { codeOf } from '../support/error-code.ts'
import { person } from '../support/facts.ts'
import type { Person } from '../support/facts.ts'
import { describeWithShared } from '../support/shared.ts'

interface Vectors {
  readonly keys: Readonly<Record<string, { readonly public: string }>>
  readonly vectors: readonly {
    readonly id: string
    readonly envelope: unknown
    readonly trustedKeys: readonly string[]
    readonly threshold: number
    readonly supportedPayloadTypes: readonly string[]
    readonly pae: string
    readonly expect: 'accept' | 'reject'
  }[]
}

describeWithShared('vectors/dsse', 'the DSSE vectors', path => {
  const { keys, vectors } = JSON.parse(readFileSync(join(path, 'vectors.json'), 'utf8')) as Vectors
  const principals = new Map(
    Object.entries(keys).map(([name, key]) => [name, formatPrincipal(Buffer.from(key.public, 'hex'))])
  )
  const verdict = ({ envelope, trustedKeys, threshold, supportedPayloadTypes }: Vectors['vectors'][number]): string => {
    const trusted = trustedKeys.flatMap(name => principals.get(name) ?? [])
    const parsed = parseDsse(utf8(JSON.stringify(envelope)))
    return codeOf(() => verifyEnvelope(parsed, { keys: trusted, threshold, payloadTypes: supportedPayloadTypes }))
  }

  test('there are nine, six of them good', () => {
    expect(
      vectors
        .map(one => one.expect)
        .toSorted()
        .join(' ')
    ).toBe('accept '.repeat(6) + 'reject reject reject')
  })

  test.each(vectors)('$id: $expect', vector => {
    const isAccepted = verdict(vector) === 'none'
    expect(isAccepted).toBe(vector.expect === 'accept')
    const covered = toHex(signedPart(parseDsse(utf8(JSON.stringify(vector.envelope)))))
    // What was signed is not what is claimed: in the swapped one and only there.
    if (vector.id === 'payload-type-swapped') expect(covered).not.toBe(vector.pae)
    else expect(covered).toBe(vector.pae)
  })
})

const [ann, bob] = [person('ann'), person('bob')]
const payload = utf8('{"a":1}')
const part = { payloadType: IN_TOTO_TYPE, payload }
const by = ({ secret, did }: Person) => ({ keyid: did as string, sig: sign(secret, signedPart(part)) })
const unhinted = (who: Person) => ({ ...by(who), keyid: '' })
const holds = (signatures: DsseEnvelope['signatures'], people: readonly Person[], threshold = people.length) =>
  codeOf(() =>
    verifyEnvelope(
      { ...part, signatures },
      { keys: people.map(({ did }) => did), threshold, payloadTypes: [IN_TOTO_TYPE] }
    )
  )

describe('whose signatures hold', () => {
  test('counts keys, not signatures', () => {
    expect(holds([by(ann), by(bob)], [ann, bob])).toBe('none')
    expect(holds([by(ann), by(ann)], [ann, bob])).toBe('BAD_SIGNATURE')
    expect(holds([unhinted(ann), by(ann)], [ann, bob])).toBe('BAD_SIGNATURE')
    expect(holds([by(ann)], [ann, ann], 2)).toBe('BAD_SIGNATURE')
  })

  test('a hint proves nothing', () => {
    expect(holds([{ ...by(ann), keyid: bob.did }], [bob])).toBe('BAD_SIGNATURE')
    expect(holds([{ ...by(ann), keyid: 'anything' }], [ann])).toBe('none')
  })

  test('a key that nobody asked about counts for nothing, and nought is no threshold', () => {
    expect(holds([by(bob)], [ann])).toBe('BAD_SIGNATURE')
    expect(holds([by(bob)], [], 0)).toBe('BAD_SIGNATURE')
  })

  test('the type of the payload is signed, and only those that are asked for are taken', () => {
    const signatures = [by(ann)]
    const trust = { keys: [ann.did], threshold: 1 }
    const other = { payload, payloadType: 'application/json', signatures }
    expect(codeOf(() => verifyEnvelope(other, { ...trust, payloadTypes: [IN_TOTO_TYPE] }))).toBe('MALFORMED')
    expect(codeOf(() => verifyEnvelope(other, { ...trust, payloadTypes: ['application/json'] }))).toBe('BAD_SIGNATURE')
  })

  test('sixteen signatures without a hint under sixteen keys are not all tried', () => {
    const crowd = Array.from({ length: 16 }, (_, i) => person(`crowd ${i}`))
    const stray = { keyid: '', sig: new Uint8Array(64).fill(1) }
    expect(
      holds(
        Array.from({ length: 16 }, () => stray),
        crowd
      )
    ).toBe('LIMIT_EXCEEDED')
    expect(holds(crowd.map(by), crowd)).toBe('none')
  })
})

describe('what an envelope may look like', () => {
  const text = (value: unknown) => utf8(JSON.stringify(value))
  const good = JSON.parse(fromUtf8(formatDsse({ ...part, signatures: [by(ann)] })) ?? '') as Record<string, unknown>
  const signature = (good['signatures'] as unknown[])[0]

  test('what we write is what we read, byte for byte', () => {
    const bytes = formatDsse({ ...part, signatures: [by(ann), unhinted(bob)] })
    expect(formatDsse(parseDsse(bytes))).toEqual(bytes)
    expect(fromUtf8(bytes)).toMatch(
      /^\{"payloadType":"application\/vnd\.in-toto\+json","payload":"[A-Za-z0-9+/=]+","signatures":\[\{"keyid":"did:key:z6Mk/
    )
  })

  test('16 signatures are taken, 17 and 33 are refused before any is looked at', () => {
    const many = (count: number) => text({ ...good, signatures: Array.from({ length: count }, () => signature) })
    expect(codeOf(() => parseDsse(many(16)))).toBe('none')
    expect(codeOf(() => parseDsse(many(17)))).toBe('LIMIT_EXCEEDED')
    expect(codeOf(() => parseDsse(many(33)))).toBe('LIMIT_EXCEEDED')
  })

  test('a predicate of 1 MB is refused for its size alone', () => {
    expect(codeOf(() => parseDsse(new Uint8Array(1_000_000)))).toBe('LIMIT_EXCEEDED')
  })

  test('fields that nobody knows are left alone, and a hint may be null', () => {
    expect(codeOf(() => parseDsse(text({ ...good, cert: 'x', signatures: [{ sig: 'AAAA', keyid: null }] })))).toBe(
      'none'
    )
  })

  test.each([
    ['no object', []],
    ['null', null],
    ['no payload', { ...good, payload: undefined }],
    ['a payload that is no base64', { ...good, payload: '%' }],
    ['a payload with white space', { ...good, payload: 'eyJh IjoxfQ==' }],
    ['a payload with stray bits', { ...good, payload: 'QUJD//==' }],
    ['a payload padded wrongly', { ...good, payload: 'QQ=' }],
    ['no signatures', { ...good, signatures: [] }],
    ['signatures that are no list', { ...good, signatures: {} }],
    ['a signature of nothing', { ...good, signatures: [{ sig: '' }] }],
    ['a signature that is a number', { ...good, signatures: [{ sig: 7 }] }],
    ['a hint that is a number', { ...good, signatures: [{ sig: 'AAAA', keyid: 7 }] }],
    ['a type that is a list', { ...good, payloadType: [] }]
  ])('refuses %s', (_, value) => {
    expect(codeOf(() => parseDsse(text(value)))).toBe('MALFORMED')
  })

  // Good but for what is put in front: without the check it would be read.
  const before = (more: string): Uint8Array => utf8(JSON.stringify(good).replace('{', `{${more}`))
  const nested = (depth: number): string => `"x":${'['.repeat(depth)}${']'.repeat(depth)},`

  test.each([
    ['a key twice', before('"payload":"QQ==",')],
    ['a key twice, once escaped', before('"p\\u0061yload":"QQ==",')],
    ['a key twice far inside', before('"a":[{"b":{"c":1,"d":"}","c":2}}],')],
    ['__proto__', before('"__proto__":{},')],
    ['nesting without end', before(nested(32))],
    ['more after the end', utf8(`${JSON.stringify(good)} {}`)],
    ['a byte order mark', utf8(`\uFEFF${JSON.stringify(good)}`)]
  ])('refuses JSON that not all read alike: %s', (_, bytes) => {
    expect(codeOf(() => parseDsse(bytes))).toBe('MALFORMED')
  })

  test.each([
    ['other keys', before('"payloads":"QQ==",')],
    ['the same keys in other objects', before('"a":[{"c":1},{"c":2},{"b":{"c":3},"c":"}"}],')],
    ['what looks like keys in texts', before('"a":"\\"payload\\":1","b":["payload","payload"],')],
    ['nesting', before(nested(31))]
  ])('reads %s', (_, bytes) => {
    expect(codeOf(() => parseDsse(bytes))).toBe('none')
  })

  test('refuses what is no UTF-8', () => {
    expect(codeOf(() => parseDsse(Uint8Array.of(0x22, 0xff, 0x22)))).toBe('MALFORMED')
  })
})

describe('base64', () => {
  test.each(['', 'f', 'fo', 'foo', 'foob', 'fooba', 'foobar', '\u00fb\u00ff'])('of %j is that of node:buffer', text => {
    const bytes = utf8(text)
    expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'))
    for (const form of ['base64', 'base64url'] as const)
      expect(fromBase64(Buffer.from(bytes).toString(form))).toEqual(bytes)
  })

  test.each(['A', 'AAAAA', '=', '====', 'AA=A', 'AB==', 'AAB=', 'AA=', 'AAA==', 'Aé==', 'AA\n='])(
    'refuses %j',
    text => {
      expect(fromBase64(text)).toBeUndefined()
    }
  )
})
