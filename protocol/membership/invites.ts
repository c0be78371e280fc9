import type { Authority } from '../authority.ts'
import type { VerifiedFact } from '../chains.ts'
import type { FactId } from '../cid.ts'
import type { Principal } from '../did.ts'
import { useAt, usePosition } from '../payload-invite.ts'
import type { UsePosition } from '../payload-invite.ts'
import { endedInvites, usesEnded } from '../redemptions.ts'
import type { CountedInvite, Roles } from '../roles.ts'

/** How an invite stands. */
export interface InviteState extends Pick<
  CountedInvite,
  'fact' | 'by' | 'key' | 'role' | 'scope' | 'expires' | 'uses'
> {
  /** Uses of it that count. */
  readonly used: number
  /** `ended`: its key was revoked. */
  readonly state: 'open' | 'used-up' | 'expired' | 'ended'
  /** Positions that were given to several keys. */
  readonly doubled: number
}

/** How often an invite was used, as far as it counts. What else its key said at its places uses nothing up. */
export function usesOf({ redemptions }: Pick<Roles, 'redemptions'>, invite: FactId): number {
  const known = counts.get(redemptions) ?? new Map<FactId, number>()
  if (known.size === 0) for (const { invite: of } of redemptions) known.set(of, (known.get(of) ?? 0) + 1)
  counts.set(redemptions, known)
  return known.get(invite) ?? 0
}

/** Each introduction of a guest asks, and a list of members once for each invite. */
const counts = new WeakMap<Roles['redemptions'], Map<FactId, number>>()

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
      if (use !== undefined && payload.type === 'redeem') redeemed.set(use, (redeemed.get(use) ?? 0) + 1)
    }
    const used = usesOf(authority, fact)
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
 * A position of an invite at which no use counts yet, and at which one would; undefined when there is none. Attack: whoever
 * has the token says something else at each place, so that it seems used, and redeems later; a use beside that counts. `pick` answers with a whole number from 0 to below `n`: chance spreads those who redeem apart from each
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
  const said = saidAt(facts, invite.key, counted)
  const isEnded = usesEnded(authority)
  const free: FreeUse[] = []
  const lanes = new Set<string>()
  for (let use = 0; use < invite.uses; use++) {
    const position = usePosition(invite, use)
    if (lanes.has(position.chain) || counted.has(said.get(placeOf(position)) ?? NOTHING)) continue
    lanes.add(position.chain)
    const { chain, seq } = position
    const prev = said.get(placeOf({ chain, seq: seq - 1 })) ?? null
    // The first place of a lane that is free stands behind one that is used, whose use it follows.
    if ((seq === 0) === (prev === null) && !isEnded(invite, position)) free.push({ ...position, prev })
  }
  return free.length === 0 ? undefined : free[pick(free.length)]
}

const NOTHING = '' as FactId

function placeOf({ chain, seq }: UsePosition): string {
  return `${chain} ${seq}`
}

/** What a key said at each of its positions: the use that counts, else the lowest id. */
function saidAt(
  facts: readonly VerifiedFact[],
  key: Principal,
  counted: ReadonlySet<FactId>
): ReadonlyMap<string, FactId> {
  const said = new Map<string, FactId>()
  for (const { id, body } of facts) {
    if (body.author !== key || body.subject !== 'registry' || body.registry === null) continue
    const place = placeOf(body)
    const other = said.get(place)
    const isRather = other === undefined || (!counted.has(other) && (counted.has(id) || id < other))
    if (isRather) said.set(place, id)
  }
  return said
}
