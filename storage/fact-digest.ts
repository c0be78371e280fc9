import { base32 } from 'multiformats/bases/base32'
import { concatBytes, equalBytes } from '../protocol/bytes.ts'
import type { FactId } from '../protocol/cid.ts'

const DIGEST_BYTES = 32
/** `b`, then base32 of version, codec, hash, length and the 32 bytes. */
const ID_CHARS = 59
/** CID version 1, dag-cbor, sha2-256, 32 bytes. */
const HEADER = [0x01, 0x71, 0x12, 0x20]

const VALUES = new Uint8Array(128).fill(255)
for (let value = 0; value < 32; value++) VALUES['abcdefghijklmnopqrstuvwxyz234567'.charCodeAt(value)] = value

/**
 * The sha2-256 digest inside an id of a fact; nothing for what is no such id. A start does this for every fact twice,
 * so it is done by hand: a tenth of what parsing the identifier takes. `digest` is where it goes when nobody keeps it.
 */
export function digestIn(id: string, digest: Uint8Array = new Uint8Array(DIGEST_BYTES)): Uint8Array | undefined {
  if (id.length !== ID_CHARS) return undefined
  let bits = 0
  let buffer = 0
  let at = -HEADER.length
  for (let index = 1; index < ID_CHARS; index++) {
    const value = VALUES[id.charCodeAt(index)] ?? 255
    if (value === 255) return undefined
    buffer = ((buffer << 5) | value) & 0xfff
    bits += 5
    if (bits < 8) continue
    bits -= 8
    const byte = (buffer >>> bits) & 255
    if (at >= 0) digest[at] = byte
    else if (byte !== HEADER[at + HEADER.length]) return undefined
    at += 1
  }
  // One spelling per id: the bits behind the last byte are zero.
  return id.startsWith('b') && (buffer & ((1 << bits) - 1)) === 0 ? digest : undefined
}

/** The id with this digest inside. */
export function idOfDigest(digest: Uint8Array): FactId {
  return base32.encode(concatBytes([Uint8Array.from(HEADER), digest])) as FactId
}

/** A sum of digests as little-endian numbers modulo 2^256: order does not matter, and one more is one addition. */
export class DigestSum {
  readonly #bytes: Uint8Array
  count: number

  constructor(bytes: Uint8Array = new Uint8Array(DIGEST_BYTES), count = 0) {
    this.#bytes = Uint8Array.from(bytes)
    this.count = count
  }

  get bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes)
  }

  add(digest: Uint8Array): void {
    let carry = 0
    for (let at = 0; at < DIGEST_BYTES; at++) {
      const value = (this.#bytes[at] ?? 0) + (digest[at] ?? 0) + carry
      this.#bytes[at] = value & 255
      carry = value >> 8
    }
    this.count += 1
  }

  remove(digest: Uint8Array): void {
    let borrow = 0
    for (let at = 0; at < DIGEST_BYTES; at++) {
      const value = (this.#bytes[at] ?? 0) - (digest[at] ?? 0) - borrow
      this.#bytes[at] = value & 255
      borrow = value < 0 ? 1 : 0
    }
    this.count -= 1
  }

  equals(other: DigestSum): boolean {
    return this.count === other.count && equalBytes(this.#bytes, other.#bytes)
  }
}
