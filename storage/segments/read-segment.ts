import { hash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { equalBytes } from '../../protocol/bytes.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { HEAD_BYTES, HEADER_BYTES, nextRecord, parseHead, parseRecord } from './record.ts'
import type { SegmentHead } from './record.ts'
import { INDEX_MAX_BYTES, parseRows, Rows } from './rows.ts'
import type { SegmentState } from './segment-file.ts'

/** A segment never grows beyond this: what stands behind it was not written by us. */
const SEGMENT_MAX_BYTES = LIMITS.segments.fileBytes + HEADER_BYTES + LIMITS.segments.blockBytes

/** A block whose bytes are not what its record says. */
export interface Suspect {
  readonly digest: Uint8Array
  readonly offset: number
  readonly length: number
}

export interface ReadSegment extends SegmentState {
  /**
   * Blocks in the part that no index tells of, and whose bytes do not match. A crash of the machine leaves such, and a flipped
   * bit. They are not among the rows: another copy that is here goes before them.
   */
  readonly suspects: readonly Suspect[]
}

/**
 * What stands in a segment: what its index says, and behind that what is read. Reading ends with the last whole record; what a
 * damaged one hides is skipped. Undefined when it is no segment, or nothing in it can be told apart any more.
 */
export function readSegment(file: string, indexFile: string): ReadSegment | undefined {
  const fd = openSync(file, 'r')
  try {
    const size = Math.min(fstatSync(fd).size, SEGMENT_MAX_BYTES)
    const head = parseHead(readAt(fd, 0, HEAD_BYTES))
    if (head === undefined) return undefined
    const known = readIndex(indexFile, head)
    // A segment that lost what its index vouches for: what is left is looked at again.
    const indexed = known !== undefined && known.covered <= size ? known : { rows: new Rows(), covered: 0 }
    const from = Math.max(indexed.covered, HEAD_BYTES)
    if (from >= size) return { head, size: from, suspects: [], ...indexed }
    const tail = readAt(fd, from, size - from)
    const { end, suspects } = scan(head, { tail, from, rows: indexed.rows })
    return { head, size: end, suspects, ...indexed }
  } finally {
    closeSync(fd)
  }
}

function readIndex(file: string, head: SegmentHead): { readonly rows: Rows; readonly covered: number } | undefined {
  let fd
  try {
    fd = openSync(file, 'r')
    return parseRows(readAt(fd, 0, Math.min(fstatSync(fd).size, INDEX_MAX_BYTES + 1)), head)
  } catch {
    // Not written yet, or lost: the segment says the same.
    return undefined
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

interface Tail {
  readonly tail: Buffer
  /** Where in the segment it begins. */
  readonly from: number
  readonly rows: Rows
}

function scan(
  head: SegmentHead,
  { tail, from, rows }: Tail
): { readonly end: number; readonly suspects: readonly Suspect[] } {
  const suspects: Suspect[] = []
  let at = 0
  while (at < tail.length && rows.count < LIMITS.segments.fileRecords) {
    const record = parseRecord(head, tail, at)
    if (record === undefined) {
      const next = nextRecord(head, tail, at + 1)
      if (next === undefined) break
      at = next
      continue
    }
    const offset = from + at
    at = record.end
    if (record.type === 'tombstone') {
      rows.addTombstone(offset, record.names)
      continue
    }
    const { digest, bytes } = record
    if (equalBytes(hash('sha256', bytes, 'buffer'), digest)) rows.addBlock(digest, offset, bytes.length)
    else suspects.push({ digest: Uint8Array.from(digest), offset, length: bytes.length })
  }
  return { end: from + at, suspects }
}

function readAt(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let read = 0
  while (read < length) {
    const more = readSync(fd, bytes, read, length - read, position + read)
    if (more === 0) break
    read += more
  }
  return bytes.subarray(0, read)
}
