import type { Authority } from '../../../protocol/authority.ts'
import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { Principal } from '../../../protocol/did.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { Certificate } from '../../../protocol/membership/certificate.ts'
import { invitesOf } from '../../../protocol/membership/invites.ts'
import { mayCertify, mayCertifyByName, membersOf, standingOf } from '../../../protocol/membership/members.ts'
import type { SignedRecord } from '../../../protocol/membership/signed-record.ts'
import type { MembersOfSwarm } from './members.ts'
import type { ShownCertificate, ShownInvite, ShownMember } from './methods.ts'
import { invitedUntil } from './standings.ts'

/** What is looked at to say who is in a swarm and how our own host stands. */
export interface SwarmInSight {
  readonly authority: Authority
  readonly members: Pick<MembersOfSwarm, 'hosts' | 'credentials'>
  readonly self: Principal
  readonly now: number
}

/** Who is in, and who could still come in. */
export function listMembers(
  { authority, members, self, now }: SwarmInSight,
  { facts, connected }: { readonly facts: readonly VerifiedFact[]; readonly connected: ReadonlySet<string> }
): { readonly members: readonly ShownMember[]; readonly invites: readonly ShownInvite[] } {
  const hosts = Map.groupBy(members.hosts.all(), ({ member }) => member)
  return {
    members: membersOf(authority, now).map(({ key, roles, state, invite }) => ({
      key,
      roles,
      state,
      invite,
      isSelf: key === self,
      hosts: (hosts.get(key) ?? []).map(({ peer, lastSeen, certificate }) => ({
        peer,
        connected: connected.has(peer),
        lastSeen,
        certificate: showCertificate(certificate)
      }))
    })),
    invites: invitesOf(authority, facts, now).map(({ fact, by, role, expires, uses, used, state, doubled }) => ({
      fact,
      by,
      role,
      expires,
      uses,
      used,
      state,
      doubled
    }))
  }
}

export function showCertificate(certificate: SignedRecord<Certificate> | null): ShownCertificate | null {
  if (certificate === null) return null
  const { peer, issuer, issued, expires } = certificate.body
  return { peer, issuer, issued, expires }
}

/** What a person should know of our own place in a swarm, in words. */
export function warningsOf({ authority, members, self, now }: SwarmInSight): readonly string[] {
  const standing = standingOf(authority, self, now)
  if (standing === 'ended') return ['this key was expelled: nobody lets this node in any more']
  if (standing === 'expired') return ['every role of this key has run out: ask an owner to grant one again']
  if (standing === 'unknown') return ['this key is no member: join with an invite']
  // Owners and curators by name certify themselves.
  if (mayCertifyByName(authority, self, now)) return []
  const { certificate } = members.credentials
  const left = (certificate?.body.expires ?? now) - now
  const isDue = certificate === null || left * 3 <= certificate.body.expires - certificate.body.issued
  if (!isDue) return []
  const until = Math.max(certificate?.body.expires ?? 0, invitedUntil(authority, self) ?? 0)
  const runsOut =
    until <= now
      ? 'nothing lets this node in any more: ask an owner for a new invite'
      : `what lets this node in runs out on ${new Date(until).toISOString()}, and no owner or curator has renewed it yet`
  return [runsOut, ...unseen({ authority, members, self, now })]
}

/** Whoever could renew our certificate and was not met for as long as one lives. */
function unseen({ authority, members, now }: SwarmInSight): readonly string[] {
  const seen = [...members.hosts.all()].some(
    ({ member, lastSeen }) =>
      lastSeen !== null && now - lastSeen < LIMITS.membership.certificateMs && mayCertify(authority, member, now)
  )
  return seen ? [] : ['no owner or curator was seen by this node for 30 days: one of them must be online to renew it']
}
