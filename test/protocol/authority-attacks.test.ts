import fc from 'fast-check'
import { expect, test } from 'vitest'
import { foldRegistry } from '../../node/services/membership.ts'
import { foldAuthority } from '../../protocol/authority.ts'
import type { Authority } from '../../protocol/authority.ts'
import { ownersAt } from '../../protocol/roles.ts'
import { encodePayload } from '../../protocol/payload.ts'
import type { Payload } from '../../protocol/payload.ts'
import { FactWriter, make, person } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { authorityOf, toVerified } from '../support/fold.ts'
import { moves, play } from '../support/random-registry.ts'

const [root, ann, bob, eve, zoe] = [person('root'), person('ann'), person('bob'), person('eve'), person('zoe')]
const recovery = person('recovery')
const device = (who: Person, name: string): Person => ({ ...who, chain: person(name).chain })

function owners(authority: Authority): readonly string[] {
  const keys = ownersAt(authority, authority.head)
  return Object.entries({ root, ann, bob, eve, zoe }).flatMap(([name, { did }]) => (keys.includes(did) ? [name] : []))
}

/** The same position with other words: what a forker signs. */
function twin({ body }: Made, by: Person, payload: Payload): Made {
  return make({ ...body, type: payload.type, payload: encodePayload(payload) }, by)
}

/** The set and the authority must be those that the set alone gives, whichever part of what is cut is known besides. */
function leavesNoTrace(facts: FactWriter): void {
  const all = facts.all.filter(({ body }) => body.subject === 'registry').map(toVerified)
  const { set, cut, authority } = foldRegistry(facts.registry, all)
  // What a node decides from all that it knows is what the set alone decides.
  expect(decided(foldAuthority(facts.registry, set))).toEqual(decided(authority))
  const ids = set.map(({ id }) => id).toSorted()
  for (const known of [[], ...cut.map(fact => [fact]), ...cut.map(fact => cut.filter(other => other !== fact))]) {
    const again = foldRegistry(facts.registry, [...set, ...known])
    expect(again.set.map(({ id }) => id).toSorted()).toEqual(ids)
    expect(decided(again.authority)).toEqual(decided(authority))
  }
}

/** Changes that count, and uses of invites. */
function decided(authority: Authority | undefined): readonly string[] {
  return [...(authority?.order.keys() ?? []), ...(authority?.redemptions ?? []).map(({ fact }) => fact)]
}

/** root, then ann and bob made owners by root, one after the other. */
function threeOwners(): { facts: FactWriter; head: Made } {
  const facts = new FactWriter(root)
  const first = facts.grant(ann.did, 'owner')
  const head = facts.grant(bob.did, 'owner', { authPrev: first.id })
  return { facts, head }
}

test('who names himself the recovery key does not come before those who were named earlier', () => {
  const { facts, head } = threeOwners()
  facts.grant(bob.did, 'recovery', { by: bob, authPrev: head.id })
  facts.revoke(root.did, { by: bob, authPrev: head.id, heads: [] })
  facts.revoke(bob.did, { by: root, authPrev: head.id, heads: [] })
  expect(owners(authorityOf(facts))).toEqual(['root', 'ann'])
  leavesNoTrace(facts)
})

test('an owner does not become more senior by a grant of himself under an older head', () => {
  const facts = new FactWriter(root)
  const zero = facts.grant(zoe.did, 'publisher')
  const first = facts.grant(ann.did, 'owner', { authPrev: zero.id })
  const second = facts.grant(bob.did, 'owner', { authPrev: first.id })
  const third = facts.revoke(zoe.did, { authPrev: second.id })
  facts.revoke(bob.did, { by: ann, authPrev: third.id, heads: [] })
  const self = facts.grant(bob.did, 'owner', { by: bob })
  facts.revoke(ann.did, { by: bob, authPrev: self.id, heads: [] })
  expect(owners(authorityOf(facts))).toEqual(['root', 'ann'])
  leavesNoTrace(facts)
})

test('a cosignature of a recovery key that was replaced gives no precedence', () => {
  const { facts, head } = threeOwners()
  const next = facts.grant(zoe.did, 'recovery', { by: recovery, authPrev: head.id })
  facts.revoke(recovery.did, { by: zoe, authPrev: next.id, heads: [next] })
  const junior = facts.revoke(ann.did, { by: bob, authPrev: next.id, heads: [] })
  facts.cosign(recovery, junior)
  facts.revoke(bob.did, { by: ann, authPrev: next.id, heads: [] })
  expect(owners(authorityOf(facts))).toEqual(['root', 'ann'])
  leavesNoTrace(facts)
})

test('a fork whose other side a revocation cuts leaves no trace', () => {
  const { facts, head } = threeOwners()
  const good = facts.revoke(zoe.did, { by: bob, authPrev: head.id })
  const gone = facts.revoke(bob.did, { by: ann, authPrev: head.id, heads: [good] })
  const late = { authPrev: gone.id, head: null, key: eve.did, role: 'publisher', scope: '*', expires: null } as const
  facts.all.push(twin(good, bob, { type: 'grant', value: { ...late, threshold: null } as never }))
  leavesNoTrace(facts)
})

test('a fork of a senior whom a junior revoked ends in one set, whoever knows it', () => {
  const facts = new FactWriter(root, { roots: [ann.did, root.did].toSorted() })
  const known = facts.grant(bob.did, 'owner')
  const senior = facts.revoke(zoe.did, { by: ann, authPrev: known.id })
  facts.all.push(make({ ...senior.body, time: 7 }, ann))
  facts.revoke(ann.did, { by: bob, authPrev: known.id, heads: [] })
  leavesNoTrace(facts)
})

test('what counts keeps what stands before it in its chain', () => {
  const facts = new FactWriter(root, { roots: [ann.did, root.did].toSorted() })
  const known = facts.grant(bob.did, 'owner')
  facts.cosign(ann, facts.genesis)
  facts.revoke(zoe.did, { by: ann, authPrev: known.id })
  facts.revoke(ann.did, { by: bob, authPrev: known.id, heads: [] })
  const all = facts.all.map(toVerified)
  const { set, authority } = foldRegistry(facts.registry, all)
  const ids = set.map(({ id }) => id)
  for (const id of authority?.order.keys() ?? []) expect(ids).toContain(id)
  expect(authority?.order.size).toBe(4)
  leavesNoTrace(facts)
})

test('a resolution whose kept side was cut decides as before', () => {
  const { facts, head } = threeOwners()
  const seen = facts.all.filter(({ body }) => body.author === bob.did)
  const keep = facts.grant(zoe.did, 'publisher', { by: bob, authPrev: head.id })
  const over = make({ ...keep.body, time: 3 }, bob)
  facts.all.push(over)
  facts.resolve(keep, [over], { authPrev: head.id })
  facts.revoke(bob.did, { by: root, authPrev: head.id, heads: seen })
  leavesNoTrace(facts)
})

test('a change by a key that no change named does not count, whoever signs with it', () => {
  const { facts, head } = threeOwners()
  const outside = facts.grant(eve.did, 'publisher', { by: eve, authPrev: head.id })
  facts.cosign(root, outside)
  expect(authorityOf(facts).order.has(outside.id)).toBe(false)
})

test('a second device of a revoked key adds nobody', () => {
  const { facts, head } = threeOwners()
  const gone = facts.revoke(bob.did, { by: ann, authPrev: head.id, heads: [] })
  const fresh = facts.grant(eve.did, 'owner', { by: device(bob, 'second'), authPrev: gone.id })
  expect(authorityOf(facts).order.has(fresh.id)).toBe(false)
  leavesNoTrace(facts)
})

test('a key that lost its roles keeps no more signatures in the set than were needed', () => {
  const { facts, head } = threeOwners()
  const next = facts.grant(zoe.did, 'publisher', { authPrev: head.id })
  facts.revoke(bob.did, { by: root, authPrev: next.id, heads: [] })
  const late = Array.from({ length: 20 }, (_, i) => facts.cosign(device(bob, `device ${i}`), i % 2 === 0 ? next : head))
  const { isCut } = authorityOf(facts)
  expect(late.filter(fact => !isCut(toVerified(fact)))).toEqual([])
  leavesNoTrace(facts)
})

test('a registry in which anybody may try anything has no trace of what is cut from it', () => {
  fc.assert(
    fc.property(moves(30), fc.integer({ min: 1, max: 2 }), (list, threshold) => leavesNoTrace(play(list, threshold))),
    { numRuns: 100 }
  )
})
