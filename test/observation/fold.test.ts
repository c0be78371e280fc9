import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { foldPackage } from '../../protocol/fold.ts'
import type { PackageView } from '../../protocol/fold.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { knownSince } from '../../protocol/observation/age.ts'
import { encodePackageRow, openPackageRow, sealRow } from '../../protocol/view-row.ts'
import { codeOf } from '../support/error-code.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { asideOf, authorityOf, packageOf, toVerified } from '../support/fold.ts'

const [root, ann, bob, cat, eve] = [person('root'), person('ann'), person('bob'), person('cat'), person('eve')]
const HOUR = 60 * 60 * 1000
/** Behind all that is written here. */
const LATE = { time: 1_800_000_000_000 }

/** Root founded it; bob mirrors, cat curates; ann owns the package and released it. */
function place() {
  const facts = new FactWriter(root)
  const mirror = facts.grant(bob.did, 'mirror')
  const curator = facts.grant(cat.did, 'curator', { authPrev: mirror.id })
  const claim = facts.claim('alpha', { keys: [ann.did], authPrev: curator.id })
  const cite = facts.cite(claim, curator.id)
  const release = facts.release('alpha', '1.0.0', cite, { by: ann })
  const seen = (by: Person, after: number, about: Made = release): Made =>
    facts.observation('alpha', [{ release: about.id, time: about.body.time + after }], {
      by,
      head: curator.id,
      at: LATE
    })
  return { facts, curator, claim, cite, release, seen }
}

/** Who saw which release how long after its author made it. */
const seenIn = (view: PackageView, release: Made): Readonly<Record<string, number>> =>
  Object.fromEntries(
    (view.observations ?? [])
      .filter(one => one.release === release.id)
      .flatMap(({ seen }) => seen.map(({ by, time }) => [by, time - release.body.time]))
  )

describe('an observation', () => {
  test('by a mirror and by a curator of the registry counts, and is kept in the row', () => {
    const { facts, release, seen } = place()
    seen(bob, HOUR)
    seen(cat, 2 * HOUR)
    const view = packageOf(facts, 'alpha')
    expect(seenIn(view, release)).toEqual({ [bob.did]: HOUR, [cat.did]: 2 * HOUR })
    expect(view.setAside).toEqual([])
    expect(openPackageRow(sealRow(encodePackageRow(view)))).toEqual(view)
  })

  test('by an owner, a publisher or an auditor who looks for nobody does not', () => {
    const { facts, curator, release } = place()
    const publisher = facts.grant(eve.did, 'publisher', { authPrev: curator.id })
    const auditor = facts.grant(eve.did, 'auditor', { authPrev: publisher.id })
    const sighting = [{ release: release.id, time: 0 }]
    const made = [root, ann, eve].map(by => facts.observation('alpha', sighting, { by, head: auditor.id }))
    const view = packageOf(facts, 'alpha')
    expect(view).not.toHaveProperty('observations')
    expect(asideOf(view)).toEqual(Object.fromEntries(made.map(({ id }) => [id, 'role-not-held'])))
  })

  test('by whoever signed the release himself, as its author or beside him, does not', () => {
    const facts = new FactWriter(root)
    const mirror = facts.grant(bob.did, 'mirror')
    const second = facts.grant(cat.did, 'mirror', { authPrev: mirror.id })
    const claim = facts.claim('alpha', { keys: [bob.did, cat.did], threshold: 2, authPrev: second.id })
    const release = facts.release('alpha', '1.0.0', facts.cite(claim, second.id), { by: bob })
    facts.cosign(cat, release)
    const made = [bob, cat].map(by =>
      facts.observation('alpha', [{ release: release.id, time: 1 }], { by, head: second.id })
    )
    const view = packageOf(facts, 'alpha')
    expect(view.versions).toHaveLength(1)
    expect(view).not.toHaveProperty('observations')
    expect(asideOf(view)).toEqual(Object.fromEntries(made.map(({ id }) => [id, 'no-effect'])))
  })

  test('about a release of another package, or one that does not count, has no effect', () => {
    const { facts, curator, cite, seen } = place()
    const claim = facts.claim('beta', { keys: [ann.did], authPrev: curator.id })
    const other = facts.release('beta', '1.0.0', facts.cite(claim, curator.id), { by: ann })
    const stranger = facts.release('alpha', '2.0.0', cite, { by: eve })
    const made = [seen(bob, HOUR, other), seen(cat, HOUR, stranger)]
    const view = packageOf(facts, 'alpha')
    expect(view).not.toHaveProperty('observations')
    expect(asideOf(view)).toMatchObject(Object.fromEntries(made.map(({ id }) => [id, 'no-effect'])))
    expect(packageOf(facts, 'beta')).not.toHaveProperty('observations')
  })

  test('said twice by one key stands at the latest time, so that a stolen key makes nothing older', () => {
    const { facts, release, seen } = place()
    seen(bob, 5 * HOUR)
    seen(bob, 0)
    expect(seenIn(packageOf(facts, 'alpha'), release)).toEqual({ [bob.did]: 5 * HOUR })
  })

  test('from before the release is one from when it was made', () => {
    const { facts, release, seen } = place()
    seen(bob, -1_000 * HOUR)
    expect(seenIn(packageOf(facts, 'alpha'), release)).toEqual({ [bob.did]: 0 })
  })

  test('by a key whose role ended counts as far as its revocation recognises it, and no further', () => {
    const { facts, curator, release, seen } = place()
    const before = seen(bob, HOUR)
    facts.revoke(bob.did, { authPrev: curator.id, role: 'mirror', heads: [before] })
    const after = seen(bob, 9 * HOUR)
    const view = packageOf(facts, 'alpha')
    expect(seenIn(view, release)).toEqual({ [bob.did]: HOUR })
    expect(asideOf(view)).toEqual({ [after.id]: 'role-not-held' })
  })

  test('of so many keys is heard from those that were named first', () => {
    const facts = new FactWriter(root)
    const crowd = Array.from({ length: LIMITS.observation.observers + 2 }, (_, i) => person(`mirror ${i}`))
    const last = crowd.reduce((authPrev, { did }) => facts.grant(did, 'mirror', { authPrev }).id, facts.genesis.id)
    const claim = facts.claim('alpha', { keys: [ann.did], authPrev: last })
    const release = facts.release('alpha', '1.0.0', facts.cite(claim, last), { by: ann })
    for (const by of crowd.toReversed())
      facts.observation('alpha', [{ release: release.id, time: 1 }], { by, head: last })
    const heard = Object.keys(seenIn(packageOf(facts, 'alpha'), release))
    expect(heard.toSorted()).toEqual(
      crowd
        .slice(0, LIMITS.observation.observers)
        .map(({ did }) => did)
        .toSorted()
    )
  })

  test('folds to equal bytes in whatever order facts come', () => {
    const { facts, curator, cite, release, seen } = place()
    const second = facts.release('alpha', '1.1.0', cite, { by: ann })
    for (const [by, after] of [
      [bob, 3],
      [bob, 1],
      [cat, 2],
      [eve, 0]
    ] as const)
      seen(by, after)
    seen(bob, 7, second)
    facts.revoke(cat.did, { authPrev: curator.id, role: 'curator' })
    seen(cat, 9, second)
    const authority = authorityOf(facts)
    const about = facts.all.filter(({ body }) => body.subject === subject('alpha')).map(toVerified)
    const row = encodePackageRow(foldPackage(subject('alpha'), authority, about))
    expect(seenIn(packageOf(facts, 'alpha'), release)).toEqual({ [bob.did]: 3, [cat.did]: 2 })
    fc.assert(
      fc.property(fc.shuffledSubarray(about, { minLength: about.length }), shuffled => {
        expect(encodePackageRow(foldPackage(subject('alpha'), authority, shuffled))).toEqual(row)
      }),
      { numRuns: 50 }
    )
  })
})

describe('the payload', () => {
  const { facts, release, curator } = place()
  const other = facts.release('alpha', '1.1.0', facts.cite(facts.genesis, curator.id), { by: ann })
  const [low, high] = [release.id, other.id].toSorted()
  if (low === undefined || high === undefined) throw new Error('two releases')
  const write = (seen: readonly { release: typeof low; time: number }[], time = 1_000): void => {
    const value = { head: curator.id, seen }
    toVerified(facts.write(bob, subject('alpha'), { type: 'observation', value }, { time }))
  }

  test.each([
    ['from the future', [{ release: low, time: 1_001 }]],
    ['from before all time', [{ release: low, time: -1 }]],
    ['of nothing', []],
    [
      'of one release twice',
      [
        { release: low, time: 1 },
        { release: low, time: 2 }
      ]
    ],
    [
      'in another order',
      [
        { release: high, time: 1 },
        { release: low, time: 1 }
      ]
    ],
    ['of too many releases', Array.from({ length: LIMITS.observation.releases + 1 }, () => ({ release: low, time: 1 }))]
  ])('%s is malformed', (_, seen) => {
    expect(codeOf(() => write(seen))).toBe('MALFORMED')
  })

  test('of as many releases as there may be fits into a fact', () => {
    const seen = Array.from({ length: LIMITS.observation.releases }, (_, i) => {
      const { id } = facts.release('gamma', `1.0.${i}`, facts.cite(facts.genesis), { by: eve })
      return { release: id, time: 1_700_000_000_000 }
    })
    const made = facts.observation('gamma', seen, { by: bob, at: LATE })
    expect(toVerified(made).payload).toMatchObject({ value: { seen: { length: LIMITS.observation.releases } } })
  })

  test('is of one package alone', () => {
    expect(
      codeOf(() =>
        toVerified(
          facts.write(bob, 'registry', {
            type: 'observation',
            value: { head: curator.id, seen: [{ release: low, time: 0 }] }
          })
        )
      )
    ).toBe('MALFORMED')
  })
})

describe('since when a release is known', () => {
  const own = { time: 1_000, basis: 'first-seen' } as const
  const look = { time: 1_000, basis: 'first-look' } as const

  test.each([
    ['nobody else looked', own, [], { time: 1_000, basis: 'first-seen', observers: 0 }],
    ['one says earlier: the later of his word and ours', own, [10], { time: 1_000, basis: 'observed', observers: 1 }],
    ['two say earlier: that is what most say', own, [10, 900], { time: 900, basis: 'observed', observers: 2 }],
    ['one of three lies', own, [10, 800, 900], { time: 900, basis: 'observed', observers: 3 }],
    ['one says later: we know better', own, [5_000], { time: 1_000, basis: 'observed', observers: 1 }],
    ['all say later: we know better', own, [5_000, 6_000, 7_000], { time: 1_000, basis: 'observed', observers: 3 }],
    ['nobody here saw it come: one word is all there is', look, [900], { time: 900, basis: 'observed', observers: 1 }],
    ['of two the later', look, [10, 900], { time: 900, basis: 'observed', observers: 2 }],
    ['of three the middle', look, [10, 20, 900], { time: 20, basis: 'observed', observers: 3 }]
  ] as const)('%s', (_, sighting, observed, known) => {
    expect(knownSince(sighting, observed)).toEqual({ ...known, own: 1_000 })
  })

  test('no minority of keys makes a release older than the others saw it, and none makes it younger than we did', () => {
    const time = fc.integer({ min: 500, max: 2_000 })
    fc.assert(
      fc.property(
        fc.array(time, { minLength: 1, maxLength: 8 }),
        fc.array(fc.integer({ min: 0, max: 4_000 })),
        (honest, lies) => {
          const few = lies.slice(0, honest.length)
          const known = knownSince(own, [...honest, ...few])
          expect(known.time).toBeLessThanOrEqual(own.time)
          expect(known.time).toBeGreaterThanOrEqual(Math.min(...honest, own.time))
        }
      )
    )
  })
})
