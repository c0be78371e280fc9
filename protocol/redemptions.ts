import { isBelow } from './authority-tree.ts'
import { compareText } from './bytes.ts'
import type { VerifiedFact } from './chains.ts'
import type { FactId } from './cid.ts'
import type { FactBody } from './fact.ts'
import { isWithin } from './heads.ts'
import { useAt } from './payload-invite.ts'
import type { Redeem } from './payload-invite.ts'
import { covers } from './role.ts'
import { nodeOf } from './roles.ts'
import type { CountedInvite, CountedRevoke, Redemption, Roles } from './roles.ts'

/** Why a use of an invite does not count, docs/spec/membership.md section 3. The first that fits. */
export type RedeemFault = 'unknown-authority' | 'invite-used-up' | 'resolved' | 'revoked' | 'invite-used-twice'

export interface Redeemed {
  readonly redemptions: readonly Redemption[]
  readonly setAside: readonly { readonly fact: FactId; readonly reason: RedeemFault }[]
}

/** A use that may count. */
interface Use {
  readonly fact: VerifiedFact
  readonly redeem: Redeem
  readonly invite: CountedInvite
}

/**
 * Which uses of invites count, after the changes were decided. Pure, the same whatever the order of arrival, and linear in
 * the facts.
 *
 * Invariants:
 * 1. Whether a use may count depends on the use and on changes that count, and on no other use. Of those that may at one
 *    position the lowest id does: so what is kept outside the set, or does not count, leaves no trace.
 * 2. What a revocation cuts (`authority-cuts.ts`) may not count, so that what a node knows besides the set never takes the
 *    place of what is in it.
 */
export function countRedemptions(roles: Roles, facts: readonly VerifiedFact[]): Redeemed {
  const invites = new Map(roles.invites.map(invite => [invite.fact, invite]))
  const isEnded = usesEnded(roles)
  const firsts = new Map<string, Use>()
  const setAside: { readonly fact: FactId; readonly reason: RedeemFault }[] = []
  for (const fact of facts) {
    if (fact.payload.type !== 'redeem') continue
    const redeem = fact.payload.value
    const invite = invites.get(redeem.invite)
    const fault = faultOf(invite, fact) ?? (roles.away.has(fact.id) ? 'resolved' : undefined)
    if (invite === undefined || fault !== undefined || isEnded(invite, fact.body)) {
      setAside.push({ fact: fact.id, reason: fault ?? 'revoked' })
      continue
    }
    const use = { fact, redeem, invite }
    const position = positionOf(fact.body)
    const other = firsts.get(position)
    const isFirst = other === undefined || fact.id < other.fact.id
    if (isFirst) firsts.set(position, use)
    const second = isFirst ? other : use
    if (second !== undefined) setAside.push({ fact: second.fact.id, reason: 'invite-used-twice' })
  }
  const placeOf = ({ invite }: Use): number => roles.order.get(invite.fact) ?? 0
  const uses = [...firsts.values()].toSorted((a, b) => placeOf(a) - placeOf(b) || compareText(a.fact.id, b.fact.id))
  return { redemptions: uses.map(redemptionOf), setAside }
}

function faultOf(invite: CountedInvite | undefined, { body }: VerifiedFact): RedeemFault | undefined {
  // Attack: an invite that others hold is used under a key of one's own.
  if (invite === undefined || invite.key !== body.author) return 'unknown-authority'
  return useAt(invite, body) === undefined ? 'invite-used-up' : undefined
}

type Position = Pick<FactBody, 'chain' | 'seq'>

/**
 * Whether a revocation of an invite's key ends what is done at a position: it does not recognise that, and the invite was
 * not made in its knowledge.
 */
export function usesEnded(roles: Roles): (invite: CountedInvite, position: Position) => boolean {
  const byKey = Map.groupBy(roles.revokes.filter(endsUses), ({ key }) => key)
  return (invite, { chain, seq }) =>
    (byKey.get(invite.key) ?? []).some(
      revoke => !isWithin(revoke.heads, { chain, subject: 'registry', seq }) && isAgainst(roles, invite, revoke)
    )
}

/** Invites that are over for whoever has not used them yet. */
export function endedInvites(roles: Roles): ReadonlySet<FactId> {
  const byKey = Map.groupBy(roles.revokes.filter(endsUses), ({ key }) => key)
  const ended = roles.invites.filter(invite =>
    (byKey.get(invite.key) ?? []).some(revoke => isAgainst(roles, invite, revoke))
  )
  return new Set(ended.map(({ fact }) => fact))
}

/** A key of an invite holds no role, so only what takes every role of it everywhere ends what it says. */
function endsUses({ role, scope }: CountedRevoke): boolean {
  return role === null && covers(scope, 'registry')
}

function isAgainst(roles: Roles, invite: CountedInvite, revoke: CountedRevoke): boolean {
  const [at, ends] = [nodeOf(roles, invite.fact), nodeOf(roles, revoke.fact)]
  return at === undefined || ends === undefined || !isBelow(at, ends)
}

export function positionOf({ author, chain, seq }: Pick<FactBody, 'author' | 'chain' | 'seq'>): string {
  return `${author} ${chain} ${seq}`
}

function redemptionOf({ fact, redeem, invite }: Use): Redemption {
  const { role, scope, by } = invite
  return { fact: fact.id, invite: invite.fact, key: redeem.key, role, scope, by, time: fact.body.time }
}
