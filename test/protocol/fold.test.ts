import fc from 'fast-check'
import { expect, test } from 'vitest'
import { toHex } from '../../protocol/bytes.ts'
import { readChains } from '../../protocol/chains.ts'
import { foldPackage } from '../../protocol/fold.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { roleSince } from '../../protocol/roles.ts'
import {
  encodeAuthorityRow,
  encodePackageRow,
  openPackageRow,
  rowHash,
  sealRow,
  viewDigest
} from '../../protocol/view-row.ts'
import { codeOf } from '../support/error-code.ts'
import { contentIdOf, FactWriter, make, person, subject } from '../support/facts.ts'
import type { Person } from '../support/facts.ts'
import { asideOf, authorityOf, packageOf, toVerified } from '../support/fold.ts'

const [root, ann, bob] = [person('root'), person('ann'), person('bob')]

/** The same key writing from another data directory, whose chain sorts where the number says. */
function onChain(who: Person, index: number): Person {
  return { ...who, chain: index.toString(16).padStart(32, '0') }
}

const versionsOf = (facts: FactWriter, name = 'alpha'): readonly string[] =>
  packageOf(facts, name).versions.map(({ version }) => version)

test('the first grant of a root counts: a genesis stands in no chain', () => {
  const facts = new FactWriter(root)
  const grant = facts.grant(ann.did, 'curator')
  const authority = authorityOf(facts)
  expect(authority.grants.map(({ fact }) => fact)).toEqual([grant.id])
  expect(authority.forks).toEqual([])
  expect(authority.head).toBe(grant.id)
})

test('a grant by a key that is no owner does not count', () => {
  const facts = new FactWriter(root)
  const first = facts.grant(ann.did, 'maintainer')
  const second = facts.grant(bob.did, 'publisher', { by: ann, authPrev: first.id })
  expect(authorityOf(facts).setAside).toEqual([{ fact: second.id, reason: 'role-not-held' }])
})

test('where a threshold is above one, no root grants and names alone', () => {
  const facts = new FactWriter(root, { roots: [root.did, ann.did].toSorted(), threshold: 2 })
  const grant = facts.grant(bob.did, 'curator')
  const claim = facts.claim('alpha')
  expect(authorityOf(facts).setAside).toEqual([{ fact: grant.id, reason: 'threshold-not-met' }])
  expect(asideOf(packageOf(facts, 'alpha'))).toEqual({ [claim.id]: 'threshold-not-met' })
})

test('a grant that changes a head nobody knows waits, and what builds on it waits too', () => {
  const facts = new FactWriter(root)
  const missing = new FactWriter(root, { name: 'other' }).grant(ann.did, 'curator')
  const first = facts.grant(ann.did, 'curator', { authPrev: missing.id })
  const second = facts.grant(bob.did, 'curator', { authPrev: first.id })
  const aside = authorityOf(facts).setAside.map(({ fact, reason }) => `${fact} ${reason}`)
  expect(aside).toEqual([first.id, second.id].toSorted().map(id => `${id} unknown-authority`))
})

test('authority facts of a root count up to its fork and not from there on', () => {
  const facts = new FactWriter(root, { roots: [root.did, bob.did].toSorted() })
  const before = facts.grant(ann.did, 'curator')
  const left = facts.grant(ann.did, 'publisher', { authPrev: before.id })
  const right = make({ ...left.body, time: 1 }, root)
  facts.all.push(right)
  const later = facts.grant(ann.did, 'owner', { authPrev: before.id })
  const other = facts.grant(ann.did, 'auditor', { by: bob, authPrev: before.id })
  for (const turn of [0, 1, 2, 3, 4]) {
    const authority = authorityOf(facts, turn)
    expect(authority.grants.map(({ fact }) => fact)).toEqual([before.id, other.id])
    expect(authority.forks.map(fork => fork.facts)).toEqual([[left.id, right.id].toSorted()])
    expect(new Set(authority.setAside.map(({ fact }) => fact))).toEqual(new Set([left.id, right.id, later.id]))
  }
})

test('a role is held from its grant on and not at a head before it', () => {
  const facts = new FactWriter(root)
  const first = facts.grant(bob.did, 'curator')
  const second = facts.grant(ann.did, 'publisher', { authPrev: first.id, scope: 'ggen/acme-*' })
  const authority = authorityOf(facts)
  const question = { key: ann.did, roles: ['publisher'], on: subject('acme-tool') } as const
  expect(roleSince(authority, { ...question, head: second.id })).toBe(2)
  expect(roleSince(authority, { ...question, head: first.id })).toBeUndefined()
  expect(roleSince(authority, { ...question, head: second.id, on: subject('other') })).toBeUndefined()
  expect(roleSince(authority, { ...question, head: second.id, roles: ['owner'] })).toBeUndefined()
  expect(roleSince(authority, { ...question, head: second.id, key: bob.did })).toBeUndefined()
})

test('a grant that arrives later never changes which of two others comes first', () => {
  const facts = new FactWriter(root)
  const grants = [0, 1, 2, 3, 4].map(i => facts.grant(person(`p${i}`).did, 'curator'))
  grants.push(...grants.slice(0, 2).map(({ id }, i) => facts.grant(person(`q${i}`).did, 'curator', { authPrev: id })))
  const full = authorityOf(facts).order
  for (const left of grants) {
    const some = new FactWriter(root)
    some.all.push(...facts.all.slice(1).filter(fact => fact !== left))
    const kept = [...authorityOf(some).order.keys()]
    expect(kept).toEqual([...full.keys()].filter(id => kept.includes(id)))
  }
})

test('a release before its role is set aside, and counts when it cites a later head', () => {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha')
  const grant = facts.grant(ann.did, 'publisher')
  const early = facts.release('alpha', '1.0.0', facts.cite(claim), { by: ann })
  facts.release('alpha', '1.1.0', facts.cite(claim, grant.id), { by: ann })
  expect(asideOf(packageOf(facts, 'alpha'))).toEqual({ [early.id]: 'role-not-held' })
  expect(versionsOf(facts)).toEqual(['1.1.0'])
})

test('an auditor publishes nothing, and a publisher gives out no names', () => {
  const facts = new FactWriter(root)
  const audit = facts.grant(ann.did, 'auditor')
  const publish = facts.grant(bob.did, 'publisher', { authPrev: audit.id })
  const claim = facts.claim('alpha')
  const release = facts.release('alpha', '1.0.0', facts.cite(claim, publish.id), { by: ann })
  const name = facts.claim('beta', { by: bob, authPrev: publish.id })
  expect(asideOf(packageOf(facts, 'alpha'))).toEqual({ [release.id]: 'role-not-held' })
  expect(asideOf(packageOf(facts, 'beta'))).toEqual({ [name.id]: 'role-not-held' })
})

test('a release that cites another claim, or a head nobody knows, does not count', () => {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha')
  const other = facts.claim('beta')
  const strange = facts.release('alpha', '1.0.0', facts.cite(other))
  const unknown = facts.release('alpha', '1.1.0', facts.cite(claim, strange.id))
  expect(asideOf(packageOf(facts, 'alpha'))).toEqual({
    [strange.id]: 'claim-not-counted',
    [unknown.id]: 'unknown-authority'
  })
})

test('keys of a claim publish without a role, unless the claim asks for more than one of them', () => {
  const facts = new FactWriter(root)
  const one = facts.claim('alpha', { keys: [ann.did] })
  const two = facts.claim('beta', { keys: [ann.did, bob.did], threshold: 2 })
  facts.release('alpha', '1.0.0', facts.cite(one), { by: ann })
  const alone = facts.release('beta', '1.0.0', facts.cite(two), { by: ann })
  expect(versionsOf(facts)).toEqual(['1.0.0'])
  expect(asideOf(packageOf(facts, 'beta'))).toEqual({ [alone.id]: 'threshold-not-met' })
})

test('of two claims the key named earlier wins, then the lower chain, then the lower position', () => {
  const facts = new FactWriter(root)
  const first = facts.grant(ann.did, 'curator')
  const second = facts.grant(bob.did, 'curator', { authPrev: first.id })
  const at = { authPrev: second.id }
  // Written first, by the key named last.
  const late = facts.claim('alpha', { by: onChain(bob, 0), ...at })
  const high = facts.claim('alpha', { by: onChain(ann, 9), ...at })
  const low = facts.claim('alpha', { by: onChain(ann, 3), ...at })
  const again = facts.claim('alpha', { by: onChain(ann, 3), ...at })
  for (const turn of [0, 1, 2, 3]) {
    const view = packageOf(facts, 'alpha', turn)
    expect(view.claim?.fact).toBe(low.id)
    expect(asideOf(view)).toEqual({ [late.id]: 'name-taken', [high.id]: 'name-taken', [again.id]: 'name-taken' })
  }
})

test('one version with two contents keeps both, and the same content twice is no conflict', () => {
  const facts = new FactWriter(root)
  const cited = facts.cite(facts.claim('alpha'))
  facts.release('alpha', '1.0.0', cited, { content: 'one' })
  facts.release('alpha', '1.0.0', cited, { content: 'two' })
  const twice = [1, 2].map(() => facts.release('alpha', '2.0.0', cited, { content: 'same' }))
  for (const turn of [0, 1, 2, 3, 4]) {
    const [same, conflict] = packageOf(facts, 'alpha', turn).versions
    expect(conflict?.contents.map(({ root: cid }) => cid).toSorted()).toEqual(
      ['one', 'two'].map(contentIdOf).toSorted()
    )
    expect(same?.contents.map(({ fact }) => fact)).toEqual([twice.map(({ id }) => id).toSorted()[0]])
  }
})

test('a yank stands until it is taken back, whatever comes first and whatever the clocks say', () => {
  const facts = new FactWriter(root)
  const cited = facts.cite(facts.claim('alpha'))
  facts.release('alpha', '1.0.0', cited)
  const first = facts.yank('alpha', '1.0.0', cited, { reason: 'one' })
  const second = facts.yank('alpha', '1.0.0', cited, { reason: 'two' })
  facts.unyank('alpha', '1.0.0', [first.id], { authority: cited })
  for (const turn of [0, 1, 2, 3, 4]) {
    expect(packageOf(facts, 'alpha', turn).versions[0]?.yanks.map(({ fact }) => fact)).toEqual([second.id])
  }
  facts.unyank('alpha', '1.0.0', [second.id], { authority: cited })
  expect(packageOf(facts, 'alpha').versions[0]?.yanks).toEqual([])
})

test('an unyank of what was never yanked is set aside', () => {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha')
  const unyank = facts.unyank('alpha', '1.0.0', [claim.id], { authority: facts.cite(claim) })
  expect(asideOf(packageOf(facts, 'alpha'))).toEqual({ [unyank.id]: 'unknown-yank' })
})

test('releases of a forked author go on counting, with a mark; those of others carry none', () => {
  const facts = new FactWriter(root)
  const cited = facts.cite(facts.claim('alpha', { keys: [ann.did, bob.did] }))
  const left = facts.release('alpha', '1.0.0', cited, { by: ann })
  facts.all.push(make({ ...left.body, time: 1 }, ann))
  facts.release('alpha', '2.0.0', cited, { by: bob })
  const view = packageOf(facts, 'alpha')
  expect(view.versions.map(({ version, contents }) => [version, contents[0]?.marks])).toEqual([
    ['2.0.0', []],
    ['1.0.0', ['forked-author']]
  ])
  expect(view.forks.map(({ author, seq }) => [author, seq])).toEqual([[ann.did, 0]])
})

test('of seventeen chains of one author the sixteen lowest count', () => {
  const facts = new FactWriter(root)
  const cited = facts.cite(facts.claim('alpha', { keys: [ann.did] }))
  for (let i = 16; i >= 0; i--) facts.release('alpha', `1.0.${i}`, cited, { by: onChain(ann, i) })
  for (const turn of [0, 5, 11]) {
    const view = packageOf(facts, 'alpha', turn)
    expect(view.versions).toHaveLength(16)
    expect(view.versions.some(({ version }) => version === '1.0.16')).toBe(false)
    expect(Object.values(asideOf(view))).toEqual(['too-many-chains'])
  }
})

test('a fork in one chain is none in another chain of the same author', () => {
  const facts = new FactWriter(root)
  const cited = facts.cite(facts.claim('alpha'))
  facts.release('alpha', '1.0.0', cited, { by: onChain(root, 1) })
  facts.release('alpha', '1.0.0', cited, { by: onChain(root, 2) })
  expect(readChains(facts.all.slice(1).map(toVerified)).forks).toEqual([])
})

test('a row stays within its bounds, and drops contents and versions in one order', () => {
  const facts = new FactWriter(root)
  const cited = facts.cite(facts.claim('alpha'))
  const contents = Array.from({ length: LIMITS.view.contentsPerVersion + 2 }, (_, i) => `c${i}`)
  const made = contents.map(content => facts.release('alpha', '1.0.0', cited, { content }))
  const wanted = made.map(({ id }) => id).toSorted()
  for (const turn of [0, 3, 7]) {
    const view = packageOf(facts, 'alpha', turn)
    expect(view.versions[0]?.contents.map(({ fact }) => fact)).toEqual(wanted.slice(0, LIMITS.view.contentsPerVersion))
    expect(Object.values(asideOf(view))).toEqual(['too-many-releases', 'too-many-releases'])
  }
})

test('a row lists facts set aside and forks up to a fixed number', () => {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha')
  const strangers = Array.from({ length: LIMITS.view.setAside + 5 }, (_, i) => {
    return facts.yank('alpha', `1.0.${i}`, facts.cite(claim, claim.id))
  })
  const lowest = strangers
    .map(({ id }) => id)
    .toSorted()
    .slice(0, LIMITS.view.setAside)
  expect(packageOf(facts, 'alpha').setAside.map(({ fact }) => fact)).toEqual(lowest)
})

function busy(): FactWriter {
  const facts = new FactWriter(root)
  const grant = facts.grant(ann.did, 'curator')
  const cited = facts.cite(facts.claim('alpha'), grant.id)
  facts.claim('alpha', { by: ann, authPrev: grant.id })
  facts.release('alpha', '1.0.0', cited)
  const fork = facts.release('alpha', '1.0.0', cited, { content: 'two' })
  facts.all.push(make({ ...fork.body, time: 5 }, root))
  facts.yank('alpha', '1.0.0', cited)
  return facts
}

test('a row is the same bytes whatever order its facts came in', () => {
  const facts = busy()
  const authority = authorityOf(facts)
  const all = facts.all.filter(({ body }) => body.subject === subject('alpha')).map(toVerified)
  const wanted = toHex(encodePackageRow(foldPackage(subject('alpha'), authority, all)))
  const indexes = all.map((_, i) => i)
  fc.assert(
    fc.property(fc.shuffledSubarray(indexes, { minLength: all.length }), order => {
      const shuffled = order.flatMap(i => all[i] ?? [])
      expect(toHex(encodePackageRow(foldPackage(subject('alpha'), authority, shuffled)))).toBe(wanted)
    })
  )
  expect(toHex(encodeAuthorityRow(authorityOf(facts, 1), []))).toBe(toHex(encodeAuthorityRow(authority, [])))
})

test('a sealed row opens as it was, and a changed one is a corrupt store', () => {
  const view = packageOf(busy(), 'alpha')
  const sealed = sealRow(encodePackageRow(view))
  expect(openPackageRow(sealed)).toEqual(view)
  for (const at of [0, 32, sealed.length - 1]) {
    const changed = sealed.map((byte, i) => (i === at ? byte ^ 1 : byte))
    expect(codeOf(() => openPackageRow(changed))).toBe('STORE_CORRUPT')
  }
})

test('the digest of a view depends on its rows and not on their order', () => {
  const rows = ['ggen/b', 'registry', 'ggen/a'].map(
    name => [name as 'registry', rowHash(new TextEncoder().encode(name))] as const
  )
  expect(toHex(viewDigest(rows))).toBe(toHex(viewDigest(rows.toReversed())))
  expect(toHex(viewDigest(rows))).not.toBe(toHex(viewDigest(rows.slice(1))))
})
