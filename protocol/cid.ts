import { sha256 } from '@noble/hashes/sha2.js'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import type { Brand } from './brand.ts'
import { RegistryError } from './errors.ts'

const DAG_CBOR = 0x71
const DAG_PB = 0x70
const RAW = 0x55
const SHA2_256 = 0x12

/** CIDv1, dag-cbor, sha2-256 of a fact's body, in base32: `bafyrei…`, 59 characters. */
export type FactId = Brand<string, 'FactId'>

/** The fact id of a registry's genesis. */
export type RegistryId = Brand<string, 'RegistryId'>

/** CIDv1 of a UnixFS root, sha2-256: a directory (dag-pb, `bafybei…`) or a single chunk (raw, `bafkrei…`). */
export type ContentId = Brand<string, 'ContentId'>

export function factIdOf(body: Uint8Array): FactId {
  return CID.createV1(DAG_CBOR, createDigest(SHA2_256, sha256(body))).toString() as FactId
}

/** The id with this sha2-256 digest inside. */
export function factIdOfDigest(digest: Uint8Array): FactId {
  return CID.createV1(DAG_CBOR, createDigest(SHA2_256, digest)).toString() as FactId
}

/** The sha2-256 digest inside an id: of facts, what reconciliation compares. */
export function digestOf(id: FactId | ContentId): Uint8Array {
  return CID.parse(id).multihash.digest
}

/** @throws RegistryError MALFORMED */
export function parseFactId(text: string): FactId {
  const cid = parseCid(text)
  if (!isCid(cid, [DAG_CBOR])) throw new RegistryError('MALFORMED', 'not a fact id')
  return text as FactId
}

/** @throws RegistryError MALFORMED */
export function parseRegistryId(text: string): RegistryId {
  return parseFactId(text) as string as RegistryId
}

/** @throws RegistryError MALFORMED */
export function parseContentId(text: string): ContentId {
  const cid = parseCid(text)
  if (!isCid(cid, [DAG_PB, RAW])) throw new RegistryError('MALFORMED', 'not a content id')
  return text as ContentId
}

/** The id that a dag-cbor link stands for. @throws RegistryError MALFORMED */
export function factIdFromLink(link: unknown): FactId {
  const cid = CID.asCID(link)
  if (cid === null || !isCid(cid, [DAG_CBOR])) throw new RegistryError('MALFORMED', 'not a link to a fact')
  return cid.toString() as FactId
}

/** The content root that a dag-cbor link stands for. @throws RegistryError MALFORMED */
export function contentIdFromLink(link: unknown): ContentId {
  const cid = CID.asCID(link)
  if (cid === null || !isCid(cid, [DAG_PB, RAW])) throw new RegistryError('MALFORMED', 'not a link to content')
  return cid.toString() as ContentId
}

export function toLink(id: FactId | RegistryId | ContentId): CID {
  return CID.parse(id)
}

function parseCid(text: string): CID {
  let cid: CID
  try {
    cid = CID.parse(text)
  } catch (cause) {
    throw new RegistryError('MALFORMED', 'not a content identifier', { cause })
  }
  if (cid.toString() !== text) throw new RegistryError('MALFORMED', 'not the base32 spelling of a content identifier')
  return cid
}

function isCid(cid: CID, codecs: readonly number[]): boolean {
  const { code, size } = cid.multihash
  return cid.version === 1 && codecs.includes(cid.code) && code === SHA2_256 && size === 32
}
