import { decodeCbor, encodeCbor } from './cbor.ts'
import { factIdFromLink, toLink } from './cid.ts'
import type { FactId, RegistryId } from './cid.ts'
import { RegistryError } from './errors.ts'
import { recordOf } from './fact.ts'
import { LIMITS } from './limits.ts'

/** Facts by id, any number of times on one stream, or the whole set of a registry, once. docs/spec/sync.md */
export const FACTS_PROTOCOL = '/ggen/facts/1'

/** `ids` asks for known facts; `snapshot` for everything, as an archive behind the answer. */
export type FactsRequest =
  | { readonly type: 'ids'; readonly registry: RegistryId; readonly ids: readonly FactId[] }
  | { readonly type: 'snapshot'; readonly registry: RegistryId }

export const FACTS_REFUSALS = ['busy', 'unknown-registry'] as const
export type FactsRefusal = (typeof FACTS_REFUSALS)[number]

/** After `snapshot` the stream holds a CARv1 and nothing else. */
export type FactsResponse =
  | { readonly type: 'facts'; readonly facts: readonly Uint8Array[] }
  | { readonly type: 'snapshot' }
  | { readonly type: 'refused'; readonly reason: FactsRefusal }

export function encodeFactsRequest(request: FactsRequest): Uint8Array {
  const registry = toLink(request.registry)
  return request.type === 'ids'
    ? encodeCbor({ ...request, registry, ids: request.ids.map(toLink) })
    : encodeCbor({ ...request, registry })
}

/** @throws RegistryError MALFORMED */
export function decodeFactsRequest(bytes: Uint8Array): FactsRequest {
  const value = decodeCbor(bytes, 3)
  if (typeOf(value) === 'snapshot') {
    return { type: 'snapshot', registry: parseRegistry(recordOf(value, ['type', 'registry']).registry) }
  }
  const raw = recordOf(value, ['type', 'registry', 'ids'])
  if (raw.type !== 'ids' || !Array.isArray(raw.ids) || raw.ids.length > LIMITS.facts.idsPerRequest) throw malformed()
  return { type: 'ids', registry: parseRegistry(raw.registry), ids: raw.ids.map(factIdFromLink) }
}

export function encodeFactsResponse(response: FactsResponse): Uint8Array {
  return encodeCbor(response)
}

/** @throws RegistryError MALFORMED */
export function decodeFactsResponse(bytes: Uint8Array): FactsResponse {
  const value = decodeCbor(bytes, 2, LIMITS.facts.idsPerRequest + 16)
  switch (typeOf(value)) {
    case 'facts':
      return { type: 'facts', facts: parseFacts(recordOf(value, ['type', 'facts']).facts) }
    case 'snapshot':
      recordOf(value, ['type'])
      return { type: 'snapshot' }
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
  if (!Array.isArray(value) || value.length > LIMITS.facts.idsPerRequest) throw malformed()
  return value.map((fact: unknown) => {
    if (!(fact instanceof Uint8Array)) throw malformed()
    return fact
  })
}

function parseRegistry(link: unknown): RegistryId {
  return factIdFromLink(link) as string as RegistryId
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'a message about facts does not have its shape')
}
