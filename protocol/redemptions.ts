import type { Counted, FoldResult } from './authority-fold.ts'
import { isBelow } from './authority-tree.ts'
import { compareText } from './bytes.ts'
import type { VerifiedFact } from './chains.ts'
import type { FactId } from './cid.ts'
import type { Principal } from './did.ts'
import { isWithin } from './heads.ts'
import type { Revoke } from './payload-authority.ts'
import { useAt } from './payload-invite.ts'
import type { Invite, InvitedRole, Redeem } from './payload-invite.ts'
import { covers } from './role.ts'
import type { Scope } from './role.ts'

export interface CountedInvite extends Invite {
  readonly fact: FactId
  readonly by: Principal
}

/** A use of an invite that counts: its key holds the role as if a grant stood where the invite stands. */
export interface Redemption {
  readonly fact: FactId
  readonly invite: FactId
  readonly key: Principal
  readonly role: InvitedRole
  readonly scope: Scope
  /** Who made the invite. */
  readonly by: Principal
  /** When it was redeemed, as the invite's key says. */
  readonly time: number
}

/** Why a use of an invite does not count, docs/spec/membership.md section 3. The first that fits. */
export type RedeemFault = 'unknown-authority' | 'invite-used-up' | 'resolved' | 'revoked' | 'invite-used-twice'

export interface Redeemed {
  readonly invites: readonly CountedInvite[]
  readonly redemptions: readonly Redemption[]
  readonly setAside: readonly { readonly fact: FactId; readonly reason: RedeemFault }[]
}

/**
 * Which uses of invites count, after the changes were decided. Pure, the same whatever the order of arrival, and linear in
 * the facts.
 *
 * Invariants:
 * 1. Whether a use may count at all depends on the use and on changes that count, and on no other use. Of those that may at
 *    one position the lowest id does: so what is kept outside the set, or does not count, leaves no trace.
 * 2. A use that may count is one that no revocation cuts (`authority-cuts.ts` must say the same), so that what a node knows
 *    besides the set never takes the place of what is in it.
 */
export function countRedemptions(
  result: Pick<FoldResult, 'counted' | 'away'>,
  facts: readonly VerifiedFact[]
): Redeemed {
  const inOrder = [...result.counted.values()].toSorted(byPlace)
  const places = new Map(inOrder.map(({ node }, index) => [node.fact.id, index]))
  const judge = new Judge(result, inOrder)
  const setAside: { readonly fact: FactId; readonly reason: RedeemFault }[] = []
  const firsts = new Map<string, Use>()
  for (const fact of facts) {
    if (fact.payload.type !== 'redeem') continue
    const verdict = judge.look(fact, fact.payload.value)
    if (typeof verdict === 'string') {
      setAside.push({ fact: fact.id, reason: verdict })
      continue
    }
    const { author, chain, seq } = fact.body
    const position = `${author} ${chain} ${seq}`
    const other = firsts.get(position)
    const [first, second] = other !== undefined && other.fact.id < fact.id ? [other, verdict] : [verdict, other]
    firsts.set(position, first)
    if (second !== undefined) setAside.push({ fact: second.fact.id, reason: 'invite-used-twice' })
  }
  const uses = [...firsts.values()].toSorted(
    (a, b) => (places.get(a.invite.fact) ?? 0) - (places.get(b.invite.fact) ?? 0) || compareText(a.fact.id, b.fact.id)
  )
  return { invites: judge.invites, redemptions: uses.map(redemptionOf), setAside }
}

/** A use that may count. */
interface Use {
  readonly fact: VerifiedFact
  readonly key: Principal
  readonly invite: CountedInvite
}

class Judge {
  readonly #counted: ReadonlyMap<FactId, Counted>
  readonly #away: ReadonlySet<FactId>
  readonly #invites: ReadonlyMap<FactId, CountedInvite>
  /** What ends the uses of a key. */
  readonly #revokes = new Map<Principal, { readonly revoke: Revoke; readonly counted: Counted }[]>()

  constructor({ counted, away }: Pick<FoldResult, 'counted' | 'away'>, inOrder: readonly Counted[]) {
    this.#counted = counted
    this.#away = away
    this.#invites = new Map(inOrder.flatMap(invitesIn))
    const keys = new Set([...this.#invites.values()].map(({ key }) => key))
    for (const one of inOrder) {
      const { payload } = one.node.fact
      if (payload.type !== 'revoke' || !keys.has(payload.value.key) || !endsUses(payload.value)) continue
      const known = this.#revokes.get(payload.value.key)
      if (known === undefined) this.#revokes.set(payload.value.key, [{ revoke: payload.value, counted: one }])
      else known.push({ revoke: payload.value, counted: one })
    }
  }

  get invites(): readonly CountedInvite[] {
    return [...this.#invites.values()]
  }

  look(fact: VerifiedFact, { invite: id, key }: Redeem): Use | RedeemFault {
    const invite = this.#invites.get(id)
    // Attack: an invite that others hold is used with a key of one's own.
    if (invite === undefined || invite.key !== fact.body.author) return 'unknown-authority'
    if (useAt(invite, fact.body) === undefined) return 'invite-used-up'
    if (this.#away.has(fact.id)) return 'resolved'
    if (this.#isEnded(invite, fact)) return 'revoked'
    return { fact, key, invite }
  }

  /** Uses that a revocation does not recognise are over, unless the invite was made in its knowledge. */
  #isEnded(invite: CountedInvite, { body }: VerifiedFact): boolean {
    const at = this.#counted.get(invite.fact)?.node
    return (this.#revokes.get(invite.key) ?? []).some(
      ({ revoke, counted }) => !isWithin(revoke.heads, body) && (at === undefined || !isBelow(at, counted.node))
    )
  }
}

/** A key of an invite holds no role, so only what takes every role of it everywhere ends what it says. */
export function endsUses({ role, scope }: Pick<Revoke, 'role' | 'scope'>): boolean {
  return role === null && covers(scope, 'registry')
}

function invitesIn({ node: { fact } }: Counted): readonly (readonly [FactId, CountedInvite])[] {
  if (fact.payload.type !== 'invite') return []
  return [[fact.id, { ...fact.payload.value, fact: fact.id, by: fact.body.author }]]
}

function redemptionOf({ fact, key, invite }: Use): Redemption {
  const { role, scope, by } = invite
  return { fact: fact.id, invite: invite.fact, key, role, scope, by, time: fact.body.time }
}

function byPlace(a: Counted, b: Counted): number {
  return a.node.depth - b.node.depth || compareText(a.node.fact.id, b.node.fact.id)
}
