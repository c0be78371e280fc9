import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FindingCode, ProjectAudit } from '../../node/services/advisory/methods.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { everythingOf, somebody } from '../support/people.ts'
import type { Somebody } from '../support/people.ts'
import { refusal, versionsIn } from '../support/project.ts'
import { tempDir } from '../support/temp-dir.ts'

let ann: Somebody
let bob: Somebody
let acme: string
let files: string
let project: string

/** Bob follows acme, which is ann's, and founded `audits`; nobody's word counts for him as yet. */
beforeAll(async () => {
  ;[ann, bob] = await Promise.all([somebody(), somebody()])
  files = await tempDir('advisories')
  project = await tempDir('project')
  acme = (await ann.node.call('registryCreate', { name: 'acme' })).id
  for (const version of ['1.0.0', '1.0.1', '1.1.0']) await ann.publish({ name: 'beta', version })
  await ann.publish({ name: 'alpha', dependencies: { beta: '^1.0.0' } })
  await bob.node.call('registryCreate', { name: 'audits', alias: 'audits' })
  await bob.follow(acme, await everythingOf(ann, acme))
})
afterAll(() => Promise.all([ann, bob].map(({ node }) => node.stop())))

const osv = (id: string, events: readonly object[], more: object = {}, name = 'beta') => ({
  id,
  modified: '2026-01-31T12:00:00Z',
  affected: [{ package: { ecosystem: 'ggen', name }, ranges: [{ type: 'SEMVER', events }] }],
  ...more
})

const file = async (name: string, value: unknown): Promise<string> => {
  const path = join(files, name)
  await writeFile(path, typeof value === 'string' ? value : JSON.stringify(value))
  return path
}

const add = async (who: Somebody, record: { readonly id: string; readonly affected: unknown }, registry: string) =>
  who.node.call('advisoryAdd', { path: await file(`${record.id}.json`, record), registry })

const audit = (who: Somebody): Promise<ProjectAudit> => who.node.call('auditProject', { project })

const codesOf = ({ findings }: ProjectAudit): readonly (readonly [string, FindingCode, string | null])[] =>
  findings.filter(({ code }) => code !== 'policy').map(({ reference, code, about }) => [reference, code, about])

describe('an advisory', () => {
  test('that is no JSON, too large or no record is refused by name, and none of its folder is signed', async () => {
    const folder = join(files, 'osv')
    await mkdir(folder)
    await writeFile(join(folder, 'a.json'), JSON.stringify(osv('OSV-A-1', [{ introduced: '0' }])))
    const refused = async (text: string) => {
      await writeFile(join(folder, 'b.json'), text)
      return refusal(ann.node.call('advisoryAdd', { path: folder, registry: 'acme' }))
    }
    const torn = await refused('{"id":')
    expect(torn.code).toBe('MALFORMED')
    expect(torn.message).toContain('b.json')
    expect(await refused(' '.repeat(LIMITS.advisory.fileBytes + 1))).toMatchObject({ code: 'LIMIT_EXCEEDED' })
    const long = osv('OSV-B-1', [{ introduced: '0' }], { details: 'x'.repeat(LIMITS.advisory.recordBytes) })
    expect(await refused(JSON.stringify(long))).toMatchObject({ code: 'LIMIT_EXCEEDED' })
    expect(await refused(JSON.stringify(osv('OSV-B-1', [{ fixed: '1.0.0' }])))).toMatchObject({ code: 'MALFORMED' })
    expect((await ann.node.call('advisoryList', { reference: 'acme:beta' })).advisories).toEqual([])
  })

  test('about nothing that can be a package here is refused', async () => {
    const record = {
      ...osv('OSV-C-1', []),
      affected: [{ package: { ecosystem: 'Debian:12', name: 'zlib' }, versions: ['1'] }]
    }
    expect(await refusal(add(ann, record, 'acme'))).toMatchObject({ code: 'MALFORMED' })
  })

  test('by somebody with no role in the registry is refused before it is signed', async () => {
    expect(await refusal(add(bob, osv('OSV-D-1', [{ introduced: '0' }]), 'acme'))).toMatchObject({
      code: 'NOT_AUTHORIZED'
    })
  })

  test('by an author who is not followed reaches no rule, and is listed as such', async () => {
    await add(bob, osv('MAL-2026-1', [{ introduced: '0' }]), 'audits')
    const { advisories } = await bob.node.call('advisoryList', { reference: 'acme:beta@1.0.0' })
    expect(advisories).toMatchObject([{ id: 'MAL-2026-1', heard: false, malware: true, affected: true }])
    const before = await bob.node.call('policyExplain', { reference: 'acme:beta@1.0.0', project })
    expect(before.rules.find(({ code }) => code === 'malware')?.outcome).toBe('passed')
    await bob.node.call('trustAdd', { what: 'audits', purpose: 'advisories' })
    const after = await bob.node.call('policyExplain', { reference: 'acme:beta@1.0.0', project })
    expect(after.rules.find(({ code }) => code === 'malware')?.outcome).toBe('deny')
    // Withdrawn by whoever said it, and it says nothing any more.
    const withdrawn = { modified: '2026-02-01T00:00:00Z', withdrawn: '2026-02-01T00:00:00Z' }
    await add(bob, osv('MAL-2026-1', [{ introduced: '0' }], withdrawn), 'audits')
    const last = await bob.node.call('policyExplain', { reference: 'acme:beta@1.0.0', project })
    expect(last.rules.find(({ code }) => code === 'malware')?.outcome).toBe('passed')
  })

  test('about packages of one registry is nothing to those of another', async () => {
    const record = osv('MAL-2026-2', [{ introduced: '0' }])
    const about = record.affected.map(one => ({ ...one, database_specific: { ggen_registry: 'bafyother' } }))
    await add(bob, { ...record, affected: about }, 'audits')
    const { rules } = await bob.node.call('policyExplain', { reference: 'acme:beta@1.0.0', project })
    expect(rules.find(({ code }) => code === 'malware')?.outcome).toBe('passed')
  })

  test('that was said before is not signed again, nor over a later one', async () => {
    const record = osv('OSV-E-1', [{ introduced: '5.0.0' }])
    const first = await add(ann, record, 'acme')
    expect(first.advisories.map(({ state }) => state)).toEqual(['added'])
    expect((await add(ann, record, 'acme')).advisories.map(({ state }) => state)).toEqual(['same'])
    const older = { ...record, modified: '2025-01-01T00:00:00Z' }
    expect((await add(ann, older, 'acme')).advisories.map(({ state }) => state)).toEqual(['newer'])
  })
})

describe('what is installed', () => {
  test('is held against what is known today, and moved to what nothing is known against', async () => {
    await ann.node.call('install', { references: ['acme:alpha', 'acme:beta@1.0.0'], project })
    expect(await audit(ann)).toMatchObject({ audited: 2, denied: 0, findings: [], packages: [] })
    await add(ann, osv('MAL-2026-3', [{ introduced: '0' }, { fixed: '1.0.1' }]), 'acme')
    await ann.node.call('quarantine', { reference: 'acme:beta@1.0.1', reason: 'a key leaked' })
    const found = await audit(ann)
    expect(codesOf(found)).toEqual([['acme:beta@1.0.0', 'malware', 'MAL-2026-3']])
    // The record says 1.0.1; what is stopped is nothing to move to.
    expect(found.findings[0]?.fixed).toBe('1.0.1')
    expect(found).toMatchObject({ denied: 1, packages: [{ verdict: 'deny', moveTo: '1.1.0' }] })
    expect(await refusal(ann.node.call('install', { references: [], project, frozen: true }))).toMatchObject({
      code: 'POLICY_DENIED'
    })
    const fixed = await ann.node.call('auditFix', { project, offline: true })
    expect(fixed).toMatchObject({
      undone: null,
      after: { denied: 0, packages: [] },
      changes: [{ from: '1.0.0', to: '1.1.0' }]
    })
  })

  test('is stopped where it is locked, and nobody resolves to what is in quarantine', async () => {
    await ann.node.call('quarantine', { reference: 'acme:beta@1.1.0', reason: 'again' })
    expect(codesOf(await audit(ann))).toEqual([['acme:beta@1.1.0', 'quarantine', null]])
    const other = await tempDir('other')
    const refused = await refusal(ann.node.call('install', { references: ['acme:beta@1.1.0'], project: other }))
    expect(refused.code).toBe('UNKNOWN_VERSION')
    expect(JSON.stringify([refused.message, refused.tried])).toContain('quarantine: again')
    const { versions } = await ann.node.call('show', { reference: 'acme:beta' })
    expect(versions.map(({ version, state }) => `${version} ${state}`)).toEqual([
      '1.1.0 quarantined',
      '1.0.1 quarantined',
      '1.0.0 ok'
    ])
    // Of what there is, malware is left: there is no way out, and nothing is changed.
    const stuck = await ann.node.call('auditFix', { project, offline: true })
    expect(stuck).toMatchObject({ changes: [], after: { denied: 1, packages: [{ moveTo: null }] } })
    await ann.node.call('unquarantine', { reference: 'acme:beta@1.1.0' })
    expect(codesOf(await audit(ann))).toEqual([])
    expect(new Set(Object.values(await versionsIn(project)))).toEqual(new Set(['1.0.0', '1.1.0']))
  })

  test('and was yanked is found, and allowed', async () => {
    await ann.node.call('yank', { reference: 'acme:beta@1.1.0', reason: 'slow' })
    const found = await audit(ann)
    expect(codesOf(found)).toEqual([['acme:beta@1.1.0', 'yanked', null]])
    expect(found.denied).toBe(0)
    await ann.node.call('unyank', { reference: 'acme:beta@1.1.0' })
  })
})

test('a quarantine by somebody who may not is refused before it is signed', async () => {
  const refused = await refusal(bob.node.call('quarantine', { reference: 'acme:beta@1.0.0', reason: '' }))
  expect(refused).toMatchObject({ code: 'NOT_AUTHORIZED' })
})
