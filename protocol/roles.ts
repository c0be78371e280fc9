import type { Signature } from './authority-court.ts'
import type { Counted, FoldResult } from './authority-fold.ts'
import { isAtOrBelow, isBelow, lastOf } from './authority-tree.ts'
import type { TreeNode } from './authority-tree.ts'
import { compareText } from './bytes.ts'
import type { VerifiedFact } from './chains.ts'
import type { FactId } from './cid.ts'
import type { Principal } from './did.ts'
import type { Subject } from './fact.ts'
import { isWithin } from './heads.ts'
import type { Grant, Revoke } from './payload-authority.ts'
import type { Invite, InvitedRole } from './payload-invite.ts'
import { covers, placeIn, WHOLE } from './role.ts'
import type { Role, Scope } from './role.ts'

export interface CountedGrant extends Grant {
  readonly fact: FactId
  readonly by: Principal
}

export interface CountedRevoke extends Revoke {
  readonly fact: FactId
  readonly by: Principal
  /** The recovery key signed it: it takes no release away that was made before the head it changes. */
  readonly byRecovery: boolean
}

export interface CountedInvite extends Invite {
  readonly fact: FactId
  readonly by: Principal
}

/** A use of an invite that counts (`redemptions.ts`): its key holds the role as if a grant stood where the invite stands. */
export interface Redemption {
  readonly fact: FactId
  readonly invite: FactId
  readonly key: Principal
  readonly role: InvitedRole
  readonly scope: Scope
  /** Who made the invite. */
  readonly by: Principal
  /** When it was redeemed, as the invite's key says. */
  readonly time: number
}

/**
 * Who may do what about one subject: its counted changes, and the tree they hang in.
 *
 * Invariants:
 * 1. A change counts only if those who may decide at its place signed it (`authority-fold.ts`).
 * 2. `order` lists counted facts by distance from the root, then id. A fact that arrives later never changes which of two
 *    others comes first.
 */
export interface Roles {
  readonly subject: Subject
  readonly root: FactId
  readonly counted: ReadonlyMap<FactId, Counted>
  readonly order: ReadonlyMap<FactId, number>
  /** The last fact in `order`: what the next change changes. */
  readonly head: FactId
  /** Owners from the root on. */
  readonly founders: readonly Principal[]
  readonly grants: readonly CountedGrant[]
  readonly revokes: readonly CountedRevoke[]
  /** Nobody is invited into a package. */
  readonly invites: readonly CountedInvite[]
  /** By the order of their invites, then by id. */
  readonly redemptions: readonly Redemption[]
  /** What a `resolve` decided against. */
  readonly away: ReadonlySet<FactId>
}

/** What the counted changes of a subject add up to. Who redeemed an invite is found out of that, and added. */
export function rolesOf(subject: Subject, founders: readonly Principal[], { counted, away, root }: FoldResult): Roles {
  const inOrder = [...counted.values()].toSorted(
    (a, b) => a.node.depth - b.node.depth || compareText(a.node.fact.id, b.node.fact.id)
  )
  return {
    subject,
    root,
    counted,
    order: new Map(inOrder.map(({ node }, index) => [node.fact.id, index])),
    head: inOrder.at(-1)?.node.fact.id ?? root,
    founders,
    grants: inOrder.flatMap(({ node: { fact } }) =>
      fact.payload.type === 'grant' ? [{ ...fact.payload.value, fact: fact.id, by: fact.body.author }] : []
    ),
    revokes: inOrder.flatMap(({ node: { fact }, byRecovery }) =>
      fact.payload.type === 'revoke' ? [{ ...fact.payload.value, fact: fact.id, by: fact.body.author, byRecovery }] : []
    ),
    invites: inOrder.flatMap(({ node: { fact } }) =>
      fact.payload.type === 'invite' ? [{ ...fact.payload.value, fact: fact.id, by: fact.body.author }] : []
    ),
    redemptions: [],
    away
  }
}

/** A role that somebody makes use of. */
export interface RoleUse {
  readonly key: Principal
  readonly roles: readonly Role[]
  /** What it is used on. */
  readonly on: Subject
  /** The head that is cited: what the user could see. */
  readonly head: FactId
  /** The fact it is used in. Without one, nothing that a revocation touches is held. */
  readonly fact?: VerifiedFact
}

/** One role that a key was given, and what gave it. */
export interface Held {
  readonly role: Role
  readonly scope: Scope
  /** The root, a grant, or the invite that was redeemed. */
  readonly node: TreeNode
  readonly expires: number | null
  readonly redemption?: Redemption
}

/**
 * Where in the order a key was given one of the roles; undefined when it does not hold one. A role is held at every head
 * that was not made before the grant and in the knowledge of no revocation. A revocation ends it beyond the positions
 * that it recognises wherever they cite. Expiry is not asked here: it is tested where a role is used.
 */
export function roleSince(roles: Roles, use: RoleUse): number | undefined {
  const at = roles.counted.get(use.head)?.node
  if (at === undefined) return undefined
  const { held, revokes } = keyIndex(roles).get(use.key) ?? NEVER_NAMED
  const isHeld = holdingAt(revokes, use, at)
  const found = held.find(one => use.roles.includes(one.role) && covers(one.scope, use.on) && isHeld(one))
  return found === undefined ? undefined : roles.order.get(found.node.fact.id)
}

/**
 * Roles that a key was given and that stand at the head, each looked at as if it were the only one. Expiry is for the
 * caller to test.
 */
export function standingRoles(roles: Roles, key: Principal): readonly Held[] {
  const { head } = roles
  const at = nodeOf(roles, head)
  const { held, revokes } = keyIndex(roles).get(key) ?? NEVER_NAMED
  if (at === undefined) return []
  const byScope = Map.groupBy(held, ({ scope }) => scope)
  return [...byScope].flatMap(([scope, of]) => of.filter(holdingAt(revokes, { on: placeIn(scope) }, at)))
}

/** Whether a key was ever given one of the roles for this subject, whatever was taken away since. */
export function everHeld(
  roles: Roles,
  { key, roles: any, on }: { readonly key: Principal; readonly roles: readonly Role[]; readonly on: Subject }
): boolean {
  const { held } = keyIndex(roles).get(key) ?? NEVER_NAMED
  return held.some(({ role, scope }) => any.includes(role) && covers(scope, on))
}

/** Was a key ever given a role, or told that it has none? */
export function wasNamed(roles: Roles, key: Principal): boolean {
  return keyIndex(roles).has(key)
}

/** Whether something that gives a role gives it at a head, whatever else does. */
function holdingAt(
  revokes: OfKey['revokes'],
  use: Pick<RoleUse, 'on' | 'fact'>,
  at: TreeNode
): (held: Pick<Held, 'role' | 'node'>) => boolean {
  // Read once for each role, not once for each grant: who may grant and revoke could do both thousands of times.
  const endings = new Map<Role, readonly TreeNode[]>()
  const endingOf = (role: Role): readonly TreeNode[] => {
    const known = endings.get(role)
    if (known !== undefined) return known
    const ending: TreeNode[] = []
    for (const { revoke, ends } of revokes) {
      if ((revoke.role ?? role) !== role || !covers(revoke.scope, use.on)) continue
      if (!spares(revoke, ends, at, use.fact)) ending.push(ends)
    }
    const last = lastOf(ending)
    const bounds = last === undefined ? ending.slice(0, 2) : [last]
    endings.set(role, bounds)
    return bounds
  }
  return ({ role, node }) => {
    if (isBelow(node, at)) return false
    const [last, ...others] = endingOf(role)
    return last === undefined || (others.length === 0 && isBelow(node, last) && isAtOrBelow(at, node))
  }
}

/** Does a revocation leave alone what was made at a head? */
export function spares(
  revoke: CountedRevoke,
  ends: TreeNode,
  at: TreeNode | undefined,
  fact: VerifiedFact | undefined
): boolean {
  if (fact === undefined || (at !== undefined && isAtOrBelow(at, ends))) return false
  if (isWithin(revoke.heads, fact.body)) return true
  // The recovery key brings owners back; what was released before is theirs to judge, not its.
  const isBefore = at !== undefined && ends.parent !== undefined && isAtOrBelow(ends.parent, at)
  return revoke.byRecovery && fact.body.subject !== 'registry' && isBefore
}

/** Distinct keys that sign as owners, of whatever covers the subject. */
export function ownersAmong(
  roles: Roles,
  signatures: readonly Signature[],
  use: Pick<RoleUse, 'on' | 'head'>
): ReadonlySet<Principal> {
  const owning = signatures.filter(
    ({ key, via }) => roleSince(roles, { ...use, key, roles: ['owner'], fact: via }) !== undefined
  )
  return new Set(owning.map(({ key }) => key))
}

/**
 * How many owners must sign at a head: as many as was said last on the way to it. Never fewer because there are fewer: who
 * removes an owner says the new number with it, else somebody could be left to decide alone for a moment.
 */
export function thresholdAt(roles: Roles, head: FactId): number {
  return roles.counted.get(head)?.threshold ?? Number.POSITIVE_INFINITY
}

/** Keys that own the whole subject at a head. */
export function ownersAt(roles: Roles, head: FactId): readonly Principal[] {
  const keys = new Set([
    ...roles.founders,
    ...roles.grants.filter(({ role }) => role === 'owner').map(({ key }) => key)
  ])
  return [...keys]
    .filter(key => roleSince(roles, { key, roles: ['owner'], on: roles.subject, head }) !== undefined)
    .toSorted(compareText)
}

interface OfKey {
  readonly held: Held[]
  readonly revokes: { readonly revoke: CountedRevoke; readonly ends: TreeNode }[]
}

const NEVER_NAMED: OfKey = { held: [], revokes: [] }

/** Every release of every fold asks, so a registry of a thousand keys is not searched from its first grant on. */
const indexes = new WeakMap<Roles, ReadonlyMap<Principal, OfKey>>()

function keyIndex(roles: Roles): ReadonlyMap<Principal, OfKey> {
  const known = indexes.get(roles)
  if (known !== undefined) return known
  const index = new Map<Principal, OfKey>()
  const of = (key: Principal): OfKey => {
    const entry = index.get(key) ?? { held: [], revokes: [] }
    index.set(key, entry)
    return entry
  }
  const root = nodeOf(roles, roles.root)
  if (root !== undefined) {
    for (const key of roles.founders) of(key).held.push({ role: 'owner', scope: WHOLE, node: root, expires: null })
  }
  for (const { fact, key, role, scope, expires } of roles.grants) {
    const node = nodeOf(roles, fact)
    if (node !== undefined) of(key).held.push({ role, scope, node, expires })
  }
  for (const redemption of roles.redemptions) {
    const { invite, key, role, scope } = redemption
    const node = nodeOf(roles, invite)
    if (node !== undefined) of(key).held.push({ role, scope, node, expires: null, redemption })
  }
  for (const revoke of roles.revokes) {
    const ends = nodeOf(roles, revoke.fact)
    if (ends !== undefined) of(revoke.key).revokes.push({ revoke, ends })
  }
  indexes.set(roles, index)
  return index
}

export function nodeOf(roles: Roles, fact: FactId): TreeNode | undefined {
  return roles.counted.get(fact)?.node
}
