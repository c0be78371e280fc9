import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { foldPackage } from '../../protocol/fold.ts'
import type { PackageView } from '../../protocol/fold.ts'
import { encodePackageRow, openPackageRow, sealRow } from '../../protocol/view-row.ts'
import { codeOf } from '../support/error-code.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import { asideOf, authorityOf, packageOf, toVerified } from '../support/fold.ts'

const [root, ann, bob, eve] = [person('root'), person('ann'), person('bob'), person('eve')]

const record = (id: string, modified: string, more: object = {}, name = 'alpha') => ({
  id,
  modified,
  affected: [
    {
      package: { ecosystem: 'ggen', name },
      ranges: [{ type: 'SEMVER', events: [{ introduced: '0' }, { fixed: '1.0.1' }] }]
    }
  ],
  ...more
})

const stoppedIn = (view: PackageView): readonly string[] =>
  view.versions.flatMap(({ version, quarantines = [] }) =>
    quarantines.map(({ reason, level }) => `${version} ${level} ${reason}`)
  )

/** Root founded it; bob curates; ann owns the package. */
function place() {
  const facts = new FactWriter(root)
  const curator = facts.grant(bob.did, 'curator')
  const claim = facts.claim('alpha', { keys: [ann.did], authPrev: curator.id })
  const cite = facts.cite(claim, curator.id)
  const release = facts.release('alpha', '1.0.0', cite, { by: ann })
  return { facts, curator, claim, cite, release }
}

describe('a quarantine', () => {
  test('by a curator, or by the owners of the package, stops one version until it is lifted', () => {
    const { facts, cite } = place()
    const first = facts.quarantine('alpha', '1.0.0', cite, { by: bob, reason: 'by the curator' })
    facts.quarantine('alpha', '1.0.0', cite, { by: ann, reason: 'by its owner' })
    expect(stoppedIn(packageOf(facts, 'alpha'))).toEqual([
      '1.0.0 registry by the curator',
      '1.0.0 package by its owner'
    ])
    facts.unquarantine('alpha', '1.0.0', [first.id], { authority: cite, by: bob })
    expect(stoppedIn(packageOf(facts, 'alpha'))).toEqual(['1.0.0 package by its owner'])
  })

  test('by the registry is not lifted by the package’s own people, theirs is by the registry', () => {
    const { facts, cite } = place()
    const above = facts.quarantine('alpha', '1.0.0', cite, { by: bob })
    const below = facts.quarantine('alpha', '1.0.0', cite, { by: ann })
    const lift = facts.unquarantine('alpha', '1.0.0', [above.id], { authority: cite, by: ann })
    expect(asideOf(packageOf(facts, 'alpha'))).toEqual({ [lift.id]: 'role-not-held' })
    facts.unquarantine('alpha', '1.0.0', [below.id], { authority: cite, by: bob })
    expect(stoppedIn(packageOf(facts, 'alpha'))).toEqual(['1.0.0 registry stopped'])
  })

  test('by somebody who may not does not count, nor does one that lifts nothing', () => {
    const { facts, curator, cite } = place()
    const publisher = facts.grant(eve.did, 'publisher', { authPrev: curator.id })
    const late = { ...cite, registry: publisher.id }
    const stop = facts.quarantine('alpha', '1.0.0', late, { by: eve })
    const lift = facts.unquarantine('alpha', '1.0.0', [stop.id], { authority: late, by: bob })
    const view = packageOf(facts, 'alpha')
    expect(view.versions[0]).not.toHaveProperty('quarantines')
    expect(asideOf(view)).toEqual({ [stop.id]: 'role-not-held', [lift.id]: 'unknown-quarantine' })
  })

  test('of another version is not lifted with this one', () => {
    const { facts, cite } = place()
    facts.release('alpha', '1.1.0', cite, { by: ann })
    const stop = facts.quarantine('alpha', '1.1.0', cite, { by: bob })
    const lift = facts.unquarantine('alpha', '1.0.0', [stop.id], { authority: cite, by: bob })
    const view = packageOf(facts, 'alpha')
    expect(stoppedIn(view)).toEqual(['1.1.0 registry stopped'])
    expect(asideOf(view)).toEqual({ [lift.id]: 'unknown-quarantine' })
  })

  test('by owners counts once their threshold has signed', () => {
    const facts = new FactWriter(root)
    const claim = facts.claim('alpha', { keys: [ann.did, bob.did], threshold: 2 })
    const cite = facts.cite(claim)
    const release = facts.release('alpha', '1.0.0', cite, { by: ann })
    facts.cosign(bob, release)
    const stop = facts.quarantine('alpha', '1.0.0', cite, { by: ann })
    expect(stoppedIn(packageOf(facts, 'alpha'))).toEqual([])
    facts.cosign(bob, stop)
    expect(stoppedIn(packageOf(facts, 'alpha'))).toEqual(['1.0.0 package stopped'])
  })
})

describe('an advisory', () => {
  test('by an auditor counts, whether the registry knows the package or not', () => {
    const facts = new FactWriter(root)
    const auditor = facts.grant(ann.did, 'auditor')
    facts.advisory('alpha', record('OSV-1', '2026-01-01T00:00:00Z'), { by: ann, head: auditor.id })
    const view = packageOf(facts, 'alpha')
    expect(view.claim).toBeNull()
    expect(view.advisories).toMatchObject([{ id: 'OSV-1', by: ann.did, affected: [{ registry: null }] }])
    expect(openPackageRow(sealRow(encodePackageRow(view)))).toEqual(view)
  })

  test('by a publisher, or by somebody with no role, does not', () => {
    const { facts, curator, cite } = place()
    const publisher = facts.grant(eve.did, 'publisher', { authPrev: curator.id })
    const one = facts.advisory('alpha', record('OSV-1', '2026-01-01T00:00:00Z'), { by: eve, head: publisher.id })
    const two = facts.advisory('alpha', record('OSV-2', '2026-01-01T00:00:00Z'), { by: ann, head: cite.registry })
    const view = packageOf(facts, 'alpha')
    expect(view).not.toHaveProperty('advisories')
    expect(asideOf(view)).toEqual({ [one.id]: 'role-not-held', [two.id]: 'role-not-held' })
  })

  test('is replaced by what its author modified later, and by nobody else', () => {
    const facts = new FactWriter(root)
    const curator = facts.grant(bob.did, 'curator')
    facts.advisory('alpha', record('OSV-1', '2026-01-02T00:00:00Z', { summary: 'second' }))
    facts.advisory('alpha', record('OSV-1', '2026-01-01T00:00:00Z', { summary: 'first' }))
    facts.advisory('alpha', record('OSV-1', '2026-01-03T00:00:00Z', { withdrawn: '2026-01-03T00:00:00Z' }), {
      by: bob,
      head: curator.id
    })
    const said = packageOf(facts, 'alpha').advisories?.map(({ by, summary, withdrawn }) => ({ by, summary, withdrawn }))
    expect(said).toEqual(
      [
        { by: root.did, summary: 'second', withdrawn: false },
        { by: bob.did, summary: '', withdrawn: true }
      ].toSorted((a, b) => (a.by < b.by ? -1 : 1))
    )
  })

  test('about another package than its subject is refused from its bytes', () => {
    const facts = new FactWriter(root)
    const { payload } = toVerified(facts.advisory('alpha', record('OSV-1', '2026-01-01T00:00:00Z')))
    expect(payload.type).toBe('advisory')
    const elsewhere = facts.write(root, subject('beta'), payload)
    expect(codeOf(() => toVerified(elsewhere))).toBe('MALFORMED')
  })
})

test('equal facts give an equal view, whatever the order of arrival', () => {
  const { facts, curator, cite } = place()
  const auditor = facts.grant(eve.did, 'auditor', { authPrev: curator.id })
  const stops = [bob, ann, eve].map(by => facts.quarantine('alpha', '1.0.0', cite, { by }))
  facts.unquarantine(
    'alpha',
    '1.0.0',
    stops.map(({ id }) => id),
    { authority: cite, by: ann }
  )
  for (const by of [root, eve, ann]) {
    for (const day of ['01', '02', '02']) {
      facts.advisory('alpha', record('OSV-1', `2026-01-${day}T00:00:00Z`, { summary: day }), { by, head: auditor.id })
      facts.advisory('alpha', record('OSV-2', `2026-01-${day}T00:00:00Z`), { by, head: auditor.id })
    }
  }
  const authority = authorityOf(facts)
  const about = facts.all.filter(({ body }) => body.subject === subject('alpha')).map(toVerified)
  const expected = encodePackageRow(foldPackage(subject('alpha'), authority, about))
  fc.assert(
    fc.property(fc.shuffledSubarray(about, { minLength: about.length }), order => {
      expect(encodePackageRow(foldPackage(subject('alpha'), authority, order))).toEqual(expected)
    }),
    { numRuns: 50 }
  )
})
