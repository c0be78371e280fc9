import { readFile, writeFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseSecret, principalFromPem, principalOf, publicPem } from '../../attestation/keys.ts'
import { signStatement, verifyEnvelope } from '../../attestation/verify-envelope.ts'
import { signerFrom } from '../../node/key-ring.ts'
import { IN_TOTO_TYPE, parseDsse } from '../../protocol/attest/envelope.ts'
import { parseStatement } from '../../protocol/attest/statement.ts'
import { utf8 } from '../../protocol/bytes.ts'
import { codeOf } from '../support/error-code.ts'
import { somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { refusal } from '../support/project.ts'
import { tempDir } from '../support/temp-dir.ts'

interface Vector {
  readonly by: string
  readonly seed: string
  readonly pem: string
  readonly envelope: string
}

const file = new URL('../vectors/dsse-other-tools.json', import.meta.url)
const { vectors } = JSON.parse(await readFile(file, 'utf8')) as { readonly vectors: readonly Vector[] }

describe('an envelope of another tool', () => {
  test.each(vectors)('holds under the key that is in its PEM: $by', ({ seed, pem, envelope }) => {
    const key = principalFromPem(pem)
    expect(key).toBe(principalOf(parseSecret(Buffer.from(seed, 'hex'))))
    expect(publicPem(key)).toBe(pem)
    const dsse = parseDsse(utf8(envelope))
    expect(verifyEnvelope(dsse, { keys: [key], threshold: 1, payloadTypes: [IN_TOTO_TYPE] })).toEqual([key])
    expect(parseStatement(dsse.payload).subjects[0]?.digests.get('sha256')).toMatch(/^[0-9a-f]{64}$/)
    // One letter of it is another statement, and one that nobody signed.
    const other = { ...dsse, payload: Uint8Array.from(dsse.payload, (byte, i) => (i === 40 ? byte ^ 1 : byte)) }
    expect(() => verifyEnvelope(other, { keys: [key], threshold: 1, payloadTypes: [IN_TOTO_TYPE] })).toThrow(/signed/)
  })

  test('and what others verified of ours is what is written here, byte for byte', () => {
    const ours = vectors.find(({ by }) => by.startsWith('ggen-node'))
    const { payload } = parseDsse(utf8(ours?.envelope ?? ''))
    expect(Buffer.from(signStatement(payload, parseSecret(Buffer.from(ours?.seed ?? '', 'hex')))).toString()).toBe(
      ours?.envelope
    )
  })

  test.each([
    ['nothing', ''],
    [
      'a secret',
      '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI\n-----END PRIVATE KEY-----\n'
    ],
    [
      'a key of another kind',
      '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VuAyEAX/e6rS2OsVUT4jszEsj3fH23mc8lNeWPXNyGeU5sto4=\n-----END PUBLIC KEY-----\n'
    ],
    ['two keys', (vectors[0]?.pem ?? '') + (vectors[1]?.pem ?? '')]
  ])('is not looked at with %s for a key', (_what, pem) => {
    expect(codeOf(() => principalFromPem(pem))).toBe('MALFORMED')
  })
})

describe('envelopes', () => {
  let ann: Somebody
  let folder: string
  beforeAll(async () => {
    ann = await somebody()
    folder = await tempDir('envelopes')
    await ann.node.call('registryCreate', { name: 'acme' })
    await ann.publish({ name: 'alpha' })
  })
  afterAll(() => ann.node.stop())

  test('are written for other tools as they were signed, with what they refer to, and never over anything', async () => {
    const text = 'x'.repeat(100_000)
    const predicate = join(folder, 'review.json')
    await writeFile(predicate, JSON.stringify({ score: 5, text }))
    await ann.node.call('attest', { reference: 'alpha', type: 'star' })
    await ann.node.call('attest', { reference: 'alpha', type: 'review', predicate })
    const out = join(folder, 'out')
    const { files } = await ann.node.call('attestations', { reference: 'alpha', out })
    const names = (await readdir(out)).toSorted()
    expect(names).toHaveLength(3)
    expect(files.toSorted()).toEqual(names.map(name => join(out, name)))
    const [review = '', predicateFile = '', star = ''] = names
    expect([review, star].map(name => name.replace(/-.*/, ''))).toEqual(['review', 'star'])
    expect(await readFile(join(out, predicateFile), 'utf8')).toBe(await readFile(predicate, 'utf8'))
    const pem = join(folder, 'ann.pem')
    await writeFile(pem, publicPem(ann.key))
    const signers = [await signerFrom(pem)]
    for (const name of [review, star]) {
      const found = await ann.node.call('verifyEnvelope', { file: join(out, name), signers })
      expect(found).toMatchObject({ signers: [ann.key], releases: [{ name: 'ggen/alpha' }] })
    }
    // What has no content of its own is no object of nothing: readers of in-toto refuse an empty predicate.
    const { payload } = parseDsse(await readFile(join(out, star)))
    expect(parseStatement(payload).predicate).toEqual({ star: true })
    const again = ann.node.call('attestations', { reference: 'alpha', out })
    expect(await refusal(again)).toMatchObject({ code: 'ALREADY_EXISTS' })
  })
})
