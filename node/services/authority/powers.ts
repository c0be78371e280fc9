import type { Authority } from '../../../protocol/authority.ts'
import { compareText } from '../../../protocol/bytes.ts'
import { authPrevOf } from '../../../protocol/authority-tree.ts'
import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { FactId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { Subject } from '../../../protocol/fact.ts'
import type { ClaimView } from '../../../protocol/fold.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { citedHead } from '../../../protocol/payload.ts'
import type { Payload } from '../../../protocol/payload.ts'
import {
  ADVISING_ROLES,
  EDITING_ROLES,
  NAMING_ROLES,
  OBSERVING_ROLES,
  PUBLISHING_ROLES,
  STOPPING_ROLES
} from '../../../protocol/role.ts'
import type { Role } from '../../../protocol/role.ts'
import { roleSince, thresholdAt } from '../../../protocol/roles.ts'
import { asideReason, claimOf } from './place.ts'
import type { AsideReason, Place } from './place.ts'

/** Owners who decide something together. */
export interface Owners {
  readonly of: 'registry' | 'package'
  readonly keys: readonly Principal[]
  /** So many of them must sign. */
  readonly needed: number
}

/** How a fact stands: whether it counts, and who must still sign it. */
export interface Standing {
  readonly counts: boolean
  readonly reason: AsideReason | null
  /** Owners who must sign, all in all; 0 when no number of signatures would help. */
  readonly needed: number
  readonly missing: number
  /** Of those who may, who has signed and who has not yet. */
  readonly signed: readonly Principal[]
  readonly open: readonly Principal[]
}

/** How a fact of the set stands. */
export function standingOf(place: Place, fact: VerifiedFact): Standing {
  const reason = asideReason(place, fact.id) ?? null
  const isWaiting = reason === 'threshold-not-met' || (reason === 'unknown-authority' && isParentAwaited(place, fact))
  if (reason !== null && !isWaiting) {
    return { counts: false, reason, needed: 0, missing: 0, signed: [], open: [] }
  }
  const signers = signersOf(place.facts, fact)
  const ways = ownersFor(place, fact.payload).map(({ keys, needed }) => {
    const signed = keys.filter(key => signers.has(key))
    const open = keys.filter(key => !signers.has(key))
    return { signed, open, needed, missing: Math.max(0, needed - signed.length) }
  })
  const [nearest] = ways.toSorted((a, b) => a.missing - b.missing)
  const { signed = [], open = [], needed = 0, missing = 0 } = nearest ?? {}
  if (reason === null) return { counts: true, reason, needed, missing: 0, signed, open }
  // The fold is the judge: what waits for signatures needs one at least.
  const least = reason === 'threshold-not-met' ? 1 : 0
  return {
    counts: false,
    reason,
    needed: Math.max(needed, signed.length + least),
    missing: Math.max(least, missing),
    signed,
    open
  }
}

/** A change of a change that waits for signatures waits with it. */
function isParentAwaited(place: Place, fact: VerifiedFact): boolean {
  let at: VerifiedFact | undefined = fact
  // Attack: a chain of changes that wait, as long as its author likes.
  for (let steps = 0; steps < LIMITS.authoring.waitingChanges; steps++) {
    const above: FactId | undefined = at === undefined ? undefined : authPrevOf(at)
    at = place.facts.find(({ id }) => id === above)
    if (at === undefined) return false
    const reason = asideReason(place, at.id)
    if (reason !== 'unknown-authority') return reason === 'threshold-not-met'
  }
  return false
}

/** Everybody who signed a fact: its author, and whoever cosigned it. */
export function signersOf(facts: readonly VerifiedFact[], { id, body }: VerifiedFact): ReadonlySet<Principal> {
  const cosigns = facts.filter(({ payload }) => payload.type === 'cosign' && payload.value.fact === id)
  return new Set([body.author, ...cosigns.map(cosign => cosign.body.author)])
}

/** Groups of owners of whom one, by its number, makes a fact count: the package's own first. */
export function ownersFor({ subject, authority, view }: Place, payload: Payload): readonly Owners[] {
  // Whoever has the key of the invite decides, and nobody else's signature would help.
  if (payload.type === 'redeem') return []
  const { head } = authority
  const cited = citedHead(payload) ?? head
  const needed = Math.max(...[head, cited].map(at => (authority.order.has(at) ? thresholdAt(authority, at) : 1)))
  const keys = ownersOver(authority, subject)
  const above: Owners = { of: 'registry', keys, needed: Math.min(needed, Math.max(1, keys.length)) }
  const claim = view?.claim ?? null
  if (claim === null || payload.type === 'claim') return [above]
  return [{ of: 'package', keys: claim.keys, needed: claim.threshold }, above]
}

/** Keys that own what covers a subject, at the head. */
export function ownersOver(authority: Authority, on: Subject): readonly Principal[] {
  const granted = authority.grants.filter(({ role }) => role === 'owner').map(({ key }) => key)
  return [...new Set([...authority.founders, ...granted])]
    .filter(key => roleSince(authority, { key, roles: ['owner'], on, head: authority.head }) !== undefined)
    .toSorted(compareText)
}

/** Owners of a subject as it is now, and how many of them must sign. */
export function ownersHere(place: Place): { readonly owners: readonly Principal[]; readonly threshold: number } {
  const { authority, subject } = place
  if (subject !== 'registry') {
    const { keys: owners, threshold } = claimOf(place)
    return { owners, threshold }
  }
  return { owners: ownersOver(authority, 'registry'), threshold: thresholdAt(authority, authority.head) }
}

/** The roles of which one must be held by whoever signs a fact of a type. */
export function rolesFor(type: VerifiedFact['payload']['type']): readonly Role[] {
  if (type === 'claim') return NAMING_ROLES
  if (type === 'metadata') return EDITING_ROLES
  if (type === 'quarantine' || type === 'unquarantine') return STOPPING_ROLES
  if (type === 'advisory') return ADVISING_ROLES
  if (type === 'observation') return OBSERVING_ROLES
  return type === 'release' || type === 'yank' || type === 'unyank' ? PUBLISHING_ROLES : ['owner']
}

/** A role that somebody is about to make use of. */
export interface Use {
  readonly key: Principal
  readonly roles: readonly Role[]
  readonly on: Subject
}

export type Holding = 'held' | 'expired' | 'none'

/**
 * Whether a key holds one of the roles now, for the registry or for the package. Expiry is tested here, where a role is
 * used to sign, and never in a fold: all nodes must fold alike, whatever their clocks say.
 */
export function holdingOf(place: Place, use: Use, now: number): Holding {
  const { authority } = place
  const at = { ...use, head: authority.head }
  const isAbove = roleSince(authority, at) !== undefined
  const own = ownGrants(place, use)
  // It decides who may do what, and publishes nothing.
  if (authority.recovery === use.key && use.roles.every(role => role === 'owner')) return 'held'
  if (!isAbove && own.length === 0) return 'none'
  const fresh: Authority = { ...authority, grants: authority.grants.filter(grant => !isOver(grant, now)) }
  const isHeld = (isAbove && roleSince(fresh, at) !== undefined) || own.some(grant => !isOver(grant, now))
  return isHeld ? 'held' : 'expired'
}

interface Expiring {
  readonly expires: number | null
}

export function isOver({ expires }: Expiring, now: number): boolean {
  return expires !== null && expires <= now
}

/** What gives a key one of the roles for the package alone. */
function ownGrants({ view, facts }: Place, { key, roles }: Use): readonly Expiring[] {
  const claim = view?.claim ?? null
  if (claim === null) return []
  const delegated = claim.roles.filter(given => given.key === key && roles.includes(given.role))
  if (!roles.includes('owner') || !claim.keys.includes(key)) return delegated
  return [...delegated, ...ownerGrants(claim, facts, key)]
}

/** What made a key an owner of the package: the claim for ever, a grant perhaps for a time. */
function ownerGrants(claim: ClaimView, facts: readonly VerifiedFact[], key: Principal): readonly Expiring[] {
  return facts.flatMap(({ id, payload }): readonly Expiring[] => {
    if (payload.type === 'claim' && id === claim.fact)
      return payload.value.keys.includes(key) ? [{ expires: null }] : []
    if (payload.type !== 'grant' || payload.value.role !== 'owner' || payload.value.key !== key) return []
    return [{ expires: payload.value.expires }]
  })
}
