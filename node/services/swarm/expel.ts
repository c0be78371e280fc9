import type { Authority } from '../../../protocol/authority.ts'
import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { isRegistryError, RegistryError } from '../../../protocol/errors.ts'
import { invitesOf } from '../../../protocol/membership/invites.ts'
import type { InviteState } from '../../../protocol/membership/invites.ts'
import { rolesOfMember, standingOf } from '../../../protocol/membership/members.ts'
import { holdersOf, pinsOf, rivalClaimsOf } from '../../../protocol/membership/pin.ts'
import type { RivalClaim } from '../../../protocol/membership/pin.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { Grant } from '../../../protocol/payload-authority.ts'
import { covers } from '../../../protocol/role.ts'
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
  /** Keys at places of the ended invites that several claim: they came by it rightly, and are kept. */
  readonly keep: readonly string[]
}

export interface Expelled {
  /** The invite's key, when an invite was taken back. */
  readonly member: Principal
  readonly written: readonly Written[]
  /** Invites that were ended too: the member holds their secret, or made them. */
  readonly invites: readonly FactId[]
  /** Who came by an ended invite and is a member by name from now on. */
  readonly kept: readonly Principal[]
  /** Places of the ended invites that several claimed: whoever is named there and in nothing else is no member any more. */
  readonly doubtful: readonly DoubtfulPlace[]
  /** Owners that still have to sign before it is in force; 0 when it is. */
  readonly missing: number
  /** Hosts of the member that were connected here and are let go. */
  readonly cut: readonly string[]
}

export interface DoubtfulPlace {
  readonly invite: FactId
  /** Of those that claim the place, who is not kept; no more than `LIMITS.membership.rivalsShown` of all places. */
  readonly keys: readonly Principal[]
}

/**
 * Takes everything from a member, and ends every invite whose secret it holds. What it has, it keeps.
 * What was interrupted is gone on with when it is asked for again.
 *
 * @throws RegistryError NOT_AUTHORIZED | USAGE | LIMIT_EXCEEDED
 */
export async function expel(
  components: ExpelComponents,
  about: { readonly registry: RegistryId; readonly key: string | undefined },
  { member: named, reason, isCompromised, keep }: ExpelAsked
): Promise<Expelled> {
  const { gate, now, members } = components
  const order: Order = { about: { ...about, subject: 'registry' }, reason, keep: keep.map(keyFrom) }
  const { authority, facts } = await placeOf(gate, about.registry, 'registry')
  const invite = invitesOf(authority, facts, now()).find(({ fact }) => fact === named)
  if (order.keep.length > 0 && !claimantsInclude(authority, facts, order.keep))
    throw new RegistryError('USAGE', 'a key that is to stay claims no place that others claim too', {
      next: 'leave --keep out: whoever came by an invite and shares no place stays anyway'
    })
  if (invite !== undefined) return takeBack(components, order, invite)
  const member = memberFrom(components, named)
  const isOut = assertIn(authority, member, standingOf(authority, member, now()))
  // Left over by an expulsion that was interrupted: with the invites the member would be back under another key.
  if (isOut && (await invitesFor(components, about.registry, member)).length === 0)
    throw notIn(member, 'holds nothing any more')
  const before = [...components.connected()].filter(peer => members.hosts.get(peer)?.member === member)
  const revoke = { ...ROUTINE, key: member, reason, isCompromised }
  const revoked = isOut ? [] : await revokeRole(components, order.about, revoke)
  // Looked for only now: a compromised member's own invites are cut with all that it said.
  const ended: Ended[] = []
  for (const each of await invitesFor(components, about.registry, member))
    ended.push(await endInvite(components, { ...order, except: member }, each))
  await members.recheck()
  const result = expelledBy(member, revoked, ended)
  if (result.missing === 0) await assertOut(components, about.registry, member)
  return { ...result, cut: before.filter(peer => members.isBarred(peer)) }
}

function expelledBy(member: Principal, revoked: readonly Written[], ended: readonly Ended[]): Omit<Expelled, 'cut'> {
  const written = [...revoked, ...ended.flatMap(each => each.written)]
  let room = LIMITS.membership.rivalsShown
  const doubtful = ended.flatMap(({ invite, doubtful: places }) =>
    places.map(all => {
      const keys = all.slice(0, room)
      room -= keys.length
      return { invite, keys }
    })
  )
  return {
    member,
    written,
    invites: ended.map(({ invite }) => invite),
    kept: [...new Set(ended.flatMap(({ kept }) => kept))],
    doubtful: doubtful.filter(({ keys }) => keys.length > 0),
    missing: Math.max(0, ...written.map(({ missing }) => missing))
  }
}

/** Whether each of the keys shares a place of some invite with others. */
function claimantsInclude(authority: Authority, facts: readonly VerifiedFact[], keys: readonly Principal[]): boolean {
  const claims = authority.invites.flatMap(({ fact }) => rivalClaimsOf(authority, facts, fact))
  const sharing = new Set(claims.flatMap(claim => claim.keys))
  return keys.every(key => sharing.has(key))
}

interface Order {
  readonly about: About
  readonly reason: string
  readonly keep: readonly Principal[]
  /** Who is not to keep what it came by. */
  readonly except?: Principal
}

async function takeBack(components: ExpelComponents, order: Order, invite: InviteState): Promise<Expelled> {
  if (invite.state === 'ended')
    throw new RegistryError('USAGE', 'the invite was ended before', {
      next: 'ggen-node members shows which invites are open'
    })
  const ended = await endInvite(components, order, invite)
  await components.members.recheck()
  return { ...expelledBy(invite.key, [], [ended]), cut: [] }
}

/** What became of an invite, and of those who came by it. */
interface Ended extends Pick<Expelled, 'written' | 'kept'> {
  readonly invite: FactId
  /** Keys that claim one place and are not kept, for each such place. */
  readonly doubtful: readonly (readonly Principal[])[]
}

/**
 * Ends an invite for good. Attack: whoever ever had its secret uses a place once more and takes it over from the member who
 * has it, or comes back by its own place under another key. So whoever else came by it is granted by name what it has, and
 * then no place is recognised any more (docs/spec/membership.md section 3).
 *
 * Attack: he took places over before he was put out, for keys of his own: to be granted by name would make them members for
 * good. So at a place that several claim nobody is kept whom the owner does not name.
 */
async function endInvite(
  components: ExpelComponents,
  { about, reason, keep, except }: Order,
  { fact, key }: InviteState
): Promise<Ended> {
  const { gate, now } = components
  const { authority, facts } = await placeOf(gate, about.registry, 'registry')
  const mayStay = (member: Principal): boolean => member !== except && standingOf(authority, member, now()) !== 'ended'
  const claims = rivalClaimsOf(authority, facts, fact)
  const kept = keptOf(holdersOf(authority, fact), claims, keep).filter(mayStay)
  const written: Written[] = []
  for (const pin of pinsOf(authority, fact, kept)) written.push(await writePin(components, about, pin))
  const revoked = await revokeRole(components, about, { ...ROUTINE, key, reason, isCompromised: true })
  const doubtful = claims.map(({ keys }) => keys.filter(member => mayStay(member) && !kept.includes(member)))
  return { invite: fact, kept, doubtful, written: [...written, ...revoked] }
}

/** Whoever holds a place that nobody else claims, and those that the owner names of the others. */
function keptOf(
  holders: readonly Principal[],
  claims: readonly RivalClaim[],
  keep: readonly Principal[]
): readonly Principal[] {
  const sure = [...holders]
  for (const { holder } of claims) {
    const at = holder === null ? -1 : sure.indexOf(holder)
    if (at !== -1) sure.splice(at, 1)
  }
  const named = claims.flatMap(({ keys }) => keys).filter(key => keep.includes(key))
  return [...new Set([...sure, ...named])]
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

/** Whether the member is out already. @throws RegistryError USAGE when it never was in */
function assertIn(authority: Authority, member: Principal, standing: ReturnType<typeof standingOf>): boolean {
  if (standing === 'unknown') throw notIn(member, 'was never let in')
  // By its last role alone, or by some of the parts of a revocation, it is not out of the set.
  const isRevoked = authority.revokes.some(
    ({ key, role, scope }) => key === member && role === null && covers(scope, 'registry')
  )
  return standing === 'ended' && isRevoked
}

function notIn(member: Principal, why: string): RegistryError {
  return new RegistryError('USAGE', `${member} ${why}`, { next: 'ggen-node members shows who is in' })
}

/** Who was granted a role at the same moment is in, whatever was just written. @throws RegistryError INTERNAL */
async function assertOut({ gate, now }: ExpelComponents, registry: RegistryId, member: Principal): Promise<void> {
  const { authority } = await placeOf(gate, registry, 'registry')
  const standing = standingOf(authority, member, now())
  if (standing === 'ended') return
  const roles = rolesOfMember(authority, member, now()).join(', ')
  throw new RegistryError(
    'INTERNAL',
    `${member} was revoked and still holds ${roles === '' ? 'an expired role' : roles}`,
    {
      next: 'somebody may have granted it a role meanwhile: ggen-node role list, then expel it again, or with --compromised'
    }
  )
}
