import { LIMITS } from '../../protocol/limits.ts'
import { isDiskFull } from '../disk-errors.ts'
import { indexFile } from './load-segments.ts'
import { readSegment } from './read-segment.ts'
import type { Place } from './record.ts'
import type { SegmentFile } from './segment-file.ts'
import type { Segments } from './segments.ts'

/** What a compaction does to blocks. Each of it happens at once, but for `rest`. */
interface Compacted {
  readonly dir: string
  /** Also where deletions left little. */
  readonly isThorough: boolean
  readonly liveIn: (segment: SegmentFile) => readonly Uint8Array[]
  /** Writes a block once more. One that is damaged stays where it is, for whoever reads and reports it. */
  readonly move: (digest: Uint8Array, from: SegmentFile) => void
  /** Writes that a record is deleted. */
  readonly mark: (place: Place) => void
  /** Lets others have a turn. @throws when it is to end */
  readonly rest: () => Promise<void>
}

/**
 * Gives back what deletions left: what is still in use of a segment is written anew, made durable, and only then is the segment
 * deleted. A crash in between leaves both.
 *
 * Segments of which nothing is of use go first, so that on a full disk they make the room for the others; then the others from
 * the oldest on, since tombstones speak of older ones. Each is written anew when so much of it is dead that at most three bytes
 * are written for one that comes free.
 */
export async function compactSegments(segments: Segments, blocks: Compacted): Promise<number> {
  let freed = 0
  const isWorth = (segment: SegmentFile): boolean => {
    const dead = segments.deadBytesOf(segment)
    if (blocks.isThorough || segments.isUseless(segment)) return dead > 0
    return 100 * dead >= LIMITS.segments.deadPercent * segment.size
  }
  const all = [...segments.all]
  try {
    for (const segment of [...all.filter(segment => segments.isUseless(segment)), ...all]) {
      if (segments.has(segment.number) && isWorth(segment)) freed += await compactOne(segments, blocks, segment)
    }
  } catch (cause) {
    // Room for what is in use is missing. What came free stays free.
    if (!isDiskFull(cause)) throw cause
  }
  return freed
}

/** The bytes that came free, without those that were written for it. */
async function compactOne(segments: Segments, blocks: Compacted, segment: SegmentFile): Promise<number> {
  segments.retire(segment)
  const dead = segments.deadBytesOf(segment)
  try {
    if (await moveAll(segments, blocks, segment)) await segments.sync(segments.all)
    // Damaged blocks may still be in it.
    if (segment.liveBytes > 0) return 0
    await segments.settled(segment)
    return segments.remove(segment) ? dead : 0
  } finally {
    if (segments.has(segment.number)) segments.seal(segment)
  }
}

/** Whether anything was written. */
async function moveAll(segments: Segments, blocks: Compacted, segment: SegmentFile): Promise<boolean> {
  let isMoved = false
  for (const digest of blocks.liveIn(segment)) {
    await blocks.rest()
    blocks.move(digest, segment)
    isMoved = true
  }
  const rows = segment.rows ?? readSegment(segment.file, indexFile(blocks.dir, segment.number))?.rows
  for (const place of rows?.tombstones() ?? []) {
    if (place.segment === segment.number || !segments.has(place.segment)) continue
    await blocks.rest()
    blocks.mark(place)
    isMoved = true
  }
  return isMoved
}
