import { parseSecret, principalOf } from '../../../attestation/keys.ts'
import { signFact } from '../../../attestation/sign-fact.ts'
import { signBinding } from '../../../attestation/sign-membership.ts'
import type { Admission } from '../../../protocol/admission.ts'
import type { Authority } from '../../../protocol/authority.ts'
import { factIdOf } from '../../../protocol/cid.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import { encodeBody } from '../../../protocol/fact.ts'
import type { FactBody } from '../../../protocol/fact.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { freeUse } from '../../../protocol/membership/invites.ts'
import { rolesOfMember, standingOf } from '../../../protocol/membership/members.ts'
import type { InviteToken } from '../../../protocol/membership/token.ts'
import { encodePayload } from '../../../protocol/payload.ts'
import type { Payload } from '../../../protocol/payload.ts'
import { endedInvites } from '../../../protocol/redemptions.ts'
import type { Role } from '../../../protocol/role.ts'
import type { CountedInvite } from '../../../protocol/roles.ts'
import type { Source } from '../admit.ts'
import type { AuthoredFact } from '../author.ts'
import { placeOf, withFact } from '../authority/place.ts'
import type { Place, PlaceGate } from '../authority/place.ts'
import { standingOf as howItStands } from '../authority/powers.ts'
import type { HostSigner } from './signer.ts'

export interface RedeemComponents {
  readonly gate: PlaceGate & { admit(bytes: Uint8Array, source: Source): Promise<Admission> }
  /** Tells the network, after everything is durable. */
  readonly announce: (registry: RegistryId, fact: AuthoredFact) => void
  /** A whole number from 0 to below `n`. */
  readonly pick: (n: number) => number
  readonly now: () => number
}

/** How somebody came to be a member. */
export interface Redeemed {
  readonly role: Role
  /** Null for who was a member before, and used nothing up. */
  readonly fact: FactId | null
}

/** With the secret of an invite a host is let in, to see which use of it is free. */
export function guestOf({ key }: Pick<InviteToken, 'key'>): HostSigner {
  const secret = parseSecret(key)
  return { principal: principalOf(secret), signBinding: body => signBinding(body, secret) }
}

/**
 * Makes a key a member with the secret of an invite. Call it when the registry's facts are here, and again after they were
 * compared with others: who took the same use elsewhere at the same moment is heard of then.
 *
 * Invariant: nothing is signed that would not count. The use, the invite and the key are tried in the fold before.
 *
 * @throws RegistryError NOT_AUTHORIZED when the invite lets nobody in, or not this key | PENDING without the genesis
 */
export async function redeemInvite(
  components: RedeemComponents,
  token: Pick<InviteToken, 'registry' | 'invite' | 'key'>,
  member: Principal
): Promise<Redeemed> {
  const { gate, now } = components
  for (let tries = 0; tries <= LIMITS.membership.joinTries; tries++) {
    const place = await placeOf(gate, token.registry, 'registry')
    const { authority } = place
    if (standingOf(authority, member, now()) === 'member') {
      const mine = authority.redemptions.find(({ invite, key }) => invite === token.invite && key === member)
      const role = rolesOfMember(authority, member, now())[0] ?? 'member'
      return { role, fact: mine?.fact ?? null }
    }
    const invite = inviteIn(place, token, now())
    const body = bodyOf(components, place, { invite, member })
    assertLetsIn(withFact(place, trialOf(body, { invite, member })).authority, { member, now: now() })
    await write(components, token, body)
  }
  throw new RegistryError('NOT_AUTHORIZED', 'each use of the invite that was tried was taken at the same moment', {
    next: 'join again, or ask for a new invite'
  })
}

/** @throws RegistryError NOT_AUTHORIZED */
function inviteIn(place: Place, token: Pick<InviteToken, 'invite' | 'key'>, now: number): CountedInvite {
  const { authority } = place
  const invite = authority.invites.find(({ fact }) => fact === token.invite)
  if (invite === undefined) throw notCounted(place, token.invite)
  if (principalOf(parseSecret(token.key)) !== invite.key) throw refused('the token does not belong to its invite')
  if (endedInvites(authority).has(invite.fact)) throw refused('the invite was taken back')
  if (invite.expires <= now) throw refused(`the invite was good until ${new Date(invite.expires).toISOString()}`)
  return invite
}

function notCounted(place: Place, id: FactId): RegistryError {
  const fact = place.facts.find(known => known.id === id)
  if (fact === undefined) return refused('the invite is not among the facts that others have shown')
  const { missing } = howItStands(place, fact)
  return missing > 0
    ? refused(`the invite waits for the signatures of ${missing} more of the owners`)
    : refused('the invite was taken back')
}

interface Use {
  readonly invite: CountedInvite
  readonly member: Principal
}

function bodyOf({ pick, now }: RedeemComponents, place: Place, { invite, member }: Use): FactBody {
  const { authority, facts, registry } = place
  const use = freeUse(authority, facts, invite.fact, pick)
  if (use === undefined) throw usedUp(authority, invite)
  return {
    v: 1,
    type: 'redeem',
    registry,
    subject: 'registry',
    author: invite.key,
    ...use,
    time: now(),
    payload: encodePayload(payloadOf({ invite, member }))
  }
}

function payloadOf({ invite, member }: Use): Payload {
  return { type: 'redeem', value: { invite: invite.fact, key: member } }
}

function trialOf(body: FactBody, use: Use): Place['facts'][number] {
  return { id: factIdOf(encodeBody(body)), body, payload: payloadOf(use) }
}

/** A key that was expelled after the invite was made is not let in by it. @throws RegistryError NOT_AUTHORIZED */
function assertLetsIn(
  authority: Authority,
  { member, now }: { readonly member: Principal; readonly now: number }
): void {
  if (standingOf(authority, member, now) === 'member') return
  throw refused(`${member} was expelled, and the invite was made before that`)
}

async function write(
  { gate, announce }: RedeemComponents,
  { registry, key }: Pick<InviteToken, 'registry' | 'key'>,
  body: FactBody
): Promise<void> {
  const bytes = signFact(body, parseSecret(key))
  const admission = await gate.admit(bytes, { peer: 'self' })
  if (admission.verdict === 'accept') return announce(registry, { id: admission.id, bytes })
  // Somebody was quicker, or the invite was ended meanwhile: the next look at the facts says which.
  if (admission.verdict !== 'ignore') {
    throw new RegistryError('INTERNAL', `our own redemption was refused: ${admission.reason}`)
  }
}

function usedUp({ redemptions }: Authority, { fact }: CountedInvite): RegistryError {
  const by = redemptions.filter(({ invite }) => invite === fact).map(({ key }) => key)
  const [first, ...others] = by
  if (first === undefined) return refused('this invite was used already')
  return refused(`this invite was used already, by ${first}${others.length > 0 ? ` and ${others.length} more` : ''}`)
}

function refused(message: string): RegistryError {
  return new RegistryError('NOT_AUTHORIZED', message, { next: 'ask an owner of the registry for a new invite' })
}
