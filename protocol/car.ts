import { sha256 } from '@noble/hashes/sha2.js'
import { compareBytes, concatBytes, equalBytes } from './bytes.ts'
import { encodeCbor } from './cbor.ts'
import { toLink } from './cid.ts'
import type { RegistryId } from './cid.ts'
import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'

/** CIDv1, dag-cbor, sha2-256 of 32 bytes: the only kind of block here. */
const CID_PREFIX = Uint8Array.of(0x01, 0x71, 0x12, 0x20)
const CID_BYTES = 36
/** Digits of a length; three reach 2 MiB, and a fact has 64 KiB. */
const LENGTH_DIGITS = 3

/** The header of a CARv1 with one root: its length, then dag-cbor `{roots, version}`. */
export function encodeCarHeader(root: RegistryId): Uint8Array {
  const header = encodeCbor({ version: 1, roots: [toLink(root)] })
  return concatBytes([formatLength(header.length), header])
}

/** One block: the length of what follows, the CID of the bytes, the bytes. They must be dag-cbor. */
export function encodeCarBlock(bytes: Uint8Array): Uint8Array {
  return concatBytes([formatLength(CID_BYTES + bytes.length), CID_PREFIX, sha256(bytes), bytes])
}

/**
 * Reads a CARv1 of facts as it comes. Strict: exactly the header that is expected, blocks of the one kind, each hashed,
 * nothing longer than an envelope. What it says of a block is only that the bytes are those of its CID.
 */
export class CarReader {
  #rest: Uint8Array = new Uint8Array()
  #header: Uint8Array | undefined

  /** @param root the root that it must have */
  constructor(root: RegistryId) {
    this.#header = encodeCarHeader(root)
  }

  /** The blocks that are complete with these bytes. @throws RegistryError MALFORMED */
  push(chunk: Uint8Array): readonly Uint8Array[] {
    let rest = this.#rest.length === 0 ? chunk : concatBytes([this.#rest, chunk])
    if (this.#header !== undefined) {
      const seen = Math.min(rest.length, this.#header.length)
      if (compareBytes(rest.subarray(0, seen), this.#header.subarray(0, seen)) !== 0) throw malformed()
      if (seen === this.#header.length) {
        rest = rest.subarray(seen)
        this.#header = undefined
      }
    }
    const blocks: Uint8Array[] = []
    while (this.#header === undefined) {
      const section = sectionOf(rest)
      if (section === undefined) break
      blocks.push(blockOf(rest.subarray(section.from, section.to)))
      rest = rest.subarray(section.to)
    }
    this.#rest = rest.slice()
    return blocks
  }

  /** There are no more bytes. @throws RegistryError MALFORMED when that is in the middle of something */
  end(): void {
    if (this.#rest.length > 0 || this.#header !== undefined) throw malformed()
  }
}

/** Where the first section is, or undefined while it is not complete. */
function sectionOf(bytes: Uint8Array): { readonly from: number; readonly to: number } | undefined {
  let length = 0
  for (let digit = 0; digit < LENGTH_DIGITS; digit++) {
    const byte = bytes[digit]
    if (byte === undefined) return undefined
    length += (byte & 0x7f) << (7 * digit)
    if (byte >= 0x80) continue
    // One spelling: no zero digit at the end. Attack: a length of 2^31 is refused before anything is kept for it.
    if ((digit > 0 && byte === 0) || length < CID_BYTES || length > CID_BYTES + LIMITS.fact.envelopeBytes)
      throw malformed()
    const from = digit + 1
    return bytes.length < from + length ? undefined : { from, to: from + length }
  }
  throw malformed()
}

function blockOf(section: Uint8Array): Uint8Array {
  const bytes = section.slice(CID_BYTES)
  const digest = section.subarray(CID_PREFIX.length, CID_BYTES)
  if (!equalBytes(section.subarray(0, CID_PREFIX.length), CID_PREFIX) || !equalBytes(sha256(bytes), digest))
    throw malformed()
  return bytes
}

/** Base 128, the least significant digit first. */
function formatLength(length: number): Uint8Array {
  const digits: number[] = []
  let rest = length
  for (; rest > 0x7f; rest >>>= 7) digits.push((rest & 0x7f) | 0x80)
  return Uint8Array.from([...digits, rest])
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'not the archive of a registry')
}
