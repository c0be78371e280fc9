import fc from 'fast-check'
import { expect, test } from 'vitest'
import { foldAuthority } from '../../protocol/authority.ts'
import { toHex } from '../../protocol/bytes.ts'
import { ownersAt, thresholdAt } from '../../protocol/roles.ts'
import { encodeAuthorityRow } from '../../protocol/view-row.ts'
import { FactWriter, make, person } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { authorityOf, toVerified } from '../support/fold.ts'

const [root, ann, bob, eve, zoe] = [person('root'), person('ann'), person('bob'), person('eve'), person('zoe')]
const recovery = person('recovery')

/** Owners of the registry as all its facts have it, by whoever's turn it is to be read first. */
function owners(facts: FactWriter, turn = 0): readonly Person[] {
  const authority = authorityOf(facts, turn)
  const keys = ownersAt(authority, authority.head)
  return [root, ann, bob, eve, zoe].filter(({ did }) => keys.includes(did))
}

function reasons(facts: FactWriter): Readonly<Record<string, string>> {
  return Object.fromEntries(authorityOf(facts).setAside.map(({ fact, reason }) => [fact, reason]))
}

function cutIn(facts: FactWriter): readonly string[] {
  const authority = authorityOf(facts)
  return facts.all.filter(fact => authority.isCut(toVerified(fact))).map(({ id }) => id)
}

/** Every order, every repetition, and the set without what is cut all fold to the same row. */
function sameWhateverTheOrder(facts: FactWriter): void {
  const all = facts.all.filter(({ body }) => body.subject === 'registry').map(toVerified)
  const rowOf = (some: typeof all): string => {
    const authority = foldAuthority(facts.registry, some)
    if (authority === undefined) throw new Error('no genesis')
    const set = some.filter(fact => !authority.isCut(fact))
    const again = foldAuthority(facts.registry, set)
    if (again === undefined) throw new Error('no genesis')
    expect([...again.order.keys()]).toEqual([...authority.order.keys()])
    expect(set.filter(again.isCut)).toEqual([])
    return toHex(encodeAuthorityRow(again, set))
  }
  const wanted = rowOf(all)
  const indexes = all.map((_, i) => i)
  fc.assert(
    fc.property(fc.shuffledSubarray(indexes, { minLength: all.length }), order => {
      expect(rowOf(order.flatMap(i => all[i] ?? []))).toBe(wanted)
    }),
    { numRuns: 20 }
  )
}

/** root, then ann and bob made owners by root, one after the other. */
function threeOwners(): { facts: FactWriter; head: Made } {
  const facts = new FactWriter(root)
  const first = facts.grant(ann.did, 'owner')
  const head = facts.grant(bob.did, 'owner', { authPrev: first.id })
  return { facts, head }
}

test('an owner made by an owner decides as well', () => {
  const { facts, head } = threeOwners()
  facts.grant(zoe.did, 'publisher', { by: bob, authPrev: head.id })
  expect(owners(facts)).toEqual([root, ann, bob])
  expect(authorityOf(facts).grants.map(({ key }) => key)).toEqual([ann.did, bob.did, zoe.did])
})

test('mutual removal: of two who remove each other, the one named earlier stays', () => {
  const { facts, head } = threeOwners()
  facts.revoke(ann.did, { by: bob, authPrev: head.id })
  facts.revoke(bob.did, { by: ann, authPrev: head.id, heads: [] })
  for (const turn of [0, 1, 2, 3]) expect(owners(facts, turn)).toEqual([root, ann])
  sameWhateverTheOrder(facts)
})

test('a root stands before an owner whom it named, whoever wrote first', () => {
  const { facts, head } = threeOwners()
  facts.revoke(root.did, { by: ann, authPrev: head.id })
  facts.revoke(ann.did, { by: root, authPrev: head.id, heads: [] })
  expect(owners(facts)).toEqual([root, bob])
  sameWhateverTheOrder(facts)
})

test("a removed owner's backdated change does not count, however early the head that it names", () => {
  const { facts, head } = threeOwners()
  const known = facts.grant(zoe.did, 'publisher', { by: bob, authPrev: head.id })
  const revoke = facts.revoke(bob.did, { by: ann, authPrev: known.id })
  const backdated = facts.grant(eve.did, 'owner', { by: bob, authPrev: head.id })
  const built = facts.revoke(ann.did, { by: eve, authPrev: backdated.id })
  const fresh = facts.grant(eve.did, 'owner', { by: { ...bob, chain: person('other').chain }, authPrev: head.id })
  expect(owners(facts)).toEqual([root, ann])
  expect(authorityOf(facts).order.has(revoke.id)).toBe(true)
  expect(reasons(facts)).toMatchObject({ [backdated.id]: 'revoked', [fresh.id]: 'revoked' })
  expect(authorityOf(facts).order.has(built.id)).toBe(false)
  // What the revocation had seen of him stays.
  expect(authorityOf(facts).order.has(known.id)).toBe(true)
  expect(new Set(cutIn(facts))).toEqual(new Set([backdated.id, fresh.id]))
  sameWhateverTheOrder(facts)
})

test('a revocation of a compromised key cites earlier positions, and takes back what was built on it', () => {
  const { facts, head } = threeOwners()
  const seen = facts.all.filter(({ body }) => body.author === bob.did)
  const stolen = facts.grant(eve.did, 'owner', { by: bob, authPrev: head.id })
  const more = facts.grant(zoe.did, 'owner', { by: eve, authPrev: stolen.id })
  facts.revoke(bob.did, { by: ann, authPrev: head.id, heads: seen })
  expect(owners(facts)).toEqual([root, ann])
  expect(cutIn(facts)).toEqual([stolen.id])
  expect(reasons(facts)[more.id]).toBe('unknown-authority')
  sameWhateverTheOrder(facts)
})

test('of three changes of one head all count that exclude nothing, and each is seen from the next head', () => {
  const { facts, head } = threeOwners()
  const [one, two, three] = [
    facts.grant(eve.did, 'publisher', { by: root, authPrev: head.id }),
    facts.grant(zoe.did, 'curator', { by: ann, authPrev: head.id }),
    facts.revoke(zoe.did, { by: bob, authPrev: head.id, role: 'mirror' })
  ]
  const next = facts.grant(person('late').did, 'auditor', { by: ann, authPrev: authorityOf(facts).head })
  const { order } = authorityOf(facts)
  for (const { id } of [one, two, three, next]) expect(order.has(id)).toBe(true)
  sameWhateverTheOrder(facts)
})

test('of a three-way fork the revocation comes first, and who it removes adds nobody', () => {
  const { facts, head } = threeOwners()
  const unseen = facts.all.filter(({ body }) => body.author === bob.did)
  const added = facts.grant(eve.did, 'owner', { by: bob, authPrev: head.id })
  const other = facts.grant(zoe.did, 'owner', { by: ann, authPrev: head.id })
  facts.revoke(bob.did, { by: root, authPrev: head.id, heads: unseen })
  for (const turn of [0, 1, 2, 3, 4]) expect(owners(facts, turn)).toEqual([root, ann, zoe])
  expect(reasons(facts)[added.id]).toBe('revoked')
  expect(authorityOf(facts).order.has(other.id)).toBe(true)
  sameWhateverTheOrder(facts)
})

test('the recovery key outranks all owners, at any head, and only it names the next', () => {
  const { facts, head } = threeOwners()
  facts.revoke(root.did, { by: ann, authPrev: head.id })
  facts.revoke(ann.did, { by: recovery, authPrev: head.id })
  facts.revoke(root.did, { by: recovery, authPrev: head.id })
  expect(owners(facts)).toEqual([bob])
  const { head: at } = authorityOf(facts)
  const stolen = facts.grant(eve.did, 'recovery', { by: bob, authPrev: at })
  expect(authorityOf(facts).recovery).toBe(recovery.did)
  expect(reasons(facts)[stolen.id]).toBe('role-not-held')
  const next = facts.grant(zoe.did, 'recovery', { by: recovery, authPrev: at })
  expect(authorityOf(facts).recovery).toBe(zoe.did)
  const late = facts.grant(eve.did, 'owner', { by: recovery, authPrev: next.id })
  expect(reasons(facts)[late.id]).toBe('role-not-held')
  sameWhateverTheOrder(facts)
})

test('a revocation that stops counting gives back what it had cut', () => {
  const { facts, head } = threeOwners()
  facts.revoke(bob.did, { by: ann, authPrev: head.id })
  const cut = facts.grant(eve.did, 'publisher', { by: bob, authPrev: head.id })
  expect(cutIn(facts)).toEqual([cut.id])
  // The recovery key says that ann's key was stolen before she revoked anybody.
  facts.revoke(ann.did, { by: recovery, authPrev: head.id, heads: [] })
  expect(owners(facts)).toEqual([root, bob])
  expect(cutIn(facts)).not.toContain(cut.id)
  expect(authorityOf(facts).order.has(cut.id)).toBe(true)
  sameWhateverTheOrder(facts)
})

test('a key that is named again writes again, and what it wrote between stays away', () => {
  const { facts, head } = threeOwners()
  const gone = facts.revoke(bob.did, { by: ann, authPrev: head.id })
  const between = facts.grant(eve.did, 'publisher', { by: bob, authPrev: head.id })
  const back = facts.grant(bob.did, 'owner', { by: ann, authPrev: gone.id })
  const again = facts.grant(zoe.did, 'publisher', { by: { ...bob, chain: person('new').chain }, authPrev: back.id })
  expect(cutIn(facts)).toEqual([between.id])
  expect(authorityOf(facts).order.has(again.id)).toBe(true)
  sameWhateverTheOrder(facts)
})

test('a threshold counts keys, not signatures', () => {
  const facts = new FactWriter(root, { roots: [root.did, ann.did, bob.did].toSorted(), threshold: 2 })
  const grant = facts.grant(eve.did, 'curator')
  facts.cosign(root, grant)
  facts.cosign({ ...root, chain: person('second device').chain }, grant)
  facts.cosign(eve, grant)
  expect(reasons(facts)[grant.id]).toBe('threshold-not-met')
  facts.cosign(ann, grant)
  expect(authorityOf(facts).grants.map(({ key }) => key)).toEqual([eve.did])
  sameWhateverTheOrder(facts)
})

test('a higher threshold holds for changes of older heads too', () => {
  const { facts, head } = threeOwners()
  const raise = facts.grant(zoe.did, 'owner', { authPrev: head.id, threshold: 2 })
  expect(thresholdAt(authorityOf(facts), raise.id)).toBe(2)
  const backdated = facts.grant(eve.did, 'owner', { by: ann, authPrev: facts.genesis.id })
  expect(reasons(facts)[backdated.id]).toBe('threshold-not-met')
  expect(owners(facts)).toEqual([root, ann, bob, zoe])
  sameWhateverTheOrder(facts)
})

test('fewer owners are not fewer signers, unless the change that removes one says so', () => {
  const silent = new FactWriter(root, { roots: [root.did, ann.did].toSorted(), threshold: 2 })
  const gone = silent.revoke(ann.did)
  silent.cosign(ann, gone)
  const alone = silent.grant(bob.did, 'owner', { authPrev: gone.id })
  expect(reasons(silent)[alone.id]).toBe('threshold-not-met')
  const said = new FactWriter(root, { roots: [root.did, ann.did].toSorted(), threshold: 2 })
  const revoke = said.revoke(ann.did, { threshold: 1 })
  said.cosign(ann, revoke)
  const next = said.grant(bob.did, 'owner', { authPrev: revoke.id })
  expect(authorityOf(said).order.has(next.id)).toBe(true)
})

test('what a forked owner decided waits from the fork on, until it is resolved', () => {
  const { facts, head } = threeOwners()
  const left = facts.grant(eve.did, 'publisher', { by: ann, authPrev: head.id })
  const right = make({ ...left.body, time: 1 }, ann)
  facts.all.push(right)
  const later = facts.grant(zoe.did, 'publisher', { by: ann, authPrev: left.id })
  expect(reasons(facts)).toMatchObject({ [left.id]: 'forked-author', [right.id]: 'forked-author' })
  expect(authorityOf(facts).isForked(ann.did)).toBe(true)
  facts.resolve(left, [right], { by: root, authPrev: head.id })
  const authority = authorityOf(facts)
  expect(authority.order.has(left.id) && authority.order.has(later.id)).toBe(true)
  expect(reasons(facts)).toMatchObject({ [right.id]: 'resolved' })
  expect(authority.isForked(ann.did)).toBe(false)
  expect(authority.forks.map(({ settled }) => settled)).toEqual([true])
  sameWhateverTheOrder(facts)
})

test('a sole owner who forked by accident resolves it from another chain', () => {
  const facts = new FactWriter(root)
  const left = facts.grant(ann.did, 'publisher')
  facts.all.push(make({ ...left.body, time: 1 }, root))
  const right = facts.all.at(-1) ?? left
  facts.resolve(left, [right], { by: { ...root, chain: person('after').chain } })
  expect(authorityOf(facts).grants.map(({ fact }) => fact)).toEqual([left.id])
  expect(authorityOf(facts).isForked(root.did)).toBe(false)
})
