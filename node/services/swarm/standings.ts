import type { Authority } from '../../../protocol/authority.ts'
import type { Principal } from '../../../protocol/did.ts'
import { usesOf } from '../../../protocol/membership/invites.ts'
import { NAMING_ROLES, WHOLE } from '../../../protocol/role.ts'
import { standingRoles } from '../../../protocol/roles.ts'
import { endedInvites } from '../../../protocol/redemptions.ts'
import type { CountedInvite } from '../../../protocol/roles.ts'

/** Does a key hold a role that ends by itself? Whoever gave it has said how long to believe the key without asking. */
export function holdsExpiringGrant(authority: Authority, key: Principal, now: number): boolean {
  // An invite gives for ever: its own expiry is about who may still use it.
  return standingRoles(authority, key).some(({ expires }) => expires !== null && expires > now)
}

/** Is a key an owner of the whole registry? */
export function isOwner(authority: Authority, key: Principal, now: number): boolean {
  return standingRoles(authority, key).some(
    ({ role, scope, expires }) => role === 'owner' && scope === WHOLE && (expires === null || expires > now)
  )
}

/** Was a key ever an owner or curator of the whole registry, whatever became of it? */
export function couldCertify({ founders, grants }: Authority, key: Principal): boolean {
  const given = grants.some(
    grant => grant.key === key && grant.scope === WHOLE && NAMING_ROLES.some(role => role === grant.role)
  )
  return given || founders.includes(key)
}

/** When the last invite is over by which a key is a member; undefined when it is one by no invite. */
export function invitedUntil(authority: Authority, key: Principal): number | undefined {
  const by = new Set(standingRoles(authority, key).map(({ redemption }) => redemption?.invite))
  const times = authority.invites.filter(({ fact }) => by.has(fact)).map(({ expires }) => expires)
  return times.length === 0 ? undefined : Math.max(...times)
}

/** Invites that are used by a key. More than one only when somebody went out of his way. */
export function invitesBy({ invites }: Authority, key: Principal): readonly CountedInvite[] {
  return invites.filter(invite => invite.key === key)
}

/** Could one more key be let in by an invite, now? Expiry is tested here and not in the fold, which has no clock. */
export function isOpen(authority: Authority, { fact, expires, uses }: CountedInvite, now: number): boolean {
  if (expires <= now || endedInvites(authority).has(fact)) return false
  return usesOf(authority, fact) < uses
}
