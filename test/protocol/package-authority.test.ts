import { expect, test } from 'vitest'
import { foldPackage } from '../../protocol/fold.ts'
import type { PackageView } from '../../protocol/fold.ts'
import { FactWriter, make, person, subject } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { asideOf, authorityOf, packageOf, toVerified } from '../support/fold.ts'

const [root, ann, bob, eve] = [person('root'), person('ann'), person('bob'), person('eve')]
const recovery = person('recovery')

/** The view over what belongs to the set: facts that a revocation cuts are in no set. */
function setOf(facts: FactWriter, name = 'alpha', turn = 0): PackageView {
  const authority = authorityOf(facts, turn)
  const about = facts.all.filter(({ body }) => body.subject === subject(name)).map(toVerified)
  return foldPackage(
    subject(name),
    authority,
    about.filter(fact => !authority.isCut(fact))
  )
}

function cut(facts: FactWriter, { bytes }: Made): boolean {
  return authorityOf(facts).isCut(toVerified({ bytes } as Made))
}

function versions(view: PackageView): readonly string[] {
  return view.versions.map(({ version, contents }) => `${version}${contents.length > 1 ? ' conflict' : ''}`)
}

const device = (who: Person, name: string): Person => ({ ...who, chain: person(name).chain })

/** A package that ann owns, by the registry's root. */
function owned(): { facts: FactWriter; claim: Made } {
  const facts = new FactWriter(root)
  return { facts, claim: facts.claim('alpha', { keys: [ann.did] }) }
}

test("a package's owners add owners and publishers, and take them away", () => {
  const { facts, claim } = owned()
  const first = facts.packageGrant('alpha', bob.did, 'owner', { by: ann, authPrev: claim.id })
  const second = facts.packageGrant('alpha', eve.did, 'publisher', { by: bob, authPrev: first.id })
  facts.release('alpha', '1.0.0', { registry: facts.genesis.id, package: second.id }, { by: eve })
  const third = facts.packageRevoke('alpha', eve.did, { by: ann, authPrev: second.id })
  const late = facts.release('alpha', '1.1.0', { registry: facts.genesis.id, package: third.id }, { by: eve })
  const early = facts.release('alpha', '1.2.0', { registry: facts.genesis.id, package: second.id }, { by: eve })
  const view = packageOf(facts, 'alpha')
  expect(versions(view)).toEqual(['1.0.0'])
  expect(asideOf(view)).toEqual({ [late.id]: 'role-not-held', [early.id]: 'role-not-held' })
  expect(view.claim).toMatchObject({ head: third.id, keys: [ann.did, bob.did].toSorted(), threshold: 1, roles: [] })
})

test('a stranger adds nobody to a package', () => {
  const { facts, claim } = owned()
  const grant = facts.packageGrant('alpha', eve.did, 'owner', { by: eve, authPrev: claim.id })
  expect(asideOf(packageOf(facts, 'alpha'))).toEqual({ [grant.id]: 'role-not-held' })
})

test("the registry's owners and its recovery key stand above a package's owners", () => {
  const { facts, claim } = owned()
  const first = facts.packageGrant('alpha', bob.did, 'owner', { by: root, authPrev: claim.id })
  const second = facts.packageGrant('alpha', eve.did, 'owner', { by: recovery, authPrev: first.id })
  expect(packageOf(facts, 'alpha').claim?.keys).toEqual([ann.did, bob.did, eve.did].toSorted())
  expect(packageOf(facts, 'alpha').claim?.head).toBe(second.id)
})

test('a release under a threshold counts when so many owners have signed it, each once', () => {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha', { keys: [ann.did, bob.did], threshold: 2 })
  const release = facts.release('alpha', '1.0.0', facts.cite(claim), { by: ann })
  facts.cosign(device(ann, 'other'), release)
  facts.cosign(eve, release)
  expect(asideOf(packageOf(facts, 'alpha'))[release.id]).toBe('threshold-not-met')
  facts.cosign(bob, release)
  expect(versions(packageOf(facts, 'alpha'))).toEqual(['1.0.0'])
})

test('a name given by one of several owners counts when the others sign too', () => {
  const facts = new FactWriter(root, { roots: [root.did, bob.did].toSorted(), threshold: 2 })
  const claim = facts.claim('alpha', { keys: [ann.did] })
  expect(packageOf(facts, 'alpha').claim).toBe(null)
  facts.cosign(bob, claim)
  expect(packageOf(facts, 'alpha').claim?.fact).toBe(claim.id)
})

test('routine rotation keeps old releases, and nothing new of the old key comes in', () => {
  const facts = new FactWriter(root)
  const grant = facts.grant(ann.did, 'publisher')
  const claim = facts.claim('alpha')
  const old = facts.release('alpha', '1.0.0', facts.cite(claim, grant.id), { by: ann })
  const next = facts.grant(bob.did, 'publisher', { authPrev: grant.id })
  facts.revoke(ann.did, { authPrev: next.id })
  facts.release('alpha', '1.1.0', facts.cite(claim, next.id), { by: bob })
  const late = facts.release('alpha', '1.2.0', facts.cite(claim, grant.id), { by: ann })
  expect(versions(setOf(facts))).toEqual(['1.1.0', '1.0.0'])
  expect(cut(facts, old)).toBe(false)
  expect(cut(facts, late)).toBe(true)
})

test('after a compromise the revocation cites earlier positions, and later ones leave', () => {
  const facts = new FactWriter(root)
  const grant = facts.grant(ann.did, 'publisher')
  const claim = facts.claim('alpha')
  const good = facts.release('alpha', '1.0.0', facts.cite(claim, grant.id), { by: ann })
  const stolen = facts.release('alpha', '6.6.6', facts.cite(claim, grant.id), { by: ann })
  const other = facts.release('alpha', '6.6.7', facts.cite(claim, grant.id), { by: device(ann, 'thief') })
  facts.revoke(ann.did, { authPrev: grant.id, heads: [good] })
  expect([good, stolen, other].map(fact => cut(facts, fact))).toEqual([false, true, true])
  expect(versions(setOf(facts))).toEqual(['1.0.0'])
})

test('taking one role away sets aside what needed it and cuts nothing', () => {
  const facts = new FactWriter(root)
  const grant = facts.grant(ann.did, 'publisher')
  const curator = facts.grant(ann.did, 'curator', { authPrev: grant.id })
  const claim = facts.claim('alpha')
  facts.revoke(ann.did, { authPrev: curator.id, role: 'publisher' })
  const late = facts.release('alpha', '1.0.0', facts.cite(claim, grant.id), { by: ann })
  facts.claim('beta', { by: ann, authPrev: curator.id })
  expect(cut(facts, late)).toBe(false)
  expect(asideOf(setOf(facts))).toEqual({ [late.id]: 'role-not-held' })
  expect(setOf(facts, 'beta').claim).not.toBe(null)
})

test('the recovery key takes no release away that was made before the head it changes', () => {
  const facts = new FactWriter(root)
  const grant = facts.grant(ann.did, 'publisher')
  const claim = facts.claim('alpha')
  const release = facts.release('alpha', '1.0.0', facts.cite(claim, grant.id), { by: ann })
  facts.revoke(ann.did, { by: recovery, authPrev: grant.id, heads: [] })
  expect(cut(facts, release)).toBe(false)
  expect(versions(setOf(facts))).toEqual(['1.0.0'])
  // The owners, once they are back, may judge it.
  facts.revoke(ann.did, { authPrev: authorityOf(facts).head, heads: [] })
  expect(cut(facts, release)).toBe(true)
})

test('one version with two contents is served again once the owners keep one', () => {
  const { facts, claim } = owned()
  const cited = facts.cite(claim)
  const one = facts.release('alpha', '1.0.0', cited, { by: ann, content: 'one' })
  const two = facts.release('alpha', '1.0.0', cited, { by: device(ann, 'laptop'), content: 'two' })
  const later = facts.release('alpha', '1.1.0', cited, { by: device(ann, 'laptop') })
  expect(versions(packageOf(facts, 'alpha'))).toEqual(['1.1.0', '1.0.0 conflict'])
  facts.resolve(one, [two], { by: ann, authPrev: claim.id })
  const view = packageOf(facts, 'alpha')
  expect(versions(view)).toEqual(['1.1.0', '1.0.0'])
  expect(view.versions[1]?.contents[0]?.fact).toBe(one.id)
  expect(asideOf(view)).toEqual({ [two.id]: 'resolved' })
  expect(asideOf(view)[later.id]).toBeUndefined()
})

test('a resolution decides no version away that is in no conflict', () => {
  const { facts, claim } = owned()
  const one = facts.release('alpha', '1.0.0', facts.cite(claim), { by: ann })
  const two = facts.release('alpha', '2.0.0', facts.cite(claim), { by: ann })
  facts.resolve(two, [one], { by: ann, authPrev: claim.id })
  expect(versions(packageOf(facts, 'alpha'))).toEqual(['2.0.0', '1.0.0'])
})

test('a resolution by one of two owners waits for the other', () => {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha', { keys: [ann.did, bob.did], threshold: 2 })
  const made = ['one', 'two'].map(content => {
    const release = facts.release('alpha', '1.0.0', facts.cite(claim), { by: ann, content })
    facts.cosign(bob, release)
    return release
  })
  const [one, two] = made
  if (one === undefined || two === undefined) throw new Error('two releases')
  const resolve = facts.resolve(one, [two], { by: ann, authPrev: claim.id })
  expect(versions(packageOf(facts, 'alpha'))).toEqual(['1.0.0 conflict'])
  facts.cosign(bob, resolve)
  expect(versions(packageOf(facts, 'alpha'))).toEqual(['1.0.0'])
})

test('a fork of releases is a mark, and a resolution heals it with all that followed the other side', () => {
  const { facts, claim } = owned()
  const left = facts.release('alpha', '1.0.0', facts.cite(claim), { by: ann })
  const right = make({ ...left.body, time: 1 }, ann)
  facts.all.push(right)
  const after = make({ ...facts.release('alpha', '1.1.0', facts.cite(claim), { by: ann }).body, prev: right.id }, ann)
  facts.all.pop()
  facts.all.push(after)
  expect(packageOf(facts, 'alpha').versions.map(({ contents }) => contents[0]?.marks)).toEqual([
    ['forked-author'],
    ['forked-author']
  ])
  facts.resolve(left, [right], { by: device(ann, 'new'), authPrev: claim.id })
  const view = packageOf(facts, 'alpha')
  expect(view.versions.map(({ version, contents }) => [version, contents[0]?.marks])).toEqual([['1.0.0', []]])
  expect(asideOf(view)).toEqual({ [right.id]: 'resolved', [after.id]: 'resolved' })
})

test("an author with an open fork in the registry's own facts carries the mark in every package", () => {
  const facts = new FactWriter(root)
  const grant = facts.grant(bob.did, 'publisher')
  facts.release('alpha', '1.0.0', facts.cite(facts.claim('alpha')))
  facts.all.push(make({ ...grant.body, time: 1 }, root))
  expect(packageOf(facts, 'alpha').versions[0]?.contents[0]?.marks).toEqual(['forked-author'])
})

test('a cosignature under what does not count has no effect, and is told so', () => {
  const { facts, claim } = owned()
  const release = facts.release('alpha', '1.0.0', facts.cite(claim), { by: eve })
  const cosign = facts.cosign(eve, release)
  const nothing = facts.cosign(ann, { ...release, id: claim.id })
  expect(asideOf(packageOf(facts, 'alpha'))).toEqual({ [release.id]: 'role-not-held', [cosign.id]: 'no-effect' })
  expect(asideOf(packageOf(facts, 'alpha'))[nothing.id]).toBeUndefined()
})
