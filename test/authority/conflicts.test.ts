import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verifyForkProof } from '../../attestation/fork-proof.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import type { FactId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { FactWriter, make, person } from '../support/facts.ts'
import type { Made } from '../support/facts.ts'
import { codeOf } from '../support/error-code.ts'
import { everythingOf, factsIn, fileWith, only, somebody, stolenFrom } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { refusal } from '../support/project.ts'
import { runCli } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

let ann: Somebody
let registry: string

beforeAll(async () => {
  ann = await somebody()
  registry = (await ann.node.call('registryCreate', { name: 'acme' })).id
})

afterAll(() => ann.node.stop())

describe('a version with two contents', () => {
  test('is listed, settled by its content, and served again', async () => {
    const bob = await somebody()
    await ann.publish({ name: 'alpha' })
    await ann.node.call('roleGrant', { to: bob.key, role: 'publisher' })
    await bob.follow(registry, await everythingOf(ann, registry))
    const ours = await ann.publish({ name: 'alpha', version: '1.1.0' })
    const theirs = await bob.publish({ name: 'alpha', version: '1.1.0', files: { 'other.txt': 'x' } })
    await ann.admit(await everythingOf(bob, registry))
    const { versions, forks } = await ann.node.call('conflictList', {})
    expect(forks).toEqual([])
    expect(versions).toMatchObject([{ name: 'ggen/alpha', version: '1.1.0' }])
    expect(versions[0]?.contents.map(({ fact }) => fact).toSorted()).toEqual([ours.fact, theirs.fact].toSorted())

    const unknown = refusal(ann.node.call('resolve', { reference: 'alpha@1.1.0', keep: registry }))
    expect((await unknown).tried.join(' ')).toContain(theirs.fact)
    expect((await refusal(ann.node.call('resolve', { reference: 'alpha', keep: ours.fact }))).code).toBe(
      'INVALID_REFERENCE'
    )
    expect((await refusal(ann.node.call('resolve', { reference: 'alpha@1.0.0', keep: ours.fact }))).code).toBe('USAGE')
    expect((await refusal(ann.node.call('resolve', { reference: 'alpha@9.0.0', keep: ours.fact }))).code).toBe(
      'UNKNOWN_VERSION'
    )
    const stranger = refusal(bob.node.call('resolve', { reference: 'alpha@1.1.0', keep: theirs.fact }))
    await bob.admit(await everythingOf(ann, registry))
    expect((await stranger).code).toBe('USAGE')
    expect((await refusal(bob.node.call('resolve', { reference: 'alpha@1.1.0', keep: theirs.fact }))).code).toBe(
      'NOT_AUTHORIZED'
    )
    expect(only(await ann.node.call('resolve', { reference: 'acme:alpha@1.1.0', keep: ours.cid })).counts).toBe(true)
    expect((await ann.node.call('conflictList', {})).versions).toEqual([])
    const { installed } = await ann.node.install('alpha@=1.1.0', { project: await tempDir('project') })
    expect(installed).toMatchObject([{ cid: ours.cid }])
    await bob.node.stop()
  })
})

describe('two statements at one place', () => {
  let one: FactId
  let two: FactId

  beforeAll(async () => {
    const bob = await somebody()
    const out = ann.file()
    await ann.node.call('roleGrant', { to: bob.key, role: 'publisher', out })
    await bob.follow(registry, await everythingOf(ann, registry))
    const first = await bob.publish({ name: 'alpha', version: '3.0.0' })
    await ann.admit(await everythingOf(bob, registry))
    // The same key, the same place, another body.
    const { bytes } = (await envelopesOf(ann)).find(({ id }) => id === first.fact) ?? { bytes: new Uint8Array() }
    const twin = make({ ...parseEnvelope(bytes).body, time: 1 }, await stolenFrom(bob))
    await ann.admit(await fileWith(ann, [twin]))
    ;[one, two] = [first.fact, twin.id]
    await bob.node.stop()
  })

  test('are listed as a fork, and their author is marked', async () => {
    const { forks } = await ann.node.call('conflictList', {})
    expect(forks).toMatchObject([{ subject: 'ggen/alpha', seq: 0 }])
    expect(forks[0]?.facts).toEqual([one, two].toSorted())
    const { versions } = await ann.node.show('alpha')
    expect(versions[0]).toMatchObject({ version: '3.0.0', contents: [{ marks: ['forked-author'] }] })
  })

  test('make a proof that a machine which knows nothing else can check', async () => {
    const file = ann.file()
    const { facts } = await ann.node.call('proofExport', { fact: two, file })
    expect(facts).toEqual([one, two].toSorted())
    const { code, stdout } = await runCli(['--json', 'proof', 'verify', file], { home: await tempDir('nothing-here') })
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, proven: true, kind: 'fork', registry, facts, seq: 0 })
    expect(code).toBe(0)
    expect((await refusal(ann.node.call('proofExport', { fact: two, file }))).code).toBe('ALREADY_EXISTS')
    const alone = await refusal(ann.node.call('proofExport', { fact: registry, file: ann.file() }))
    expect(alone.message).toContain('stands alone')
  })

  test('are settled by keeping one, and the mark goes', async () => {
    const wrong = await refusal(ann.node.call('resolveFork', { fork: one, keep: registry }))
    expect(wrong.code).toBe('USAGE')
    expect(only(await ann.node.call('resolveFork', { fork: two, keep: one })).counts).toBe(true)
    expect((await ann.node.call('conflictList', {})).forks).toEqual([])
    expect((await ann.node.call('registryShow', {})).forks).toEqual({ open: [], settled: 1 })
    expect((await ann.node.show('alpha')).versions[0]?.contents[0]?.marks).toEqual([])
  })
})

describe('a proof file', () => {
  const [root, eve] = [person('root'), person('eve')]
  const facts = new FactWriter(root)
  const left = facts.grant(eve.did, 'member')
  const right = make({ ...left.body, time: 1 }, root)
  const about = facts.claim('alpha')
  const next = facts.grant(eve.did, 'mirror')
  const file = (some: readonly Made[], more: object = {}): Uint8Array =>
    encodeCbor({
      v: 1,
      kind: 'fork',
      facts: some.toSorted((a, b) => (a.id < b.id ? -1 : 1)).map(made => made.bytes),
      ...more
    })
  const forge = (made: Made): Made => ({ ...made, bytes: withSignature(made, new Uint8Array(64).fill(7)) })

  test('of two bodies at one place proves it, of three as well', () => {
    const third = make({ ...left.body, time: 2 }, root)
    expect(verifyForkProof(file([left, right]))).toMatchObject({ author: root.did, seq: 0, subject: 'registry' })
    expect(verifyForkProof(file([left, right, third])).facts).toHaveLength(3)
  })

  test.each([
    ['that is none', new TextEncoder().encode('a proof, honestly'), 'MALFORMED'],
    ['with one statement', file([left]), 'MALFORMED'],
    ['with one statement twice', file([left, left]), 'MALFORMED'],
    [
      'with statements in the wrong order',
      encodeCbor({
        v: 1,
        kind: 'fork',
        facts: [left, right].toSorted((a, b) => (a.id < b.id ? 1 : -1)).map(made => made.bytes)
      }),
      'MALFORMED'
    ],
    ['of another kind', file([left, right], { kind: 'facts' }), 'MALFORMED'],
    ['of a newer version', file([left, right], { v: 2 }), 'MALFORMED'],
    ['with more fields', file([left, right], { note: 'believe me' }), 'MALFORMED'],
    ['of different registries', file([left, make({ ...right.body, registry: left.id as never }, root)]), 'MALFORMED'],
    ['of different subjects', file([left, about]), 'MALFORMED'],
    ['of different authors', file([left, make({ ...left.body, author: eve.did }, eve)]), 'MALFORMED'],
    ['of different chains', file([left, make({ ...left.body, chain: eve.chain, time: 5 }, root)]), 'MALFORMED'],
    ['of different positions', file([left, next]), 'MALFORMED'],
    [
      'of two registries that one key founded',
      file([facts.genesis, new FactWriter(root, { nonce: new Uint8Array(16).fill(1) }).genesis]),
      'MALFORMED'
    ],
    ['with a signature that is none', file([left, forge(right)]), 'BAD_SIGNATURE'],
    [
      'with the signature of somebody else',
      file([left, { ...right, bytes: withSignature(right, parseEnvelope(left.bytes).signature) }]),
      'BAD_SIGNATURE'
    ],
    [
      'with more statements than a proof has',
      file(Array.from({ length: LIMITS.proof.facts + 1 }, (_, i) => make({ ...left.body, time: i + 10 }, root))),
      'MALFORMED'
    ],
    ['that is too large', new Uint8Array(LIMITS.proof.bytes + 1), 'LIMIT_EXCEEDED']
  ])('%s proves nothing', (_, bytes, code) => {
    expect(codeOf(() => verifyForkProof(bytes))).toBe(code)
  })

  test('with any bit turned proves nothing, or the same', () => {
    const whole = file([left, right])
    const wanted = verifyForkProof(whole)
    for (let bit = 0; bit < whole.length * 8; bit += 7) {
      const bytes = Uint8Array.from(whole)
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      try {
        expect(verifyForkProof(bytes)).toEqual(wanted)
      } catch (error) {
        expect(error).toBeInstanceOf(RegistryError)
      }
    }
  })

  test('that proves nothing ends with another code than 0, and one that is not there as well', async () => {
    const path = ann.file()
    await writeFile(path, file([left, forge(right)]))
    const home = await tempDir('nothing-here')
    expect(await runCli(['proof', 'verify', path], { home })).toMatchObject({ code: 6 })
    expect(await runCli(['proof', 'verify', `${path}.not`], { home })).toMatchObject({ code: 2 })
  })
})

async function envelopesOf(someone: Somebody) {
  return factsIn(await everythingOf(someone, registry))
}

/** The same body under other bytes as its signature. */
function withSignature({ bytes }: Made, sig: Uint8Array): Uint8Array {
  return encodeCbor({ body: parseEnvelope(bytes).bodyBytes, sig })
}
