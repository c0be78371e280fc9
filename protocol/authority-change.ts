import type { VerifiedFact } from './chains.ts'
import type { Principal } from './did.ts'
import { covers, WHOLE } from './role.ts'

/** Those that take away or settle, and those that ask for more signers. */
export function isPriority({ payload }: VerifiedFact): boolean {
  if (payload.type === 'grant') return payload.value.threshold !== null || payload.value.role === 'recovery'
  return payload.type === 'revoke' || payload.type === 'resolve'
}

export function isOwnerGrant({ payload, body }: VerifiedFact): boolean {
  if (payload.type !== 'grant' || payload.value.role !== 'owner') return false
  return body.subject !== 'registry' || payload.value.scope === WHOLE
}

export function isRecoveryGrant({ payload }: VerifiedFact): boolean {
  return payload.type === 'grant' && payload.value.role === 'recovery'
}

/** Lets another key decide. */
export function isCourtGrant(fact: VerifiedFact): boolean {
  return isOwnerGrant(fact) || isRecoveryGrant(fact)
}

export function grantedKey({ payload, body }: VerifiedFact): Principal {
  return payload.type === 'grant' ? payload.value.key : body.author
}

export function endsOwnership({ payload, body }: VerifiedFact): boolean {
  if (payload.type !== 'revoke' || (payload.value.role !== null && payload.value.role !== 'owner')) return false
  return body.subject !== 'registry' || covers(payload.value.scope, 'registry')
}

export function thresholdOf({ payload }: VerifiedFact): number | undefined {
  return payload.type === 'grant' || payload.type === 'revoke' ? (payload.value.threshold ?? undefined) : undefined
}
