import { decodeCbor, encodeCbor } from './cbor.ts'
import { factIdFromLink, toLink } from './cid.ts'
import type { FactId, RegistryId } from './cid.ts'
import { RegistryError } from './errors.ts'
import { recordOf } from './fact.ts'
import { LIMITS } from './limits.ts'

/** Facts by page or by id: one side asks, the other answers, any number of times on one stream. */
export const FACTS_PROTOCOL = '/ggen/facts/1'

/**
 * `page` asks for what came to the other node after its own arrival counter `after`, as counted in the store life
 * `epoch`; an epoch that is not the other node's present one means "from the start". `ids` asks for known facts.
 */
export type FactsRequest =
  | {
      readonly type: 'page'
      readonly registry: RegistryId
      readonly epoch: string
      readonly after: number
      readonly facts: number
      readonly bytes: number
    }
  | { readonly type: 'ids'; readonly registry: RegistryId; readonly ids: readonly FactId[] }

export const FACTS_REFUSALS = ['busy', 'unknown-registry'] as const
export type FactsRefusal = (typeof FACTS_REFUSALS)[number]

/** `next` is the `after` of the following page; `done` says that nothing lay beyond it when the page was read. */
export type FactsResponse =
  | {
      readonly type: 'page'
      readonly epoch: string
      readonly facts: readonly Uint8Array[]
      readonly next: number
      readonly done: boolean
    }
  | { readonly type: 'facts'; readonly facts: readonly Uint8Array[] }
  | { readonly type: 'refused'; readonly reason: FactsRefusal }

export function encodeFactsRequest(request: FactsRequest): Uint8Array {
  const registry = toLink(request.registry)
  return request.type === 'page'
    ? encodeCbor({ ...request, registry })
    : encodeCbor({ ...request, registry, ids: request.ids.map(toLink) })
}

/** @throws RegistryError MALFORMED */
export function decodeFactsRequest(bytes: Uint8Array): FactsRequest {
  const value = decodeCbor(bytes, 3)
  if (typeOf(value) === 'page') {
    const raw = recordOf(value, ['type', 'registry', 'epoch', 'after', 'facts', 'bytes'])
    return {
      type: 'page',
      registry: parseRegistry(raw.registry),
      epoch: parseEpoch(raw.epoch),
      after: parseCount(raw.after, Number.MAX_SAFE_INTEGER),
      facts: parseCount(raw.facts, LIMITS.catchUp.pageFacts),
      bytes: parseCount(raw.bytes, LIMITS.catchUp.pageBytes)
    }
  }
  const raw = recordOf(value, ['type', 'registry', 'ids'])
  if (raw.type !== 'ids' || !Array.isArray(raw.ids) || raw.ids.length > LIMITS.catchUp.idsPerRequest) throw malformed()
  return { type: 'ids', registry: parseRegistry(raw.registry), ids: raw.ids.map(factIdFromLink) }
}

export function encodeFactsResponse(response: FactsResponse): Uint8Array {
  return encodeCbor(response)
}

/** @throws RegistryError MALFORMED */
export function decodeFactsResponse(bytes: Uint8Array): FactsResponse {
  const value = decodeCbor(bytes, 2, LIMITS.catchUp.pageFacts + 16)
  switch (typeOf(value)) {
    case 'page': {
      const raw = recordOf(value, ['type', 'epoch', 'facts', 'next', 'done'])
      if (typeof raw.done !== 'boolean') throw malformed()
      return {
        type: 'page',
        epoch: parseEpoch(raw.epoch),
        facts: parseFacts(raw.facts),
        next: parseCount(raw.next, Number.MAX_SAFE_INTEGER),
        done: raw.done
      }
    }
    case 'facts':
      return { type: 'facts', facts: parseFacts(recordOf(value, ['type', 'facts']).facts) }
    case 'refused': {
      const reason = FACTS_REFUSALS.find(known => known === recordOf(value, ['type', 'reason']).reason)
      if (reason === undefined) throw malformed()
      return { type: 'refused', reason }
    }
    default:
      throw malformed()
  }
}

function typeOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined
}

function parseFacts(value: unknown): readonly Uint8Array[] {
  if (!Array.isArray(value) || value.length > LIMITS.catchUp.pageFacts) throw malformed()
  return value.map((fact: unknown) => {
    if (!(fact instanceof Uint8Array)) throw malformed()
    return fact
  })
}

function parseRegistry(link: unknown): RegistryId {
  return factIdFromLink(link) as string as RegistryId
}

/** An epoch is opaque; only the node that gave it compares it with anything. */
function parseEpoch(value: unknown): string {
  if (typeof value !== 'string' || value.length > LIMITS.catchUp.epochChars || !/^[0-9a-zA-Z-]*$/.test(value))
    throw malformed()
  return value
}

function parseCount(value: unknown, max: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > max) throw malformed()
  return value
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'a message about facts does not have its shape')
}
