import { decodeCbor, encodeCbor } from '../cbor.ts'
import { compareText } from '../bytes.ts'
import { RegistryError } from '../errors.ts'
import { recordOf } from '../fact.ts'
import { MEMBERSHIP_LIMITS } from './limits.ts'

/** What members of a private swarm ask each other, any number of requests on a stream, docs/spec/membership.md section 5. */
export const MEMBER_PROTOCOL = '/ggen/member/1'

/** `certify` asks for a certificate of whoever asks, `roster` for those of others, `swarm-key` for the newest secret. */
export type MemberRequest =
  | { readonly type: 'certify' }
  | { readonly type: 'roster'; readonly after: string | null }
  | { readonly type: 'swarm-key' }

export const MEMBER_REFUSALS = ['busy', 'not-an-issuer'] as const
export type MemberRefusal = (typeof MEMBER_REFUSALS)[number]

/** A roster page that is not full is the last one. */
export type MemberResponse =
  | { readonly type: 'certificate'; readonly certificate: Uint8Array }
  | { readonly type: 'roster'; readonly certificates: readonly Uint8Array[] }
  | { readonly type: 'swarm-key'; readonly record: Uint8Array | null }
  | { readonly type: 'refused'; readonly reason: MemberRefusal }

/** A map of two keys, a list in it, and the certificates in that. */
const ITEMS = MEMBERSHIP_LIMITS.rosterPage + 8

export function encodeMemberRequest(request: MemberRequest): Uint8Array {
  return encodeCbor(request)
}

/** @throws RegistryError MALFORMED */
export function decodeMemberRequest(bytes: Uint8Array): MemberRequest {
  const value = decodeCbor(bytes, 1, ITEMS)
  if (typeOf(value) === 'roster') return { type: 'roster', after: parseAfter(recordOf(value, ['type', 'after']).after) }
  const { type } = recordOf(value, ['type'])
  if (type !== 'certify' && type !== 'swarm-key') throw malformed()
  return { type }
}

export function encodeMemberResponse(response: MemberResponse): Uint8Array {
  return encodeCbor(response)
}

/** @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
export function decodeMemberResponse(bytes: Uint8Array): MemberResponse {
  const value = decodeCbor(bytes, 2, ITEMS)
  switch (typeOf(value)) {
    case 'certificate': {
      const { certificate } = recordOf(value, ['type', 'certificate'])
      return { type: 'certificate', certificate: bytesOf(certificate, MEMBERSHIP_LIMITS.certificateBytes) }
    }
    case 'roster':
      return { type: 'roster', certificates: parsePage(recordOf(value, ['type', 'certificates']).certificates) }
    case 'swarm-key': {
      const { record } = recordOf(value, ['type', 'record'])
      return { type: 'swarm-key', record: record === null ? null : bytesOf(record, MEMBERSHIP_LIMITS.swarmKeyBytes) }
    }
    case 'refused': {
      const { reason } = recordOf(value, ['type', 'reason'])
      const known = MEMBER_REFUSALS.find(refusal => refusal === reason)
      if (known !== undefined) return { type: 'refused', reason: known }
    }
  }
  throw malformed()
}

/**
 * The hosts that a page of a roster is about, in its order. Nothing else of the certificates is looked at: a page costs a
 * tenth of what it costs to read them.
 * @throws RegistryError MALFORMED unless they ascend from the one that it was to come after
 */
export function hostsOfPage(certificates: readonly Uint8Array[], after: string | null): readonly string[] {
  const hosts = certificates.map(hostOf)
  let last = after
  for (const host of hosts) {
    // Attack: a walk that does not end, because each page starts again.
    if (last !== null && compareText(last, host) >= 0) throw malformed()
    last = host
  }
  return hosts
}

function hostOf(certificate: Uint8Array): string {
  const signed = decodeCbor(certificate, 1, ITEMS)
  const body = typeof signed === 'object' && signed !== null && 'body' in signed ? signed.body : undefined
  const value = body instanceof Uint8Array ? decodeCbor(body, 2, ITEMS) : undefined
  const peer = typeof value === 'object' && value !== null && 'peer' in value ? value.peer : undefined
  if (typeof peer !== 'string') throw malformed()
  return peer
}

function parsePage(value: unknown): readonly Uint8Array[] {
  if (!Array.isArray(value) || value.length > MEMBERSHIP_LIMITS.rosterPage) throw malformed()
  return value.map(each => bytesOf(each, MEMBERSHIP_LIMITS.certificateBytes))
}

/** The reader compares it, and nothing else: it need not be the id of anybody. */
function parseAfter(value: unknown): string | null {
  if (value === null) return null
  if (typeof value !== 'string' || !/^[1-9A-HJ-NP-Za-km-z]{1,64}$/.test(value)) throw malformed()
  return value
}

function bytesOf(value: unknown, maxBytes: number): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length > maxBytes) throw malformed()
  return value
}

function typeOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'a message between members does not have its shape')
}
