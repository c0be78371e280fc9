import type { Authority } from '../authority.ts'
import type { VerifiedFact } from '../chains.ts'
import type { FactId } from '../cid.ts'
import type { Principal } from '../did.ts'
import type { Grant } from '../payload-authority.ts'
import { useAt } from '../payload-invite.ts'
import { positionOf } from '../redemptions.ts'

/** A place of an invite that several keys claim: whoever has the token takes one over with a lower id. */
export interface RivalClaim {
  /** Who has it now; null when nobody has. */
  readonly holder: Principal | null
  /** All who were named there, the holder too, in ascending order. */
  readonly keys: readonly Principal[]
}

/** Places that several keys claim. Who was decided against by a resolution claims nothing any more. */
export function rivalClaimsOf(
  authority: Authority,
  facts: readonly VerifiedFact[],
  invite: FactId
): readonly RivalClaim[] {
  const at = authority.invites.find(({ fact }) => fact === invite)
  if (at === undefined) return []
  const counted = new Set(authority.redemptions.map(({ fact }) => fact))
  const claims = facts.flatMap(({ id, body, payload }) => {
    if (payload.type !== 'redeem' || payload.value.invite !== invite || body.author !== at.key) return []
    if (useAt(at, body) === undefined || authority.away.has(id)) return []
    return [{ place: positionOf(body), key: payload.value.key, isCounted: counted.has(id) }]
  })
  return [...Map.groupBy(claims, ({ place }) => place).values()]
    .map(at => ({
      holder: at.find(({ isCounted }) => isCounted)?.key ?? null,
      keys: [...new Set(at.map(({ key }) => key))].toSorted()
    }))
    .filter(({ keys }) => keys.length > 1)
}

/**
 * What owners grant by name, so that whoever redeemed an invite no longer depends on it. Attack: whoever ever had the token,
 * a member that was put out above all, uses a place once more with a lower id and takes it over; revoking the key of the
 * invite does not help while that place is recognised. So: these grants, then a revocation of the key that recognises
 * nothing (docs/spec/membership.md section 3).
 *
 * They stand beside the invite, not below it: what the members have signed since they came counts as before. Attack: a place
 * that was taken over makes its thief a member for good; so where it matters `keys` are not all that hold a place.
 */
export function pinsOf(
  authority: Authority,
  invite: FactId,
  keys: readonly Principal[] = holdersOf(authority, invite)
): readonly Grant[] {
  const at = authority.invites.find(({ fact }) => fact === invite)
  if (at === undefined) return []
  const { authPrev, role, scope } = at
  const has = new Set(
    authority.grants
      .filter(
        grant => grant.authPrev === authPrev && grant.role === role && grant.scope === scope && grant.expires === null
      )
      .map(({ key }) => key)
  )
  const missing = [...new Set(keys)].filter(key => !has.has(key))
  return missing.map(key => ({ authPrev, head: null, key, role, scope, expires: null, threshold: null }))
}

/** Who holds a place of an invite, in order, as often as it holds one. */
export function holdersOf({ redemptions }: Pick<Authority, 'redemptions'>, invite: FactId): readonly Principal[] {
  return redemptions.filter(redemption => redemption.invite === invite).map(({ key }) => key)
}
