import { decodeCbor, encodeCbor } from './cbor.ts'
import { factIdFromLink, toLink } from './cid.ts'
import type { FactId, RegistryId } from './cid.ts'
import { recordOf } from './fact.ts'

/** The topic on which the facts of one registry are told. */
export function factsTopic(registry: RegistryId): string {
  return `/ggen/1/${registry}/facts`
}

/** A message on a facts topic: the fact itself, or, when it is large, the id under which the sender serves it. */
export type GossipMessage =
  { readonly type: 'fact'; readonly envelope: Uint8Array } | { readonly type: 'announcement'; readonly id: FactId }

/** dag-cbor of `{id: link}`: a map of one pair, which no envelope is. */
export function encodeAnnouncement(id: FactId): Uint8Array {
  return encodeCbor({ id: toLink(id) })
}

/** An announcement is as long as this and begins with a map of one pair; everything else is for the gate to judge. */
const ANNOUNCEMENT_BYTES = 45
const MAP_OF_ONE = 0xa1

/** @throws RegistryError MALFORMED for what begins as an announcement and is none */
export function parseGossipMessage(data: Uint8Array): GossipMessage {
  if (data[0] !== MAP_OF_ONE || data.length > ANNOUNCEMENT_BYTES) return { type: 'fact', envelope: data }
  return { type: 'announcement', id: factIdFromLink(recordOf(decodeCbor(data, 2), ['id']).id) }
}
