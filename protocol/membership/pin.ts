import type { Authority } from '../authority.ts'
import type { FactId } from '../cid.ts'
import type { Grant } from '../payload-authority.ts'

/**
 * What owners grant by name, so that whoever redeemed an invite no longer depends on it. Attack: whoever ever had the token,
 * a member that was put out above all, uses a place once more with a lower id and takes it over; revoking the key of the
 * invite does not help while that place is recognised. So: these grants, then a revocation of the key that recognises
 * nothing (docs/spec/membership.md section 3).
 *
 * They stand beside the invite, not below it: what the members have signed since they came counts as before.
 */
export function pinsOf(authority: Authority, invite: FactId): readonly Grant[] {
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
  const keys = authority.redemptions.filter(redemption => redemption.invite === invite).map(({ key }) => key)
  const missing = [...new Set(keys)].filter(key => !has.has(key))
  return missing.map(key => ({ authPrev, head: null, key, role, scope, expires: null, threshold: null }))
}
