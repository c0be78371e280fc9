import type { Authority } from '../authority.ts'
import type { VerifiedFact } from '../chains.ts'
import type { FactId } from '../cid.ts'
import type { Principal } from '../did.ts'
import { useAt, usePosition } from '../payload-invite.ts'
import type { UsePosition } from '../payload-invite.ts'
import { endedInvites, usesEnded } from '../redemptions.ts'
import type { CountedInvite } from '../roles.ts'

/** How an invite stands. */
export interface InviteState extends Pick<
  CountedInvite,
  'fact' | 'by' | 'key' | 'role' | 'scope' | 'expires' | 'uses'
> {
  /** Positions at which its key has said anything. */
  readonly used: number
  /** `ended`: its key was revoked. */
  readonly state: 'open' | 'used-up' | 'expired' | 'ended'
  /** Positions that were given to several keys. */
  readonly doubled: number
}

/** All invites that count, in their order. `facts` are those about the registry. */
export function invitesOf(authority: Authority, facts: readonly VerifiedFact[], now: number): readonly InviteState[] {
  const keys = new Set(authority.invites.map(({ key }) => key))
  const said = Map.groupBy(
    facts.filter(({ body }) => keys.has(body.author)),
    ({ body }) => body.author
  )
  const ended = endedInvites(authority)
  return authority.invites.map(({ fact, by, key, role, scope, expires, uses }) => {
    const redeemed = new Map<number, number>()
    for (const { body, payload } of said.get(key) ?? []) {
      const use = useAt({ key, uses }, body)
      if (use !== undefined) redeemed.set(use, (redeemed.get(use) ?? 0) + (payload.type === 'redeem' ? 1 : 0))
    }
    const used = redeemed.size
    const isOver = ended.has(fact) ? 'ended' : used >= uses ? 'used-up' : expires <= now ? 'expired' : undefined
    const doubled = [...redeemed.values()].filter(count => count > 1).length
    return { fact, by, key, role, scope, expires, uses, used, state: isOver ?? 'open', doubled }
  })
}

/** A position, and the fact that stands before it in its chain. */
export interface FreeUse extends UsePosition {
  readonly prev: FactId | null
}

/**
 * A position of an invite at which nobody has said anything yet, and at which a redemption would count; undefined when
 * there is none. `pick` answers with a whole number from 0 to below `n`: chance spreads those who redeem apart from each
 * other over the chains.
 */
export function freeUse(
  authority: Authority,
  facts: readonly VerifiedFact[],
  id: FactId,
  pick: (n: number) => number
): FreeUse | undefined {
  const invite = authority.invites.find(({ fact }) => fact === id)
  if (invite === undefined) return undefined
  const counted = new Set(authority.redemptions.map(({ fact }) => fact))
  const lastOf = lastOfChains(facts, invite.key, counted)
  const isEnded = usesEnded(authority)
  const free: FreeUse[] = []
  const lanes = new Set<string>()
  for (let use = 0; use < invite.uses; use++) {
    const { chain } = usePosition(invite, use)
    if (lanes.has(chain)) break
    lanes.add(chain)
    const last = lastOf.get(chain)
    const position = { chain, seq: (last?.body.seq ?? -1) + 1 }
    if (useAt(invite, position) !== undefined && !isEnded(invite, position))
      free.push({ ...position, prev: last?.id ?? null })
  }
  return free.length === 0 ? undefined : free[pick(free.length)]
}

/** What the next fact of each chain of a key follows: at the last position what counts, else the lowest id. */
function lastOfChains(
  facts: readonly VerifiedFact[],
  key: Principal,
  counted: ReadonlySet<FactId>
): ReadonlyMap<string, VerifiedFact> {
  const last = new Map<string, VerifiedFact>()
  for (const fact of facts) {
    if (fact.body.author !== key || fact.body.registry === null) continue
    const other = last.get(fact.body.chain)
    const isAfter = other === undefined || other.body.seq < fact.body.seq
    const isRather =
      other?.body.seq === fact.body.seq && !counted.has(other.id) && (counted.has(fact.id) || fact.id < other.id)
    if (isAfter || isRather) last.set(fact.body.chain, fact)
  }
  return last
}
