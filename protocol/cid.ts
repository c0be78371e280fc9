import { sha256 } from '@noble/hashes/sha2.js'
import { CID } from 'multiformats/cid'
import { Digest } from 'multiformats/hashes/digest'
import type { Brand } from './brand.ts'
import { RegistryError } from './errors.ts'

const DAG_CBOR = 0x71
const DAG_PB = 0x70
const RAW = 0x55
const SHA2_256 = 0x12

/** What the bytes of a fact's id begin with; of content, the second one is another. */
const FACT_HEAD = [1, DAG_CBOR, SHA2_256, 32] as const
const ID_BYTES = FACT_HEAD.length + 32
const ID_CHARS = 59

/** CIDv1, dag-cbor, sha2-256 of a fact's body, in base32: `bafyrei…`, 59 characters. */
export type FactId = Brand<string, 'FactId'>

/** The fact id of a registry's genesis. */
export type RegistryId = Brand<string, 'RegistryId'>

/** CIDv1 of a UnixFS root, sha2-256: a directory (dag-pb, `bafybei…`) or a single chunk (raw, `bafkrei…`). */
export type ContentId = Brand<string, 'ContentId'>

export function factIdOf(body: Uint8Array): FactId {
  return factIdOfDigest(sha256(body))
}

/** The id with this sha2-256 digest inside. @throws RegistryError MALFORMED for anything but 32 bytes */
export function factIdOfDigest(digest: Uint8Array): FactId {
  if (digest.length !== 32) throw new RegistryError('MALFORMED', 'not a sha2-256 digest')
  const bytes = new Uint8Array(ID_BYTES)
  bytes.set(FACT_HEAD)
  bytes.set(digest, FACT_HEAD.length)
  return base32Of(bytes) as FactId
}

/** The sha2-256 digest inside an id: of facts, what reconciliation compares. */
export function digestOf(id: FactId | ContentId): Uint8Array {
  return bytesOf(id).slice(FACT_HEAD.length)
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
  if (!isLink(link, [DAG_CBOR])) throw new RegistryError('MALFORMED', 'not a link to a fact')
  return base32Of(link.bytes) as FactId
}

/** The content root that a dag-cbor link stands for. @throws RegistryError MALFORMED */
export function contentIdFromLink(link: unknown): ContentId {
  if (!isLink(link, [DAG_PB, RAW])) throw new RegistryError('MALFORMED', 'not a link to content')
  return base32Of(link.bytes) as ContentId
}

export function toLink(id: FactId | RegistryId | ContentId): CID {
  return linkOf(bytesOf(id))
}

/** CIDv1, a codec of one byte, 32 bytes of sha2-256: the one form that the links of facts have. */
export function isPlainLink(cid: Uint8Array): boolean {
  const [version, codec = 0x80, hash, length] = cid
  return cid.length === ID_BYTES && version === 1 && codec < 0x80 && hash === SHA2_256 && length === 32
}

/** The link of such bytes: nothing in them has to be looked at. */
export function linkOf(cid: Uint8Array): CID {
  return new CID(1, cid[1] ?? 0, new Digest(SHA2_256, 32, cid.subarray(FACT_HEAD.length), cid.subarray(2)), cid)
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

/** Attack: a map with what a CID has, which `CID.asCID` takes for one. Only the decoder makes links. */
function isLink(link: unknown, codecs: readonly number[]): link is CID {
  return link instanceof CID && isCid(link, codecs)
}

function isCid(cid: CID, codecs: readonly number[]): boolean {
  const { code, size } = cid.multihash
  return cid.version === 1 && codecs.includes(cid.code) && code === SHA2_256 && size === 32
}

/*
 * Facts are full of links, and all ids here are the base32 of 36 bytes, which takes a tenth of the time of any base of any number
 * of bytes.
 */

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
const CODES = Array.from(ALPHABET, digit => digit.charCodeAt(0))
const DIGIT_OF = new Map(CODES.map((code, digit) => [code, digit]))
/** Base32, lower case, without padding. */
const BASE32 = 'b'.charCodeAt(0)

function base32Of(bytes: Uint8Array): string {
  const codes = [BASE32]
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = (value << 8) | byte
    for (bits += 8; bits >= 5; bits -= 5) codes.push(CODES[(value >>> (bits - 5)) & 31] ?? 0)
    value &= 0xff
  }
  if (bits > 0) codes.push(CODES[(value << (5 - bits)) & 31] ?? 0)
  return String.fromCharCode(...codes)
}

/** The bytes of an id, which was parsed before it became one. @throws RegistryError MALFORMED */
function bytesOf(id: string): Uint8Array {
  if (id.length !== ID_CHARS || id.charCodeAt(0) !== BASE32) throw new RegistryError('MALFORMED', 'not an id')
  const bytes = new Uint8Array(ID_BYTES)
  let bits = 0
  let value = 0
  let to = 0
  for (let at = 1; at < ID_CHARS; at++) {
    const digit = DIGIT_OF.get(id.charCodeAt(at))
    if (digit === undefined) throw new RegistryError('MALFORMED', 'not an id')
    value = ((value << 5) | digit) & 0xfff
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes[to] = value >>> bits
    to += 1
  }
  if ((value & 3) !== 0 || !isPlainLink(bytes)) throw new RegistryError('MALFORMED', 'not an id')
  return bytes
}
