import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { admitKey, sign, parseSecret, verify } from '../../attestation/keys.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import { preAuthEncoding } from '../../protocol/fact.ts'
import { describeWithShared } from '../support/shared.ts'

const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))
const readJson = <T>(...path: readonly string[]) => JSON.parse(readFileSync(join(...path), 'utf8')) as T

function verifyStrict(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    admitKey(key)
  } catch (error) {
    if (isRegistryError(error) && error.code === 'INADMISSIBLE_KEY') return false
    throw error
  }
  return verify(key, message, signature)
}

interface Wycheproof {
  readonly testGroups: readonly {
    readonly publicKey: { readonly pk: string }
    readonly tests: readonly {
      readonly tcId: number
      readonly msg: string
      readonly sig: string
      readonly result: string
    }[]
  }[]
}

describeWithShared('vectors/wycheproof', 'Wycheproof Ed25519', path => {
  test('all 151 verdicts are ours', () => {
    const { testGroups } = readJson<Wycheproof>(path, 'ed25519_test.json')
    const cases = testGroups.flatMap(({ publicKey, tests }) => tests.map(one => ({ ...one, pk: publicKey.pk })))
    const wrong = cases.filter(
      one => verifyStrict(hex(one.pk), hex(one.msg), hex(one.sig)) !== (one.result === 'valid')
    )
    expect(wrong.map(one => one.tcId)).toEqual([])
    expect(cases).toHaveLength(151)
  })
})

interface Cctv {
  readonly number: number
  readonly key: string
  readonly sig: string
  readonly msg: string
  readonly flags: readonly string[] | null
}

describeWithShared('vectors/cctv', 'C2SP CCTV Ed25519', path => {
  // OpenSSL 3.0 takes 304 as well, whose R is the identity; 3.5.8 does not, and our own rule makes all builds agree:
  // docs/decisions/0006-low-order-r-refused.md.
  test('of 914 edge cases only 305 is accepted: nothing low-order, nothing non-canonical, whatever OpenSSL thinks', () => {
    const cases = readJson<readonly Cctv[]>(path, 'ed25519vectors.json')
    const accepted = cases.filter(one => verifyStrict(hex(one.key), Buffer.from(one.msg, 'utf8'), hex(one.sig)))
    expect(cases).toHaveLength(914)
    expect(accepted.map(one => one.number)).toEqual([305])
    expect(accepted.flatMap(one => one.flags ?? [])).toEqual([])
  })

  test('without admission the verifier alone accepts the same 43 on every build, none of them low-order', () => {
    const cases = readJson<readonly Cctv[]>(path, 'ed25519vectors.json')
    const accepted = cases.filter(one => verify(hex(one.key), Buffer.from(one.msg, 'utf8'), hex(one.sig)))
    const flags = new Set(accepted.flatMap(one => one.flags ?? []))
    expect(accepted).toHaveLength(43)
    expect([...flags].filter(flag => flag.startsWith('low_order_') && !flag.includes('component'))).toEqual([])
  })
})

interface Speccheck {
  readonly message: string
  readonly pub_key: string
  readonly signature: string
}

describeWithShared('vectors/speccheck', 'ed25519-speccheck', path => {
  test('none of the 12 cases is accepted', () => {
    const cases = readJson<readonly Speccheck[]>(path, 'cases.json')
    const accepted = cases.flatMap((one, i) =>
      verifyStrict(hex(one.pub_key), hex(one.message), hex(one.signature)) ? [i] : []
    )
    expect(cases).toHaveLength(12)
    expect(accepted).toEqual([])
  })
})

interface Dsse {
  readonly keys: Readonly<Record<string, { readonly seed: string; readonly public: string }>>
  readonly vectors: readonly {
    readonly id: string
    readonly envelope: {
      readonly payload: string
      readonly payloadType: string
      readonly signatures: readonly { readonly sig: string; readonly keyid?: string }[]
    }
    readonly pae: string
    readonly expect: string
  }[]
}

describeWithShared('vectors/dsse', 'DSSE', path => {
  const { keys, vectors } = readJson<Dsse>(path, 'vectors.json')

  test('the recomputed pre-authentication encoding differs only where the payload type was swapped', () => {
    const differing = vectors.filter(({ envelope, pae }) => {
      const bytes = preAuthEncoding(envelope.payloadType, Buffer.from(envelope.payload, 'base64'))
      return Buffer.from(bytes).toString('hex') !== pae
    })
    expect(vectors).toHaveLength(9)
    expect(differing.map(one => one.id)).toEqual(['payload-type-swapped'])
  })

  test('our signature over the encoding is the one in the vector', () => {
    const single = vectors.find(one => one.id === 'single-signature')
    const seed = keys['A']?.seed
    const signature = sign(parseSecret(hex(seed ?? '')), hex(single?.pae ?? ''))
    expect(Buffer.from(signature).toString('base64')).toBe(single?.envelope.signatures[0]?.sig)
  })
})
