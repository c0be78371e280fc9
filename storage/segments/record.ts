import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { utf8 } from '../../protocol/bytes.ts'
import { LIMITS } from '../../protocol/limits.ts'

const MAGIC = utf8('ggenseg1')
const SALT_BYTES = 16
const HEAD_COPY_BYTES = MAGIC.length + SALT_BYTES + 4
export const HEAD_BYTES = 2 * HEAD_COPY_BYTES

export const DIGEST_BYTES = 32
const CHECKED_BYTES = 8 + DIGEST_BYTES
export const HEADER_BYTES = CHECKED_BYTES + 4

/** Above any length, and not what a run of equal bytes looks like. */
const BLOCK = 0xb10cda7a
const TOMBSTONE = 0xdead10c5

/**
 * A segment is a head and a row of records. Numbers have 4 bytes and are little-endian.
 *
 *   segment   = head-copy head-copy *( block / tombstone )
 *   head-copy = "ggenseg1" salt check          ; 16 random bytes, crc32 over what stands before it
 *   block     = %x7ADA0CB1 length digest check bytes
 *   tombstone = %xC510ADDE %x00000000 segment offset 24%x00 check
 *   check     = crc32, begun with that of the salt, over the 40 bytes before it
 *
 * The digest is the sha2-256 of the bytes: it is what a block is called, and their checksum. A tombstone names one record, so
 * that it stands wherever it is read, and is of no use when the segment it names is gone.
 *
 * Attack: bytes of a block that look like records. Nobody is told the salt, so none that a stranger wrote has the right check.
 */
export interface SegmentHead {
  readonly salt: Uint8Array
  /** What checks of its records begin with. */
  readonly seed: number
}

export function newHead(): SegmentHead {
  return headOf(randomBytes(SALT_BYTES))
}

/** The same head twice: one flipped bit must not cost all that follows. */
export function formatHead({ salt }: SegmentHead): Buffer {
  const copy = Buffer.alloc(HEAD_COPY_BYTES)
  copy.set(MAGIC)
  copy.set(salt, MAGIC.length)
  copy.writeUInt32LE(crc32(copy.subarray(0, -4)), HEAD_COPY_BYTES - 4)
  return Buffer.concat([copy, copy])
}

/** The head that a file begins with, or undefined when neither copy is whole. */
export function parseHead(bytes: Buffer): SegmentHead | undefined {
  for (const at of [0, HEAD_COPY_BYTES]) {
    const copy = bytes.subarray(at, at + HEAD_COPY_BYTES)
    if (copy.length < HEAD_COPY_BYTES || !copy.subarray(0, MAGIC.length).equals(MAGIC)) continue
    if (copy.readUInt32LE(HEAD_COPY_BYTES - 4) !== crc32(copy.subarray(0, -4))) continue
    return headOf(Buffer.from(copy.subarray(MAGIC.length, -4)))
  }
  return undefined
}

function headOf(salt: Uint8Array): SegmentHead {
  return { salt, seed: crc32(salt) }
}

/** A place in a segment. Segments are numbered from 1. */
export interface Place {
  readonly segment: number
  readonly offset: number
}

export function formatBlockHeader(head: SegmentHead, digest: Uint8Array, length: number): Buffer {
  return formatHeader(head, BLOCK, header => {
    header.writeUInt32LE(length, 4)
    header.set(digest, 8)
  })
}

export function formatTombstone(head: SegmentHead, { segment, offset }: Place): Buffer {
  return formatHeader(head, TOMBSTONE, header => {
    header.writeUInt32LE(segment, 8)
    header.writeUInt32LE(offset, 12)
  })
}

function formatHeader({ seed }: SegmentHead, kind: number, fill: (header: Buffer) => void): Buffer {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32LE(kind, 0)
  fill(header)
  header.writeUInt32LE(crc32(header.subarray(0, CHECKED_BYTES), seed), CHECKED_BYTES)
  return header
}

export type SegmentRecord =
  | { readonly type: 'block'; readonly digest: Buffer; readonly bytes: Buffer; readonly end: number }
  | { readonly type: 'tombstone'; readonly names: Place; readonly end: number }

/** The record at a place, when there is a whole one. Its bytes are not hashed. */
export function parseRecord({ seed }: SegmentHead, file: Buffer, at: number): SegmentRecord | undefined {
  const from = at + HEADER_BYTES
  if (from > file.length) return undefined
  const kind = file.readUInt32LE(at)
  const length = file.readUInt32LE(at + 4)
  const end = from + length
  if (kind !== BLOCK && kind !== TOMBSTONE) return undefined
  if (file.readUInt32LE(at + CHECKED_BYTES) !== crc32(file.subarray(at, at + CHECKED_BYTES), seed)) return undefined
  if (kind === TOMBSTONE) {
    const names = { segment: file.readUInt32LE(at + 8), offset: file.readUInt32LE(at + 12) }
    return length === 0 ? { type: 'tombstone', names, end } : undefined
  }
  if (length > LIMITS.segments.blockBytes || end > file.length) return undefined
  return { type: 'block', digest: file.subarray(at + 8, at + CHECKED_BYTES), bytes: file.subarray(from, end), end }
}

const KINDS = [BLOCK, TOMBSTONE].map(kind => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(kind)
  return bytes
})

/** Where the next whole record begins, after one that is damaged; undefined when none follows. */
export function nextRecord(head: SegmentHead, file: Buffer, after: number): number | undefined {
  let first: number | undefined
  for (const kind of KINDS) {
    for (let at = file.indexOf(kind, after); at >= 0 && at < (first ?? file.length); at = file.indexOf(kind, at + 1)) {
      if (parseRecord(head, file, at) !== undefined) first = at
    }
  }
  return first
}
