import { RegistryError } from '../../../protocol/errors.ts'
import { MEMBERSHIP_LIMITS } from '../../../protocol/membership/limits.ts'
import { INVITED_ROLES } from '../../../protocol/payload-invite.ts'
import type { InvitedRole } from '../../../protocol/payload-invite.ts'
import { parseExpiry } from '../authority/expiry.ts'

const DAY = 24 * 3_600_000

/** What an invite may give. @throws RegistryError USAGE */
export function parseInvitedRole(text: string): InvitedRole {
  const role = INVITED_ROLES.find(known => known === text)
  if (role !== undefined) return role
  const decides = text === 'owner' || text === 'recovery'
  throw new RegistryError(
    'USAGE',
    decides
      ? `an invite makes nobody ${text}: a token can be copied`
      : `${JSON.stringify(text.slice(0, 40))} is no role that an invite gives`,
    {
      next: decides
        ? `let the person join, then ggen-node role grant DID ${text}`
        : `choose one of ${INVITED_ROLES.join(', ')}`
    }
  )
}

/** How many may use an invite. @throws RegistryError USAGE */
export function checkUses(uses: number): number {
  const most = MEMBERSHIP_LIMITS.inviteUses
  if (Number.isSafeInteger(uses) && uses >= 1 && uses <= most) return uses
  throw new RegistryError('USAGE', `an invite has 1 to ${most} uses`)
}

/** When an invite is over; `text` as in `role grant`. @throws RegistryError USAGE */
export function parseInviteExpiry(text: string | undefined, now: number): number {
  return within(text, now, { fallback: MEMBERSHIP_LIMITS.inviteDefaultMs, what: 'an invite' })
}

/** When the grant of a member without a person is over. @throws RegistryError USAGE */
export function parseCiExpiry(text: string | undefined, now: number): number {
  return within(text, now, { fallback: MEMBERSHIP_LIMITS.ciGrantDefaultMs, what: 'the token of a CI member' })
}

function within(
  text: string | undefined,
  now: number,
  { fallback, what }: { readonly fallback: number; readonly what: string }
): number {
  const at = text === undefined ? now + fallback : parseExpiry(text, now)
  const most = MEMBERSHIP_LIMITS.inviteMaxMs
  if (at - now <= most) return at
  throw new RegistryError('USAGE', `${what} is good for at most ${most / DAY} days`)
}

/**
 * Until when the secret before a rotation is good too: `0` for not at all, else as in `role grant`.
 *
 * @throws RegistryError USAGE
 */
export function parseOverlap(text: string | undefined, now: number): number {
  if (text === '0') return now
  const at = text === undefined ? now + MEMBERSHIP_LIMITS.overlapDefaultMs : parseExpiry(text, now)
  const most = MEMBERSHIP_LIMITS.overlapMaxMs
  if (at - now <= most) return at
  throw new RegistryError('USAGE', `two secrets are good at once for at most ${most / DAY} days`)
}
