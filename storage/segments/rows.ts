import { hash } from 'node:crypto'
import { equalBytes, utf8 } from '../../protocol/bytes.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { DIGEST_BYTES, HEAD_BYTES } from './record.ts'
import type { Place, SegmentHead } from './record.ts'

const MAGIC = utf8('ggenidx1')
const SALT_BYTES = 16
/** magic, salt, covered, count */
const FRONT_BYTES = MAGIC.length + SALT_BYTES + 8
const ROW_BYTES = DIGEST_BYTES + 8
const FIRST_ROWS = 64
/** What a length says of a row that is a tombstone: what it names stands where the digest of a block does. */
const TOMBSTONE = 0xffffffff

export const INDEX_MAX_BYTES = FRONT_BYTES + LIMITS.segments.fileRecords * ROW_BYTES + DIGEST_BYTES

/**
 * What stands in a segment: of each record where, and what it is. Kept in memory for the segment that grows, and in a file
 * beside each one that does not:
 *
 *   index = "ggenidx1" salt covered count *row digest
 *   row   = (block-digest / segment offset 24%x00) offset length       ; length %xFFFFFFFF: a tombstone
 *
 * `covered` is the length of the segment that it tells of; the digest is the sha2-256 of all before it. An index is written after
 * the segment was made durable, so that one which is here vouches for what it names.
 */
export class Rows {
  #bytes: Buffer
  #count = 0

  constructor(bytes: Buffer = Buffer.alloc(FIRST_ROWS * ROW_BYTES), count = 0) {
    this.#bytes = bytes
    this.#count = count
  }

  get count(): number {
    return this.#count
  }

  addBlock(digest: Uint8Array, offset: number, length: number): void {
    const at = this.#next(offset, length)
    this.#bytes.set(digest, at)
  }

  addTombstone(offset: number, { segment, offset: named }: Place): void {
    const at = this.#next(offset, TOMBSTONE)
    this.#bytes.writeUInt32LE(segment, at)
    this.#bytes.writeUInt32LE(named, at + 4)
  }

  /** The records that tombstones name. */
  *tombstones(): Generator<Place> {
    for (let row = 0; row < this.#count; row++) {
      const at = row * ROW_BYTES
      if (this.#lengthAt(at) !== TOMBSTONE) continue
      yield { segment: this.#bytes.readUInt32LE(at), offset: this.#bytes.readUInt32LE(at + 4) }
    }
  }

  /** The blocks, the last first. The digest is a view, good until the next one. */
  blocksBackwards(tell: (digest: Uint8Array, offset: number, length: number) => void): void {
    for (let row = this.#count - 1; row >= 0; row--) {
      const at = row * ROW_BYTES
      const length = this.#lengthAt(at)
      if (length === TOMBSTONE) continue
      tell(this.#bytes.subarray(at, at + DIGEST_BYTES), this.#bytes.readUInt32LE(at + DIGEST_BYTES), length)
    }
  }

  format({ salt }: SegmentHead, covered: number): Buffer {
    const front = Buffer.alloc(FRONT_BYTES)
    front.set(MAGIC)
    front.set(salt, MAGIC.length)
    front.writeUInt32LE(covered, FRONT_BYTES - 8)
    front.writeUInt32LE(this.#count, FRONT_BYTES - 4)
    const all = Buffer.concat([front, this.#bytes.subarray(0, this.#count * ROW_BYTES)])
    return Buffer.concat([all, hash('sha256', all, 'buffer')])
  }

  #next(offset: number, length: number): number {
    const at = this.#count * ROW_BYTES
    if (at === this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(Math.max(at, ROW_BYTES))])
    this.#bytes.writeUInt32LE(offset, at + DIGEST_BYTES)
    this.#bytes.writeUInt32LE(length, at + DIGEST_BYTES + 4)
    this.#count += 1
    return at
  }

  #lengthAt(at: number): number {
    return this.#bytes.readUInt32LE(at + DIGEST_BYTES + 4)
  }
}

/** What an index says of the segment with this head; undefined when it is damaged, or of another one. */
export function parseRows(
  bytes: Buffer,
  { salt }: SegmentHead
): { readonly rows: Rows; readonly covered: number } | undefined {
  const end = bytes.length - DIGEST_BYTES
  if (end < FRONT_BYTES || bytes.length > INDEX_MAX_BYTES) return undefined
  if (!equalBytes(bytes.subarray(0, MAGIC.length), MAGIC)) return undefined
  if (!equalBytes(bytes.subarray(MAGIC.length, MAGIC.length + SALT_BYTES), salt)) return undefined
  const covered = bytes.readUInt32LE(FRONT_BYTES - 8)
  const count = bytes.readUInt32LE(FRONT_BYTES - 4)
  if (FRONT_BYTES + count * ROW_BYTES !== end || covered < HEAD_BYTES) return undefined
  if (!equalBytes(hash('sha256', bytes.subarray(0, end), 'buffer'), bytes.subarray(end))) return undefined
  return { rows: new Rows(bytes.subarray(FRONT_BYTES, end), count), covered }
}
