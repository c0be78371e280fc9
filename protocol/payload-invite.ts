import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes, toHex, utf8 } from './bytes.ts'
import { factIdFromLink, toLink } from './cid.ts'
import type { FactId } from './cid.ts'
import { parsePrincipal, publicKeyOf } from './did.ts'
import type { Principal } from './did.ts'
import { recordOf } from './fact.ts'
import { LIMITS } from './limits.ts'
import { malformed, parseCount, text } from './payload-shape.ts'
import { parseScope } from './role.ts'
import type { Role, Scope } from './role.ts'

/** Roles that an invite may give: never one that decides about others. */
export const INVITED_ROLES = ['maintainer', 'publisher', 'curator', 'auditor', 'mirror', 'member'] as const
export type InvitedRole = (typeof INVITED_ROLES)[number] & Role

/**
 * A change of the registry's authority like a grant, docs/spec/membership.md section 2: whoever holds the secret half of
 * `key` may give `role` to so many keys of his choice.
 */
export interface Invite {
  /** The head of the registry's authority that it changes. */
  readonly authPrev: FactId
  /** Always null, as in every change about the registry itself. */
  readonly head: null
  /** Made for this invite alone. It holds no role and its secret half is in the token. */
  readonly key: Principal
  readonly role: InvitedRole
  readonly scope: Scope
  /** Milliseconds since 1970. Tested where somebody is let in on the strength of a redemption alone, never in the fold. */
  readonly expires: number
  /** 1 to `LIMITS.membership.inviteUses`. */
  readonly uses: number
}

/** The invite's own key says who it is used by. Its place in the chains of that key is the use: a position is used once. */
export interface Redeem {
  readonly invite: FactId
  readonly key: Principal
}

export type InvitePayload =
  { readonly type: 'invite'; readonly value: Invite } | { readonly type: 'redeem'; readonly value: Redeem }

export function invitePayloadRecord({ type, value }: InvitePayload): unknown {
  return type === 'invite'
    ? { ...value, authPrev: toLink(value.authPrev) }
    : { invite: toLink(value.invite), key: value.key }
}

/** @throws RegistryError MALFORMED */
export function parseInvitePayload(type: InvitePayload['type'], raw: unknown, author: Principal): InvitePayload {
  if (type === 'redeem') {
    const record = recordOf(raw, ['invite', 'key'])
    const key = parsePrincipal(text(record.key))
    // Attack: everybody who was ever shown the token has this key. It must never be a member's.
    if (key === author) throw malformed('key: not that of the invite')
    return { type, value: { invite: factIdFromLink(record.invite), key } }
  }
  const record = recordOf(raw, ['authPrev', 'head', 'key', 'role', 'scope', 'expires', 'uses'])
  const role = INVITED_ROLES.find(known => known === record.role)
  if (record.head !== null) throw malformed('head: an invite is about the registry')
  if (role === undefined) throw malformed('role: one that an invite may give')
  return {
    type,
    value: {
      authPrev: factIdFromLink(record.authPrev),
      head: null,
      key: parsePrincipal(text(record.key)),
      role,
      scope: parseScope(text(record.scope)),
      expires: parseCount(record.expires, 0, Number.MAX_SAFE_INTEGER),
      uses: parseCount(record.uses, 1, LIMITS.membership.inviteUses)
    }
  }
}

/** One use of an invite: the position `seq` of chain number `lane`. */
export interface UsePosition {
  /** 32 hex characters. */
  readonly chain: string
  readonly seq: number
}

/**
 * Uses are spread over at most 16 chains, so that two people who redeem one invite at the same time, apart from each
 * other, seldom take the same position:
 *
 *   use n = position n div lanes of chain n mod lanes,   lanes = min(uses, 16)
 *   chain of a lane = first 16 bytes of sha2-256("ggen invite" || public key of the invite || lane as one byte)
 */
export function usePosition({ key, uses }: Pick<Invite, 'key' | 'uses'>, use: number): UsePosition {
  const lanes = lanesOf(uses)
  return { chain: laneChain(key, use % lanes), seq: Math.floor(use / lanes) }
}

/** Which use a position is; undefined for a position that is none. */
export function useAt(invite: Pick<Invite, 'key' | 'uses'>, { chain, seq }: UsePosition): number | undefined {
  const lanes = lanesOf(invite.uses)
  for (let lane = 0; lane < lanes; lane++) {
    if (laneChain(invite.key, lane) !== chain) continue
    const use = seq * lanes + lane
    return use < invite.uses ? use : undefined
  }
  return undefined
}

function lanesOf(uses: number): number {
  return Math.min(uses, LIMITS.fact.chainsPerAuthorAndSubject)
}

const laneChains = new Map<Principal, string[]>()

function laneChain(key: Principal, lane: number): string {
  const known = laneChains.get(key) ?? []
  const chain = known[lane]
  if (chain !== undefined) return chain
  // Invites are few; a node that has seen more starts over.
  if (known.length === 0 && laneChains.size >= LIMITS.membership.inviteUses) laneChains.clear()
  laneChains.set(key, known)
  const digest = sha256(concatBytes([utf8('ggen invite'), publicKeyOf(key), Uint8Array.of(lane)]))
  const made = toHex(digest.slice(0, 16))
  known[lane] = made
  return made
}
