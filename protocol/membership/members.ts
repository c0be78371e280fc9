import type { Authority } from '../authority.ts'
import type { FactId } from '../cid.ts'
import type { Principal } from '../did.ts'
import { LIMITS } from '../limits.ts'
import { covers, ROLES } from '../role.ts'
import type { Role } from '../role.ts'
import { standingRoles, wasNamed } from '../roles.ts'
import type { Held } from '../roles.ts'

export { freeUse, invitesOf } from './invites.ts'
export type { FreeUse, InviteState } from './invites.ts'

/** `ended`: named once, and holds nothing now. `unknown`: nothing that counts has ever named it. */
export type Standing = 'member' | 'expired' | 'ended' | 'unknown'

/** A key that may be in the swarm of a private registry, docs/spec/membership.md section 1. */
export interface Member {
  readonly key: Principal
  /** The strongest first. Of somebody who is `expired`: those that ran out. */
  readonly roles: readonly Role[]
  readonly state: Extract<Standing, 'member' | 'expired'>
  /** The invite that it is a member by, the last one of several; null for founders and for whoever was granted a role by name. */
  readonly invite: { readonly fact: FactId; readonly by: Principal } | null
  readonly redeem: FactId | null
}

/** Everybody who is in: founders, then whoever was granted a role, then whoever redeemed an invite, in their order. */
export function membersOf(authority: Authority, now: number): readonly Member[] {
  const { founders, grants, redemptions } = authority
  const keys = new Set([...founders, ...[...grants, ...redemptions].map(({ key }) => key)])
  const members: Member[] = []
  for (const key of keys) {
    if (members.length >= LIMITS.membership.members) break
    const member = memberOf(authority, key, now)
    if (member !== undefined) members.push(member)
  }
  return members
}

function memberOf(authority: Authority, key: Principal, now: number): Member | undefined {
  const all = memberships(authority, key)
  const current = all.filter(held => !isOver(held, now))
  const held = current.length > 0 ? current : all
  if (held.length === 0) return undefined
  const by = held.findLast(({ redemption }) => redemption !== undefined)?.redemption
  return {
    key,
    roles: strongestFirst(held),
    state: current.length > 0 ? 'member' : 'expired',
    invite: by === undefined ? null : { fact: by.invite, by: by.by },
    redeem: by?.fact ?? null
  }
}

/** Whether a key is in. Any role over anything makes a member; the recovery key is none unless it was given one. */
export function standingOf(authority: Authority, key: Principal, now: number): Standing {
  const all = memberships(authority, key)
  if (all.some(held => !isOver(held, now))) return 'member'
  if (all.length > 0) return 'expired'
  return wasNamed(authority, key) ? 'ended' : 'unknown'
}

/** What a member holds now, over anything, the strongest first. */
export function rolesOfMember(authority: Authority, key: Principal, now: number): readonly Role[] {
  return strongestFirst(memberships(authority, key).filter(held => !isOver(held, now)))
}

/** Owners and curators of the whole registry say whose hosts may be in its swarm. */
export function mayCertify(authority: Authority, key: Principal, now: number): boolean {
  return memberships(authority, key).some(held => certifies(held, now))
}

/** The same by a founder's place or a grant. Attack: an invite was over before it was used, and nobody can tell when it was. */
export function mayCertifyByName(authority: Authority, key: Principal, now: number): boolean {
  return memberships(authority, key).some(held => held.redemption === undefined && certifies(held, now))
}

/**
 * May an issuer certify a member whom the facts name? Who is one by an invite alone does so for members who did not come
 * by that invite, and never for itself. Attack: the holder of an invite that is over uses it twice, and each use speaks for
 * the other.
 */
export function mayCertifyMember(
  authority: Authority,
  { issuer, member }: { readonly issuer: Principal; readonly member: Principal },
  now: number
): boolean {
  if (mayCertifyByName(authority, issuer, now)) return true
  if (issuer === member || !mayCertify(authority, issuer, now)) return false
  const invites = new Set(memberships(authority, issuer).map(({ redemption }) => redemption?.invite))
  return memberships(authority, member).some(
    held => !isOver(held, now) && (held.redemption === undefined || !invites.has(held.redemption.invite))
  )
}

function certifies(held: Held, now: number): boolean {
  return CERTIFYING_ROLES.includes(held.role) && covers(held.scope, 'registry') && !isOver(held, now)
}

const CERTIFYING_ROLES: readonly Role[] = ['owner', 'curator']

/** What makes a key a member, in the order in which it was given. */
function memberships(authority: Authority, key: Principal): readonly Held[] {
  return standingRoles(authority, key).filter(({ role }) => role !== 'recovery')
}

/** Expiry is tested here and never in a fold: all nodes must fold alike, whatever their clocks say. */
function isOver({ expires }: Held, now: number): boolean {
  return expires !== null && expires <= now
}

function strongestFirst(held: readonly Held[]): readonly Role[] {
  const roles = new Set(held.map(({ role }) => role))
  return ROLES.filter(role => roles.has(role))
}
