import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { isRegistryError, RegistryError } from '../../../protocol/errors.ts'
import { invitesOf } from '../../../protocol/membership/invites.ts'
import type { InviteState } from '../../../protocol/membership/invites.ts'
import { standingOf } from '../../../protocol/membership/members.ts'
import { pinsOf } from '../../../protocol/membership/pin.ts'
import type { Grant } from '../../../protocol/payload-authority.ts'
import { changeHere, placeOf } from '../authority/place.ts'
import type { Place } from '../authority/place.ts'
import { keyFrom, revokeRole, ROUTINE } from '../authority/roles.ts'
import type { About, RoleComponents } from '../authority/roles.ts'
import { writeOrder } from '../authority/writer.ts'
import type { Written } from '../authority/writer.ts'
import type { MembersOfSwarm } from './members.ts'

export interface ExpelComponents extends RoleComponents {
  readonly members: Pick<MembersOfSwarm, 'hosts' | 'recheck' | 'isBarred'>
  readonly connected: () => Iterable<string>
}

export interface ExpelAsked {
  /** A key, the peer id of one of its hosts, or the fact of an invite that nobody shall use any more. */
  readonly member: string
  readonly reason: string
  readonly isCompromised: boolean
}

export interface Expelled {
  /** The invite's key, when an invite was taken back. */
  readonly member: Principal
  readonly written: readonly Written[]
  /** Invites that were ended too: the member holds their secret, or made them. */
  readonly invites: readonly FactId[]
  /** Owners that still have to sign before it is in force; 0 when it is. */
  readonly missing: number
  /** Hosts of the member that were connected here and are let go. */
  readonly cut: readonly string[]
}

/**
 * Takes everything from a member, and ends every invite whose secret it holds. What it has, it keeps.
 * @throws RegistryError NOT_AUTHORIZED | USAGE
 */
export async function expel(
  components: ExpelComponents,
  about: { readonly registry: RegistryId; readonly key: string | undefined },
  { member: named, reason, isCompromised }: ExpelAsked
): Promise<Expelled> {
  const { gate, now, members } = components
  const order: Order = { about: { ...about, subject: 'registry' }, reason }
  const { authority, facts } = await placeOf(gate, about.registry, 'registry')
  const invite = invitesOf(authority, facts, now()).find(({ fact }) => fact === named)
  if (invite !== undefined) return takeBack(components, order, invite)
  const member = memberFrom(components, named)
  assertIn(member, standingOf(authority, member, now()))
  const before = [...components.connected()].filter(peer => members.hosts.get(peer)?.member === member)
  const revoked = await revokeRole(components, order.about, { ...ROUTINE, key: member, reason, isCompromised })
  const written: Written[] = [...revoked]
  // Looked for only now: a compromised member's own invites are cut with all that it said.
  const invites = await invitesFor(components, about.registry, member)
  for (const each of invites) written.push(...(await endInvite(components, { ...order, except: member }, each)))
  await members.recheck()
  return {
    member,
    written,
    invites: invites.map(({ fact }) => fact),
    missing: missingOf(written),
    cut: before.filter(peer => members.isBarred(peer))
  }
}

interface Order {
  readonly about: About
  readonly reason: string
  /** Who is not to keep what it came by. */
  readonly except?: Principal
}

async function takeBack(components: ExpelComponents, order: Order, invite: InviteState): Promise<Expelled> {
  if (invite.state === 'ended')
    throw new RegistryError('USAGE', 'the invite was ended before', {
      next: 'ggen-node members shows which invites are open'
    })
  const written = await endInvite(components, order, invite)
  await components.members.recheck()
  return { member: invite.key, written, invites: [invite.fact], missing: missingOf(written), cut: [] }
}

function missingOf(written: readonly Written[]): number {
  return Math.max(0, ...written.map(({ missing }) => missing))
}

/**
 * Ends an invite for good. Attack: whoever ever had its secret uses a place once more and takes it over from the member who
 * has it, or comes back by its own place under another key. So whoever else came by it is granted by name what it has, and
 * then no place is recognised any more (docs/spec/membership.md section 3).
 */
async function endInvite(
  components: ExpelComponents,
  { about, reason, except }: Order,
  { fact, key }: InviteState
): Promise<readonly Written[]> {
  const { gate, now } = components
  const { authority } = await placeOf(gate, about.registry, 'registry')
  const pins = pinsOf(authority, fact).filter(
    pin => pin.key !== except && standingOf(authority, pin.key, now()) !== 'ended'
  )
  const written: Written[] = []
  for (const pin of pins) written.push(await writePin(components, about, pin))
  const revoked = await revokeRole(components, about, { ...ROUTINE, key, reason, isCompromised: true })
  return [...written, ...revoked]
}

async function writePin(components: ExpelComponents, about: About, pin: Grant): Promise<Written> {
  const order = { ...about, signer: await components.signer(about.key) }
  const write = (changeOf: (place: Place) => Pick<Grant, 'authPrev'>) =>
    writeOrder(components, {
      ...order,
      payload: place => ({ type: 'grant', value: { ...pin, ...changeOf(place) } })
    })
  try {
    return await write(() => ({ authPrev: pin.authPrev }))
  } catch (error) {
    if (!isRegistryError(error) || error.code !== 'NOT_AUTHORIZED') throw error
    // An owner who became one after the invite was made can't stand beside it: the member holds its role from now on.
    return write(changeHere)
  }
}

/** Invites whose secret the member holds, and by which somebody could still come in: it came by them, or made them. */
async function invitesFor(
  { gate, now }: ExpelComponents,
  registry: RegistryId,
  member: Principal
): Promise<readonly InviteState[]> {
  const { authority, facts } = await placeOf(gate, registry, 'registry')
  const cameBy = invitesUsedBy(facts, member)
  const redeemed = new Set(authority.redemptions.map(({ invite }) => invite))
  return invitesOf(authority, facts, now()).filter(({ fact, by, state, expires }) => {
    const isLive = state === 'open' || redeemed.has(fact)
    return isLive && (cameBy.has(fact) || (by === member && expires > now()))
  })
}

/** By all that is known, also by uses that do not count: whoever signed one for this key had the secret. */
function invitesUsedBy(facts: readonly VerifiedFact[], member: Principal): ReadonlySet<FactId> {
  const uses = facts.flatMap(({ payload }) => (payload.type === 'redeem' ? [payload.value] : []))
  return new Set(uses.filter(({ key }) => key === member).map(({ invite }) => invite))
}

function memberFrom({ members }: ExpelComponents, text: string): Principal {
  if (!text.startsWith('12D3KooW')) return keyFrom(text)
  const host = members.hosts.get(text)
  // Attack: an issuer says that its host is that of an honest member, does harm, and has that member expelled for it.
  if (host !== undefined && host.lastSeen !== null) return host.member
  throw new RegistryError('USAGE', `no member was seen on a host ${JSON.stringify(text.slice(0, 80))}`, {
    next: 'ggen-node members shows the keys of all members and the hosts they were seen on'
  })
}

function assertIn(member: Principal, standing: ReturnType<typeof standingOf>): void {
  if (standing === 'member' || standing === 'expired') return
  const why = standing === 'ended' ? 'holds nothing any more' : 'was never let in'
  throw new RegistryError('USAGE', `${member} ${why}`, { next: 'ggen-node members shows who is in' })
}
