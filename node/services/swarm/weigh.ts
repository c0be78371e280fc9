import type { Authority } from '../../../protocol/authority.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { HelloRefusal } from '../../../protocol/hello.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { Certificate } from '../../../protocol/membership/certificate.ts'
import { mayCertify, mayCertifyMember, rolesOfMember, standingOf } from '../../../protocol/membership/members.ts'
import type { SignedRecord } from '../../../protocol/membership/signed-record.ts'
import type { Role } from '../../../protocol/role.ts'
import { bindingHolds, certificateHolds } from './showing.ts'
import type { Showing } from './showing.ts'
import { couldCertify, holdsExpiringGrant, invitedUntil, invitesBy, isOpen } from './standings.ts'

/** `KnownMember` of `node/p2p/membership.ts`. */
export interface Accepted {
  readonly key: Principal
  readonly role: Role
  readonly until: number
}

export type Refusal = Extract<HelloRefusal, 'expired' | 'invite-over' | 'not-a-member' | 'unknown-issuer'>

export type Verdict =
  { readonly accepted: true; readonly member: Accepted } | { readonly accepted: false; readonly reason: Refusal }

export interface Scales {
  /** Undefined while the genesis has not arrived. */
  readonly authority: Authority | undefined
  readonly now: number
  /** In the token that let us in. */
  readonly isVouched: boolean
  /** Our own key may certify. */
  readonly isIssuer: boolean
  /** Of a key that no fact here names: has it had all the time that facts take? */
  readonly isOverdue: (key: Principal) => boolean
}

type Known = Scales & { readonly authority: Authority }

/**
 * May a host be in the swarm by what it has shown? Docs/spec/membership.md section 4. Says the same for as long as
 * authority and time are the same, and is asked again when they are not.
 */
export function weigh(showing: Showing, scales: Scales): Verdict {
  const { authority, now } = scales
  const { member, certificate } = showing
  // Attack: whoever may certify gives a host of its own to an honest member, in whose name it is then expelled.
  if (!bindingHolds(showing)) return refuse('not-a-member')
  // Nothing can be judged yet. Whoever made the token has said whom to learn it from.
  if (authority === undefined) {
    if (!scales.isVouched) return refuse('unknown-issuer')
    const until = certificate?.body.expires ?? now + LIMITS.membership.ownCertificateMs
    return accept(showing, certificate?.body.role ?? 'member', until)
  }
  const known: Known = { ...scales, authority }
  const standing = standingOf(authority, member, now)
  if (standing !== 'member') {
    const guest = weighGuest(showing, known)
    if (guest !== undefined) return guest
  }
  // Attack: an expelled member shows a certificate that has weeks to run.
  if (standing === 'ended') return refuse('not-a-member')
  if (standing === 'expired') return refuse('expired')
  return certificate === null || isOwnWord(certificate.body, known)
    ? weighBinding(showing, known, standing)
    : weighCertificate({ ...showing, certificate }, known, standing)
}

/**
 * Attack: a curator's invite is used after it was over, and its holder certifies itself for as long as it likes. What
 * somebody says of itself who is an issuer by an invite alone is no more than its binding.
 */
function isOwnWord(certificate: Certificate, { authority, now }: Known): boolean {
  const { issuer, member } = certificate
  return issuer === member && mayCertify(authority, member, now) && !mayIssue(authority, certificate, now)
}

/** Whoever holds an invite that is open could be a member at once, and must see which use of it is free. */
function weighGuest(showing: Showing, { authority, now }: Known): Verdict | undefined {
  const invites = invitesBy(authority, showing.member)
  if (showing.certificate !== null || invites.length === 0) return undefined
  const open = invites.find(invite => isOpen(authority, invite, now))
  // Attack: a token found after it was used. Its holder gets nothing, not even who used it.
  if (open === undefined) return refuse('invite-over')
  return accept(showing, 'member', open.expires)
}

type Certified = Showing & { readonly certificate: SignedRecord<Certificate> }

function weighCertificate(showing: Certified, known: Known, standing: 'member' | 'unknown'): Verdict {
  const { authority, now, isOverdue } = known
  const { member, certificate } = showing
  const { issued, expires, role } = certificate.body
  if (expires <= now) return refuse('expired')
  // Attack: dated ahead, a certificate would hold for longer than any may.
  if (issued > now + LIMITS.membership.clockSkewMs) return refuse('expired')
  if (!isIssuedWell(showing, known, standing)) return refuse('unknown-issuer')
  if (!certificateHolds(certificate)) return refuse('not-a-member')
  // Attack: a curator certifies keys that nobody has let in. They are let go when facts have had their time to come.
  if (standing === 'unknown' && isOverdue(member)) return refuse('not-a-member')
  return accept(showing, rolesOfMember(authority, member, now)[0] ?? role, expires)
}

function isIssuedWell(showing: Certified, { authority, now }: Known, standing: 'member' | 'unknown'): boolean {
  const { member, certificate } = showing
  if (mayIssue(authority, certificate.body, now)) return true
  // Beside the member's own word, which is not the issuer's to give, the certificate says that the member was seen in time.
  const { issuer } = certificate.body
  return issuer !== member && standing === 'member' && couldCertify(authority, issuer)
}

/** May the issuer of a certificate say so today? */
export function mayIssue(authority: Authority, { issuer, member, issued, expires }: Certificate, now: number): boolean {
  if (mayCertifyMember(authority, { issuer, member }, now)) return true
  // Attack: a member renews itself for ever. Only who was let in for a time does, and for a day.
  const isShort = expires - issued <= LIMITS.membership.ownCertificateMs
  return issuer === member && isShort && holdsExpiringGrant(authority, member, now)
}

/** Attack: an invite is redeemed with the key of an owner, for a host of whoever holds the invite. The owner never said so. */
function weighBinding(showing: Showing, { authority, now, isIssuer }: Known, standing: 'member' | 'unknown'): Verdict {
  const { member } = showing
  if (standing === 'unknown') return refuse('not-a-member')
  const role = rolesOfMember(authority, member, now)[0] ?? 'member'
  const until = invitedUntil(authority, member)
  // Somebody must let in whom an owner has named, to certify it: whoever may goes by the facts alone.
  if (until === undefined && isIssuer) return accept(showing, role, now + LIMITS.membership.ownCertificateMs)
  if (until === undefined) return refuse('unknown-issuer')
  return until <= now ? refuse('invite-over') : accept(showing, role, until)
}

function accept({ member }: Showing, role: Role, until: number): Verdict {
  return { accepted: true, member: { key: member, role, until } }
}

export function refuse(reason: Refusal): Verdict {
  return { accepted: false, reason }
}
