import { decodeCbor, encodeCbor } from '../cbor.ts'
import { digestOf, factIdFromLink, factIdOfDigest, toLink } from '../cid.ts'
import type { FactId, RegistryId } from '../cid.ts'
import { RegistryError } from '../errors.ts'
import { recordOf } from '../fact.ts'
import { LIMITS } from '../limits.ts'

/** Set reconciliation: the side that opens the stream asks, the other one answers, in order. docs/spec/sync.md */
export const SYNC_PROTOCOL = '/ggen/sync/1'

/** What the side that opened the stream sends. `session` is its own number for one registry's comparison. */
export type SyncRequest =
  | { readonly type: 'open'; readonly session: number; readonly registry: RegistryId; readonly ranges: Uint8Array }
  | { readonly type: 'compare'; readonly session: number; readonly ranges: Uint8Array }
  | { readonly type: 'want'; readonly session: number; readonly ids: readonly FactId[] }
  | { readonly type: 'push'; readonly session: number; readonly facts: readonly Uint8Array[] }
  | { readonly type: 'done'; readonly session: number; readonly end: SyncEnd }

/**
 * How a session ended: both directions were dealt with; or all but that the other side lacks more than is pushed, and
 * had better ask for it; or before its end.
 */
export const SYNC_ENDS = ['complete', 'behind', 'early'] as const
export type SyncEnd = (typeof SYNC_ENDS)[number]

export const SYNC_REFUSALS = ['busy', 'unknown-registry', 'unknown-session'] as const
export type SyncRefusal = (typeof SYNC_REFUSALS)[number]

/** What the other side answers: one message for each request but `done`. */
export type SyncReply =
  | { readonly type: 'ranges'; readonly session: number; readonly ranges: Uint8Array }
  | { readonly type: 'facts'; readonly session: number; readonly facts: readonly Uint8Array[] }
  | { readonly type: 'taken'; readonly session: number; readonly more: boolean }
  | { readonly type: 'refused'; readonly session: number; readonly reason: SyncRefusal }

export type SyncMessage = SyncRequest | SyncReply

/** A map of up to five entries, its keys and values, and a list of facts or ids. */
const MESSAGE_ITEMS = 16 + LIMITS.sync.pageFacts
const MESSAGE_DEPTH = 2
const DIGEST_BYTES = 32

/** The longest message that is read. */
export const SYNC_MESSAGE_BYTES = LIMITS.sync.pageBytes

export function isSyncRequest(message: SyncMessage): message is SyncRequest {
  switch (message.type) {
    case 'open':
    case 'compare':
    case 'want':
    case 'push':
    case 'done':
      return true
    case 'ranges':
    case 'facts':
    case 'taken':
    case 'refused':
      return false
  }
}

export function encodeSyncMessage(message: SyncMessage): Uint8Array {
  switch (message.type) {
    case 'open':
      return encodeCbor({ ...message, registry: toLink(message.registry) })
    case 'want':
      return encodeCbor({ ...message, ids: message.ids.map(digestOf) })
    case 'compare':
    case 'push':
    case 'done':
    case 'ranges':
    case 'facts':
    case 'taken':
    case 'refused':
      return encodeCbor(message)
  }
}

/** @throws RegistryError MALFORMED */
export function decodeSyncRequest(bytes: Uint8Array): SyncRequest {
  const message = decode(bytes)
  if (!isSyncRequest(message)) throw malformed()
  return message
}

/** @throws RegistryError MALFORMED */
export function decodeSyncReply(bytes: Uint8Array): SyncReply {
  const message = decode(bytes)
  if (isSyncRequest(message)) throw malformed()
  return message
}

function decode(bytes: Uint8Array): SyncMessage {
  const value = decodeCbor(bytes, MESSAGE_DEPTH, MESSAGE_ITEMS)
  const type = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined
  switch (type) {
    case 'open': {
      const { session, registry, ranges } = recordOf(value, ['type', 'session', 'registry', 'ranges'])
      const id = factIdFromLink(registry) as string as RegistryId
      return { type, session: parseSession(session), registry: id, ranges: parseRanges(ranges) }
    }
    case 'compare':
    case 'ranges': {
      const { session, ranges } = recordOf(value, ['type', 'session', 'ranges'])
      return { type, session: parseSession(session), ranges: parseRanges(ranges) }
    }
    case 'want': {
      const { session, ids } = recordOf(value, ['type', 'session', 'ids'])
      return { type, session: parseSession(session), ids: parseDigests(ids) }
    }
    case 'push':
    case 'facts': {
      const { session, facts } = recordOf(value, ['type', 'session', 'facts'])
      return { type, session: parseSession(session), facts: parseList(facts) }
    }
    case 'done': {
      const { session, end } = recordOf(value, ['type', 'session', 'end'])
      const known = SYNC_ENDS.find(each => each === end)
      if (known === undefined) throw malformed()
      return { type, session: parseSession(session), end: known }
    }
    case 'taken': {
      const { session, more } = recordOf(value, ['type', 'session', 'more'])
      return { type, session: parseSession(session), more: parseFlag(more) }
    }
    case 'refused': {
      const { session, reason } = recordOf(value, ['type', 'session', 'reason'])
      const known = SYNC_REFUSALS.find(each => each === reason)
      if (known === undefined) throw malformed()
      return { type, session: parseSession(session), reason: known }
    }
    default:
      throw malformed()
  }
}

function parseSession(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw malformed()
  return value
}

function parseFlag(value: unknown): boolean {
  if (typeof value !== 'boolean') throw malformed()
  return value
}

function parseRanges(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length > LIMITS.sync.frameBytes) throw malformed()
  return value
}

function parseList(value: unknown): readonly Uint8Array[] {
  if (!Array.isArray(value) || value.length > LIMITS.sync.pageFacts) throw malformed()
  return value.map((each: unknown) => {
    if (!(each instanceof Uint8Array)) throw malformed()
    return each
  })
}

/** Distinct, or one answer could be made to count for many. */
function parseDigests(value: unknown): readonly FactId[] {
  const ids = parseList(value).map(digest => {
    if (digest.length !== DIGEST_BYTES) throw malformed()
    return factIdOfDigest(digest)
  })
  if (ids.length === 0 || new Set(ids).size !== ids.length) throw malformed()
  return ids
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'a message about the facts of a set does not have its shape')
}
