import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeCbor } from '../../protocol/cbor.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import { formatFactFile } from '../../protocol/fact-file.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { FactWriter, person } from '../support/facts.ts'
import { everythingOf, factsIn, fileWith, only, somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { refusal } from '../support/project.ts'
import { tempDir } from '../support/temp-dir.ts'

const eve = person('eve')

let ann: Somebody
let bob: Somebody
let carol: Somebody
let registry: string

beforeAll(async () => {
  ;[ann, bob, carol] = await Promise.all([somebody(), somebody(), somebody()])
  const roots = [bob.key, carol.key]
  registry = (await ann.node.call('registryCreate', { name: 'acme', roots, threshold: 2 })).id
  for (const one of [bob, carol]) await one.follow(registry, await everythingOf(ann, registry))
})

afterAll(() => Promise.all([ann, bob, carol].map(({ node }) => node.stop())))

describe('a change that needs two of three owners', () => {
  test('is written by one, does not count, and says how many more must sign and who', async () => {
    const out = ann.file()
    const granted = only(await ann.node.call('roleGrant', { to: eve.did, role: 'curator', out }))
    expect(granted).toMatchObject({ counts: false, reason: 'threshold-not-met', needed: 2, missing: 1 })
    expect(granted.signed).toEqual([ann.key])
    expect(granted.open.toSorted()).toEqual([bob.key, carol.key].toSorted())
    expect((await ann.node.call('roleList', {})).roles.map(({ key }) => key)).not.toContain(eve.did)

    const signed = await bob.node.call('sign', { file: out, dryRun: false })
    expect(signed.signed).toMatchObject([{ fact: granted.fact, counts: true, missing: 0 }])
    expect(signed.signed[0]?.text).toBe(`make ${eve.did} curator of the registry`)
    expect(await factsIn(out)).toHaveLength(3)
    expect(await ann.admit(out)).toEqual(expect.arrayContaining(['accept']))
    expect((await ann.node.call('roleList', {})).roles.map(({ key }) => key)).toContain(eve.did)
  })

  test('is signed by its id where it is here already, with a file for those who have not heard', async () => {
    const [first, second] = [ann.file(), bob.file()]
    const { fact } = only(await ann.node.call('roleGrant', { to: eve.did, role: 'auditor', out: first }))
    await bob.admit(first)
    const result = await bob.node.call('sign', { fact, out: second, dryRun: false })
    expect(result).toMatchObject({ file: second, signed: [{ counts: true }] })
    // carol has heard of neither, and lets both in by that one file.
    await carol.admit(second)
    const roles = (await carol.node.call('roleList', {})).roles.filter(({ key }) => key === eve.did)
    expect(roles.map(({ role }) => role)).toContain('auditor')
  })

  test('a signature given twice is one, and a dry run signs nothing', async () => {
    const out = ann.file()
    const { fact } = only(await ann.node.call('roleGrant', { to: eve.did, role: 'mirror', out }))
    expect(await ann.node.call('sign', { fact, dryRun: false })).toMatchObject({
      signed: [{ cosign: null, missing: 1 }]
    })
    expect(await bob.node.call('sign', { file: out, dryRun: true })).toMatchObject({
      signed: [{ cosign: null, counts: false }],
      file: null
    })
    expect((await refusal(ann.node.call('sign', { file: out, dryRun: false }))).code).toBe('NOT_AUTHORIZED')
    await bob.node.call('sign', { file: out, dryRun: false })
    expect((await refusal(bob.node.call('sign', { file: out, dryRun: false }))).code).toBe('NOT_AUTHORIZED')
  })

  test('who is no owner signs nothing', async () => {
    const stranger = await somebody()
    await stranger.follow(registry, await everythingOf(ann, registry))
    const out = ann.file()
    const { fact } = only(await ann.node.call('roleGrant', { to: eve.did, role: 'member', out }))
    const before = await factsIn(out)
    expect((await refusal(stranger.node.call('sign', { file: out, dryRun: false }))).code).toBe('NOT_AUTHORIZED')
    const refused = await refusal(stranger.node.call('sign', { fact, dryRun: false }))
    expect(refused.code).toBe('NOT_AUTHORIZED')
    expect(await factsIn(out)).toEqual(before)
    await stranger.node.stop()
  })

  test('the recovery key signs alone', async () => {
    const { fact } = only(await ann.node.call('roleGrant', { to: eve.did, role: 'maintainer' }))
    expect(await ann.node.call('sign', { fact, key: 'recovery', dryRun: false })).toMatchObject({
      signed: [{ counts: true }]
    })
  })
})

describe('publishing under a threshold', () => {
  test('a new name and its first version wait for a second owner, then count and install', async () => {
    const out = ann.file()
    const published = await ann.publish({ name: 'alpha' }, { out })
    expect(published.awaiting).toMatchObject({ fact: published.claim, needed: 2, missing: 1 })
    expect((await refusal(ann.node.show('alpha'))).code).toBe('UNKNOWN_PACKAGE')
    await bob.node.call('sign', { file: out, dryRun: false })
    await ann.admit(out)
    expect((await ann.node.show('alpha')).versions.map(({ version }) => version)).toEqual(['1.0.0'])
    const { installed } = await ann.node.install('alpha', { project: await tempDir('project') })
    expect(installed).toMatchObject([{ name: 'alpha', version: '1.0.0' }])
  })

  test('the same folder again is no second claim and no second release', async () => {
    const first = await ann.publish({ name: 'beta' })
    const { facts } = (await ann.node.registries.list())[0] ?? { facts: 0 }
    const again = await ann.publish({ name: 'beta' })
    expect(again).toMatchObject({ already: true, fact: first.fact, claim: null, awaiting: { missing: 1 } })
    expect((await ann.node.registries.list())[0]?.facts).toBe(facts)
    const other = refusal(ann.publish({ name: 'beta', files: { 'more.txt': 'other' } }))
    expect((await other).code).toBe('VERSION_EXISTS')
  })

  test('a release and a yank of a package with two owners wait for the second, then count', async () => {
    const [grant, release, yank] = [ann.file(), carol.file(), carol.file()]
    await ann.node.call('roleGrant', { package: 'alpha', to: carol.key, role: 'owner', threshold: 2, out: grant })
    await carol.admit(grant)
    const { awaiting } = await carol.publish({ name: 'alpha', version: '1.1.0' }, { out: release })
    expect(awaiting).toMatchObject({ needed: 2, missing: 1, open: [ann.key] })
    expect((await ann.node.call('sign', { file: release, dryRun: false })).signed[0]?.text).toContain('alpha@1.1.0')
    expect((await ann.node.show('alpha')).versions.map(({ version }) => version)).toEqual(['1.1.0', '1.0.0'])

    await carol.admit(release)
    const params = { reference: 'alpha@1.0.0', reason: 'broken', out: yank }
    const yanked = await carol.node.call('yank', params)
    expect(yanked).toMatchObject({ yanked: false, awaiting: { missing: 1 }, file: yank })
    expect(await carol.node.call('yank', { reference: 'alpha@1.0.0', reason: 'again' })).toMatchObject({
      fact: yanked.fact
    })
    await ann.node.call('sign', { file: yank, dryRun: false })
    expect((await ann.node.show('alpha')).versions.map(({ state }) => state)).toEqual(['ok', 'yanked'])
  })
})

describe('a file of facts', () => {
  const other = new FactWriter(person('root'))

  test.each([
    ['that is none', new TextEncoder().encode('hello'), 'MALFORMED'],
    ['of another kind', encodeCbor({ v: 1, kind: 'fork', facts: [other.genesis.bytes] }), 'MALFORMED'],
    ['of a newer version', encodeCbor({ v: 2, kind: 'facts', facts: [other.genesis.bytes] }), 'MALFORMED'],
    ['with more fields', encodeCbor({ v: 1, kind: 'facts', facts: [other.genesis.bytes], x: 1 }), 'MALFORMED'],
    ['without facts', encodeCbor({ v: 1, kind: 'facts', facts: [] }), 'MALFORMED'],
    [
      'with one fact twice',
      encodeCbor({ v: 1, kind: 'facts', facts: [other.genesis.bytes, other.genesis.bytes] }),
      'MALFORMED'
    ],
    ['with an entry that is no fact', encodeCbor({ v: 1, kind: 'facts', facts: [new Uint8Array(8)] }), 'MALFORMED'],
    ['with an entry that is no bytes', encodeCbor({ v: 1, kind: 'facts', facts: ['x'] }), 'MALFORMED'],
    ['that is too large', new Uint8Array(LIMITS.factFile.bytes + 1), 'LIMIT_EXCEEDED']
  ])('%s is refused as a whole', async (_, bytes, code) => {
    const file = ann.file()
    await writeFile(file, bytes)
    const before = (await ann.node.registries.list())[0]?.facts
    expect((await refusal(ann.node.call('admitFile', { file }))).code).toBe(code)
    expect((await refusal(ann.node.call('sign', { file, dryRun: false }))).code).toBe(code)
    expect((await ann.node.registries.list())[0]?.facts).toBe(before)
  })

  test('a file that is not there, and one that is in the way, are named', async () => {
    expect((await refusal(ann.node.call('admitFile', { file: '/nowhere/facts' }))).code).toBe('UNKNOWN_FILE')
    const out = ann.file()
    await writeFile(out, 'mine')
    const before = (await ann.node.registries.list())[0]?.facts
    const refused = await refusal(ann.node.call('roleGrant', { to: eve.did, role: 'member', out }))
    expect(refused.code).toBe('ALREADY_EXISTS')
    expect((await ann.node.registries.list())[0]?.facts).toBe(before)
  })

  test('each fact is judged on its own: strangers wait, forgeries are refused, other registries are left', async () => {
    const facts = new FactWriter(person('root'))
    const grant = facts.grant(eve.did, 'member')
    expect(await ann.admit(await fileWith(ann, [facts.genesis, grant]))).toEqual([
      'ignore unknown-registry',
      'ignore unknown-registry'
    ])
    const envelopes = await factsIn(await everythingOf(ann, registry))
    const forged = envelopes
      .filter(({ body }) => body.type === 'grant')
      .map(({ bodyBytes }) => encodeCbor({ body: bodyBytes, sig: new Uint8Array(64).fill(7) }))
    const dave = await somebody()
    await dave.node.registries.add(registry, { alias: 'acme' })
    const genesis = envelopes.filter(({ body }) => body.type === 'genesis')
    const file = dave.file()
    await writeFile(file, formatFactFile([...genesis, ...forged.map(parseEnvelope)]))
    const verdicts = await dave.admit(file)
    expect(new Set(verdicts)).toEqual(new Set(['accept', 'reject bad-signature']))
    expect(verdicts.filter(verdict => verdict === 'accept')).toHaveLength(1)
    await dave.node.stop()
  })

  test('the order in a file does not matter, and a second reading changes nothing', async () => {
    const dave = await somebody()
    await dave.node.registries.add(registry, { alias: 'acme' })
    const file = await everythingOf(ann, registry)
    expect(new Set(await dave.admit(file))).toEqual(new Set(['accept']))
    expect(new Set(await dave.admit(file))).toEqual(new Set(['ignore seen']))
    const digests = await Promise.all([ann, dave].map(async ({ node }) => (await node.call('registryShow', {})).digest))
    expect(digests[1]).toBe(digests[0])
    await dave.node.stop()
  })
})
