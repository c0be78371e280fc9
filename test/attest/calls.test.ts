import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sign } from '../../attestation/keys.ts'
import { signStatement } from '../../attestation/verify-envelope.ts'
import { formatDsse, IN_TOTO_TYPE, signedPart } from '../../protocol/attest/envelope.ts'
import { formatStatement } from '../../protocol/attest/statement.ts'
import { summarise } from '../../protocol/attest/predicates.ts'
import { packageFolder } from '../support/package-folder.ts'
import { person } from '../support/facts.ts'
import { everythingOf, somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { refusal } from '../support/project.ts'
import { tempDir } from '../support/temp-dir.ts'

const lab = person('an auditor with tools of his own')

let ann: Somebody
let bob: Somebody
let files: string

beforeAll(async () => {
  ;[ann, bob] = await Promise.all([somebody(), somebody()])
  files = await tempDir('predicates')
  const { id } = await ann.node.call('registryCreate', { name: 'acme' })
  await ann.publish({ name: 'beta' })
  await ann.publish({ name: 'alpha', dependencies: { beta: '^1.0.0' } })
  await bob.follow(id, await everythingOf(ann, id))
  await bob.node.call('registryCreate', { name: 'audits', alias: 'audits' })
})
afterAll(() => Promise.all([ann, bob].map(({ node }) => node.stop())))

const file = async (name: string, value: unknown): Promise<string> => {
  const path = join(files, name)
  await writeFile(path, value instanceof Uint8Array ? value : JSON.stringify(value))
  return path
}
const AUDITED = { criteria: ['safe-to-run'], result: 'pass', kind: 'full' }

/** An envelope about the archive of alpha as another tool writes it: its own hint, its own order of fields. */
async function foreign(change: { sha256?: string } = {}): Promise<Uint8Array> {
  const { release } = await bob.node.call('attestations', { reference: 'acme:alpha' })
  const digests = new Map([['sha256', change.sha256 ?? release.sha256]])
  const payload = formatStatement({
    subjects: [{ name: 'alpha-1.0.0.tar', digests }],
    predicateType: 'https://slsa.dev/verification_summary/v1',
    predicate: { verifier: { id: 'x:lab' }, verificationResult: 'PASSED', resourceUri: 'x:y', verifiedLevels: [] }
  })
  const part = { payloadType: IN_TOTO_TYPE, payload }
  const { payloadType, signatures, ...rest } = JSON.parse(
    Buffer.from(
      formatDsse({ ...part, signatures: [{ keyid: 'f00d', sig: sign(lab.secret, signedPart(part)) }] })
    ).toString()
  ) as Record<string, unknown>
  return Buffer.from(`${JSON.stringify({ ...rest, payloadType, signatures, extra: 1 }, undefined, 2)}\n`)
}

describe('attest', () => {
  test('an auditor speaks in a registry of his own, and whoever follows it hears him', async () => {
    const predicate = await file('audit.json', AUDITED)
    const order = { reference: 'acme:alpha@1.0.0', type: 'audit', predicate }
    // Acme never gave him a role.
    expect(await refusal(bob.node.call('attest', order))).toMatchObject({ code: 'NOT_AUTHORIZED' })
    const said = await bob.node.call('attest', { ...order, registry: 'audits' })
    expect(said).toMatchObject({ alias: 'audits', isNew: true, signers: [bob.key], content: null })
    const { attestations } = await bob.node.call('attestations', { reference: 'acme:alpha' })
    expect(attestations).toMatchObject([{ issuer: bob.key, alias: 'audits', counts: true, type: 'audit' }])

    // The same again is no second statement, and it travels in a file of facts.
    expect(await bob.node.call('attest', { ...order, registry: 'audits' })).toMatchObject({
      isNew: false,
      fact: said.fact
    })
    await ann.node.registries.add(said.registry, { alias: 'bob' })
    await ann.admit(await everythingOf(bob, said.registry))
    expect((await ann.node.call('attestations', { reference: 'alpha' })).attestations).toMatchObject([
      { issuer: bob.key, alias: 'bob', roles: ['owner'], counts: true }
    ])
    expect((await ann.node.call('attestations', { reference: 'beta' })).attestations).toEqual([])
    const stars = await ann.node.call('attestations', { reference: 'alpha', type: 'star' })
    expect(stars.attestations).toEqual([])
  })

  test('what another tool signed is kept byte for byte, under the keys that signed it', async () => {
    const envelope = await file('vsa.json', await foreign())
    const order = { reference: 'acme:alpha', envelope, registry: 'audits' }
    expect(await refusal(bob.node.call('attest', order))).toMatchObject({ code: 'BAD_SIGNATURE' })
    expect(await refusal(bob.node.call('attest', { ...order, signers: [bob.key] }))).toMatchObject({
      code: 'BAD_SIGNATURE'
    })
    await bob.node.call('attest', { ...order, signers: [lab.did] })
    const { attestations } = await bob.node.call('attestations', { reference: 'acme:alpha', type: 'vsa' })
    expect(attestations).toMatchObject([{ issuer: lab.did, by: bob.key, marks: ['relayed'], counts: true }])
    const checked = await bob.node.call('verifyEnvelope', { file: envelope, signers: [lab.did] })
    expect(checked).toMatchObject({ signers: [lab.did], unknown: 0, releases: [{ name: 'ggen/alpha', alias: 'acme' }] })
  })

  test('an attestation about other bytes is refused', async () => {
    const envelope = await file('other.json', await foreign({ sha256: createHash('sha256').update('x').digest('hex') }))
    const order = { reference: 'acme:alpha', envelope, registry: 'audits', signers: [lab.did] }
    expect(await refusal(bob.node.call('attest', order))).toMatchObject({ code: 'MALFORMED' })
    expect(await bob.node.call('verifyEnvelope', { file: envelope, signers: [lab.did] })).toMatchObject({
      releases: []
    })
  })

  test('a predicate that does not have the shape of its type is refused before it is signed', async () => {
    const predicate = await file('bad.json', { ...AUDITED, kind: 'delta' })
    const order = { reference: 'acme:alpha', type: 'audit', predicate, registry: 'audits' }
    expect(await refusal(bob.node.call('attest', order))).toMatchObject({ code: 'MALFORMED' })
    expect(await refusal(bob.node.call('attest', { ...order, type: 'nonsense' }))).toMatchObject({ code: 'USAGE' })
    expect(await refusal(bob.node.call('attest', { reference: 'acme:alpha', registry: 'audits' }))).toMatchObject({
      code: 'USAGE'
    })
    for (const concluded of ['MIT OR', '(MIT', 'Nothing-Known-1.0']) {
      const licence = await file('licence.json', { concluded })
      expect(await refusal(bob.node.call('attest', { ...order, type: 'licence', predicate: licence }))).toMatchObject({
        code: 'INVALID_LICENCE'
      })
    }
  })

  test('a predicate of 100 KB is content, one of 1 MB is refused', async () => {
    const order = { reference: 'acme:alpha', type: 'review', registry: 'audits' }
    const large = { score: 5, text: 'x'.repeat(100_000) }
    const { content } = await bob.node.call('attest', { ...order, predicate: await file('large.json', large) })
    expect(content).toMatch(/^bafkrei/)
    const { attestations } = await bob.node.call('attestations', { reference: 'acme:alpha', type: 'review' })
    expect(attestations).toMatchObject([{ marks: [], content: { cid: content }, summary: { score: 5 } }])
    const huge = await file('huge.json', { score: 5, text: 'x'.repeat(1_000_000) })
    expect(await refusal(bob.node.call('attest', { ...order, predicate: huge }))).toMatchObject({
      code: 'LIMIT_EXCEEDED'
    })
  })

  test('a version that there is not', async () => {
    const order = { reference: 'acme:alpha@9.9.9', type: 'star', registry: 'audits' }
    expect(await refusal(bob.node.call('attest', order))).toMatchObject({ code: 'UNKNOWN_VERSION' })
  })
})

describe('verify', () => {
  test('every signature of a release and of what is said of it holds', async () => {
    const { by, facts, signatures } = await bob.node.call('verifyRelease', { reference: 'acme:beta' })
    expect({ by, facts, signatures }).toEqual({ by: ann.key, facts: 1, signatures: 1 })
  })

  test('an envelope whose predicate is not of its kind is told so, after its signatures', async () => {
    const { release } = await bob.node.call('attestations', { reference: 'acme:alpha' })
    const payload = formatStatement({
      subjects: [{ name: 'alpha', digests: new Map([['sha256', release.sha256]]) }],
      predicateType: 'urn:ggen:attestation:review:1',
      predicate: { score: 9 }
    })
    const path = await file('nine.json', signStatement(payload, lab.secret))
    const refused = await refusal(bob.node.call('verifyEnvelope', { file: path }))
    expect(refused).toMatchObject({ code: 'MALFORMED' })
    expect(refused.message).toMatch(/the signatures hold, and it counts for nothing: .*score/)
    expect(refused.next).toMatch(/section 4/)
  })

  test('a folder is the release that it is made of, and no other', async () => {
    const folder = await packageFolder({ name: 'beta' })
    const same = await bob.node.call('verifyFolder', { folder })
    expect(same.releases).toMatchObject([{ name: 'ggen/beta', version: '1.0.0', cid: same.cid, alias: 'acme' }])
    await writeFile(join(folder, 'more.txt'), 'more')
    expect((await bob.node.call('verifyFolder', { folder })).releases).toEqual([])
    expect(await refusal(bob.node.call('verifyFolder', { folder: files }))).toMatchObject({ code: 'NO_MANIFEST' })
  })

  test.each<[string, unknown, string]>([
    ['prose', Buffer.from('# a readme\n'), 'MALFORMED'],
    ['JSON of another kind', { a: 1 }, 'MALFORMED'],
    ['nothing', Buffer.of(), 'MALFORMED'],
    ['half a megabyte of anything', Buffer.alloc(600_000, 1), 'LIMIT_EXCEEDED']
  ])('a file of %s is said to be neither archive nor statement, with what verify takes', async (name, bytes, code) => {
    const path = await file(name, bytes)
    const refused = await refusal(bob.node.call('verifyEnvelope', { file: path }))
    expect(refused).toMatchObject({ code })
    expect(refused.message).toMatch(/neither an archive nor a signed statement/)
    expect(refused.next).toMatch(/archive .*envelope, a package folder, or \[registry:\]name/)
  })
})

describe('sbom', () => {
  test.each(['cyclonedx', 'spdx'] as const)(
    '%s: what it writes fits its own schema, can be signed, and is the same again',
    async format => {
      const write = async (): Promise<string> =>
        (await bob.node.call('sbom', { reference: 'acme:alpha', format })).document
      const document = await write()
      expect(await write()).toBe(document)
      const uri = format === 'spdx' ? 'https://spdx.dev/Document' : 'https://cyclonedx.org/bom'
      const summary = summarise(uri, JSON.parse(document) as Record<string, unknown>)
      expect(summary).toMatchObject({ type: 'sbom', format, components: 1, licences: ['MIT'] })
      expect(document).toContain('pkg:ggen/beta@1.0.0')
      const predicate = await file(`${format}.json`, Buffer.from(document))
      await bob.node.call('attest', { reference: 'acme:alpha', type: format, predicate, registry: 'audits' })
      const { attestations } = await bob.node.call('attestations', { reference: 'acme:alpha', type: format })
      expect(attestations.map(({ counts, summary: said }) => ({ counts, said }))).toEqual([
        { counts: true, said: summary }
      ])
      const both = await bob.node.call('attestations', { reference: 'acme:alpha', type: 'sbom' })
      expect(both.attestations.map(({ predicateType }) => predicateType)).toContain(uri)
    }
  )

  test('an unknown format', async () => {
    expect(await refusal(bob.node.call('sbom', { reference: 'acme:alpha', format: 'swid' }))).toMatchObject({
      code: 'USAGE'
    })
  })
})

describe('audit', () => {
  const order = { reference: 'acme:beta', criteria: ['safe-to-run', 'safe-to-deploy'], failed: false }

  test("is said in the auditor's own registry, and is what it was found to be", async () => {
    const said = await bob.node.call('audit', { ...order, notes: 'two lines of prose' })
    expect(said).toMatchObject({ alias: 'audits', isNew: true })
    const { attestations } = await bob.node.call('attestations', { reference: 'acme:beta' })
    expect(attestations).toMatchObject([
      { summary: { criteria: order.criteria, result: 'pass', kind: 'full', notes: 'two lines of prose' }, trusted: [] }
    ])
  })

  test('of what changed since another version names that one by its bytes', async () => {
    await ann.publish({ name: 'beta', version: '1.1.0' })
    const { id } = (await ann.node.registries.list()).find(({ alias }) => alias === 'acme') ?? { id: '' }
    await bob.admit(await everythingOf(ann, id))
    const { release } = await bob.node.call('attestations', { reference: 'acme:beta@1.0.0' })
    await bob.node.call('audit', { ...order, reference: 'acme:beta@1.1.0', from: '1.0.0', failed: true })
    const { attestations } = await bob.node.call('attestations', { reference: 'acme:beta@1.1.0' })
    const from = { version: '1.0.0', sha256: release.sha256 }
    expect(attestations).toMatchObject([{ summary: { result: 'fail', kind: 'delta', from } }])
    const same = { ...order, reference: 'acme:beta@1.0.0', from: '1.0.0' }
    expect(await refusal(bob.node.call('audit', same))).toMatchObject({ code: 'USAGE' })
  })

  test('of who changes his mind and back again is heard as he said last, and the same twice is said once', async () => {
    const reference = 'acme:alpha'
    await bob.node.call('trustAdd', { what: bob.key, purpose: 'audits' })
    const say = async (failed: boolean) => (await bob.node.call('audit', { ...order, reference, failed })).isNew
    const verdict = async () => {
      const { rules } = await bob.node.call('policyExplain', { reference, project: files })
      return rules.find(({ code }) => code === 'audit-failed')
    }
    for (const failed of [false, true, false, true]) {
      expect(await say(failed)).toBe(true)
      expect(await say(failed)).toBe(false)
      expect((await verdict())?.outcome).toBe(failed ? 'deny' : 'passed')
    }
    // That two others pass it would help nobody.
    expect((await verdict())?.forward).toContain('no auditor who is followed has found to be bad')
    await bob.node.call('trustRemove', { what: bob.key, purpose: 'audits' })
  })

  test('that is repeated by several criteria, or beside a scan, is said once, until another result came after it', async () => {
    await ann.publish({ name: 'nightly' })
    const { id } = (await ann.node.registries.list()).find(({ alias }) => alias === 'acme') ?? { id: '' }
    await bob.admit(await everythingOf(ann, id))
    const reference = 'acme:nightly'
    const say = async (criterion: string, failed = false) =>
      (await bob.node.call('audit', { reference, criteria: [criterion], failed })).isNew
    const attest = async (type: string, name: string, value: unknown) => {
      const predicate = await file(name, value)
      return (await bob.node.call('attest', { reference, type, predicate, registry: 'audits' })).isNew
    }
    const scan = (by: string, found: readonly string[]) => {
      const result = found.map(one => ({ id: one, severity: [] }))
      return attest('vulnerabilities', `${by}.json`, { scanner: { uri: `https://${by}.test`, result } })
    }
    const night = async () => [await say('a'), await say('b'), await scan('one', []), await scan('two', ['CVE-2026-1'])]
    expect(await night()).toEqual([true, true, true, true])
    expect(await night()).toEqual([false, false, false, false])
    expect(await say('a', true)).toBe(true)
    expect(await night()).toEqual([true, true, false, false])
    expect(await night()).toEqual([false, false, false, false])
    const review = (score: number) => attest('review', `score-${score}.json`, { score })
    expect([await review(5), await review(5), await review(1), await review(5), await review(5)]).toEqual([
      true,
      false,
      true,
      true,
      false
    ])
  })

  test('by whom several registries were made says in which', async () => {
    await ann.node.call('registryCreate', { name: 'second' })
    expect(await refusal(ann.node.call('audit', { ...order, reference: 'acme:beta' }))).toMatchObject({ code: 'USAGE' })
    expect(await refusal(bob.node.call('audit', { ...order, criteria: [] }))).toMatchObject({ code: 'USAGE' })
    expect(await refusal(bob.node.call('audit', { ...order, criteria: ['Very safe'] }))).toMatchObject({
      code: 'MALFORMED'
    })
  })
})

describe('trust', () => {
  test('in a registry or a key is written down, shown beside what they say, and taken back', async () => {
    expect(await bob.node.call('trustAdd', { what: 'audits', purpose: 'audits' })).toMatchObject({
      isNew: true,
      alias: 'audits'
    })
    expect(await bob.node.call('trustAdd', { what: 'audits', purpose: 'audits' })).toMatchObject({ isNew: false })
    await bob.node.call('trustAdd', { what: bob.key, purpose: 'reviews' })
    expect(await bob.node.call('trustList', {})).toMatchObject([
      { purpose: 'audits', alias: 'audits' },
      { purpose: 'reviews', who: bob.key, alias: null }
    ])
    const { attestations } = await bob.node.call('attestations', { reference: 'acme:beta@1.0.0' })
    expect(attestations.map(({ trusted }) => trusted)).toEqual([['audits', 'reviews']])
    expect(await bob.node.call('trustRemove', { what: bob.key, purpose: 'reviews' })).toMatchObject({ wasThere: true })
    expect(await bob.node.call('trustRemove', { what: bob.key, purpose: 'reviews' })).toMatchObject({ wasThere: false })
    expect(await bob.node.call('trustList', {})).toHaveLength(1)
  })

  test.each([
    ['nobody', 'audits', 'UNKNOWN_REGISTRY'],
    ['audits', 'everything', 'USAGE'],
    ['did:key:z6Mk', 'audits', 'MALFORMED']
  ])('in %s for %s is refused', async (what, purpose, code) => {
    expect(await refusal(bob.node.call('trustAdd', { what, purpose }))).toMatchObject({ code })
  })
})
