import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import { invitesOf } from '../../../protocol/membership/invites.ts'
import type { InviteState } from '../../../protocol/membership/invites.ts'
import { standingOf } from '../../../protocol/membership/members.ts'
import { placeOf } from '../authority/place.ts'
import { keyFrom, revokeRole, ROUTINE } from '../authority/roles.ts'
import type { RoleComponents } from '../authority/roles.ts'
import type { Written } from '../authority/writer.ts'
import type { MembersOfSwarm } from './members.ts'

export interface ExpelComponents extends RoleComponents {
  readonly members: Pick<MembersOfSwarm, 'hosts' | 'recheck' | 'isBarred'>
  readonly connected: () => Iterable<string>
}

export interface ExpelAsked {
  /** A key, or the peer id of one of its hosts. */
  readonly member: string
  readonly reason: string
  readonly isCompromised: boolean
}

export interface Expelled {
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
 * Takes everything from a member, and ends what would let it in again. What it has, it keeps.
 * @throws RegistryError NOT_AUTHORIZED | USAGE
 */
export async function expel(
  components: ExpelComponents,
  about: { readonly registry: RegistryId; readonly key: string | undefined },
  { member: named, reason, isCompromised }: ExpelAsked
): Promise<Expelled> {
  const member = memberFrom(components, named)
  const { gate, now, members } = components
  const { authority } = await placeOf(gate, about.registry, 'registry')
  assertIn(member, standingOf(authority, member, now()))
  const order = { ...about, subject: 'registry' as const }
  const before = [...components.connected()].filter(peer => members.hosts.get(peer)?.member === member)
  const written = [...(await revokeRole(components, order, { ...ROUTINE, key: member, reason, isCompromised }))]
  // Looked for only now: a compromised member's own invites are cut with all that it said.
  const invites = await invitesFor(components, about.registry, member)
  for (const { key } of invites) written.push(...(await revokeRole(components, order, { ...ROUTINE, key, reason })))
  await members.recheck()
  return {
    member,
    written,
    invites: invites.map(({ fact }) => fact),
    missing: Math.max(0, ...written.map(({ missing }) => missing)),
    cut: before.filter(peer => members.isBarred(peer))
  }
}

/** Invites that are open and whose secret the member holds: it came by them, or made them. */
async function invitesFor(
  { gate, now }: ExpelComponents,
  registry: RegistryId,
  member: Principal
): Promise<readonly InviteState[]> {
  const { authority, facts } = await placeOf(gate, registry, 'registry')
  const cameBy = invitesUsedBy(facts, member)
  return invitesOf(authority, facts, now()).filter(
    ({ fact, by, state }) => state === 'open' && (by === member || cameBy.has(fact))
  )
}

/** By all that is known, also by uses that do not count: whoever signed one for this key had the secret. */
function invitesUsedBy(facts: readonly VerifiedFact[], member: Principal): ReadonlySet<FactId> {
  const uses = facts.flatMap(({ payload }) => (payload.type === 'redeem' ? [payload.value] : []))
  return new Set(uses.filter(({ key }) => key === member).map(({ invite }) => invite))
}

function memberFrom({ members }: ExpelComponents, text: string): Principal {
  if (!text.startsWith('12D3KooW')) return keyFrom(text)
  const host = members.hosts.get(text)
  if (host !== undefined) return host.member
  throw new RegistryError('USAGE', `no member was seen on a host ${JSON.stringify(text.slice(0, 80))}`, {
    next: 'ggen-node members shows the keys of all members and the hosts they were seen on'
  })
}

function assertIn(member: Principal, standing: ReturnType<typeof standingOf>): void {
  if (standing === 'member' || standing === 'expired') return
  const why = standing === 'ended' ? 'holds nothing any more' : 'was never let in'
  throw new RegistryError('USAGE', `${member} ${why}`, { next: 'ggen-node members shows who is in' })
}
