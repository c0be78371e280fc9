import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, isDamage } from '../disk-errors.ts'
import { isTemporary } from '../durable.ts'
import { BlockIndex } from './block-index.ts'
import type { Place } from './record.ts'
import { HEADER_BYTES } from './record.ts'
import { readSegment } from './read-segment.ts'
import type { ReadSegment, Suspect } from './read-segment.ts'
import { SegmentFile } from './segment-file.ts'

/** What a folder of segments holds. */
export interface LoadedSegments {
  readonly segments: Map<number, SegmentFile>
  readonly index: BlockIndex
  /** Bytes of the blocks in the index. */
  readonly bytes: number
  /** Records of blocks of which a newer one is here: a crash came between copying and deleting. */
  readonly superseded: readonly Place[]
}

export const segmentFile = (dir: string, number: number): string => join(dir, `${padded(number)}.segment`)
export const indexFile = (dir: string, number: number): string => join(dir, `${padded(number)}.index`)

function padded(number: number): string {
  return String(number).padStart(10, '0')
}

/**
 * Reads what all segments hold, the newest first: what a tombstone names is in its own segment or an older one, and of two
 * records of a block the newer one was written after the older one was.
 */
export async function loadSegments(
  dir: string,
  { damaged, rest }: { readonly damaged: (file: string) => Promise<void>; readonly rest: () => Promise<void> }
): Promise<LoadedSegments> {
  const loading = new Loading()
  for (const number of await numbersIn(dir)) {
    await rest()
    const file = segmentFile(dir, number)
    const read = readOf(file, indexFile(dir, number))
    if (read === undefined) await damaged(file)
    else loading.add(new SegmentFile(number, file, read), read)
  }
  return loading.end()
}

/** Undefined also where the disk says that it is lost: what is in the others is not. */
function readOf(file: string, index: string): ReadSegment | undefined {
  try {
    return readSegment(file, index)
  } catch (cause) {
    if (!isDamage(cause)) throw cause
    return undefined
  }
}

class Loading {
  readonly #segments = new Map<number, SegmentFile>()
  readonly #index = new BlockIndex()
  /** Offsets of deleted records, by their segment. */
  readonly #deleted = new Map<number, Set<number>>()
  readonly #superseded: Place[] = []
  readonly #suspects: { readonly segment: SegmentFile; readonly suspect: Suspect }[] = []
  #bytes = 0

  add(segment: SegmentFile, { rows, suspects, size, covered }: ReadSegment): void {
    const { number } = segment
    // The newest goes on growing, and its index with it.
    if (covered === size && this.#segments.size > 0) segment.rows = undefined
    this.#segments.set(number, segment)
    for (const names of rows.tombstones()) {
      segment.tombstones.set(names.segment, (segment.tombstones.get(names.segment) ?? 0) + 1)
      const offsets = this.#deleted.get(names.segment) ?? new Set()
      this.#deleted.set(names.segment, offsets.add(names.offset))
    }
    const deleted = this.#deleted.get(number) ?? new Set()
    rows.blocksBackwards((digest, offset, length) => {
      if (deleted.has(offset)) return
      if (this.#index.get(digest) === undefined) this.#take(segment, { digest, offset, length })
      else this.#superseded.push({ segment: number, offset })
    })
    for (const suspect of suspects) if (!deleted.has(suspect.offset)) this.#suspects.push({ segment, suspect })
  }

  end(): LoadedSegments {
    for (const { segment, suspect } of this.#suspects) {
      const { digest, offset, length } = suspect
      if (this.#index.get(digest) !== undefined) continue
      segment.rows?.addBlock(digest, offset, length)
      this.#take(segment, suspect)
    }
    return {
      segments: new Map([...this.#segments].toReversed()),
      index: this.#index,
      bytes: this.#bytes,
      superseded: this.#superseded
    }
  }

  #take(segment: SegmentFile, { digest, offset, length }: Suspect): void {
    this.#index.set(digest, { segment: segment.number, offset, length })
    segment.liveBytes += HEADER_BYTES + length
    this.#bytes += length
  }
}

/** Numbers of the segments in a folder, the highest first. What a crash left beside them is cleared. */
async function numbersIn(dir: string): Promise<readonly number[]> {
  let names: readonly string[]
  try {
    names = await readdir(dir)
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return []
    throw cause
  }
  const numbers: number[] = []
  for (const name of names) {
    const [, digits = '', kind] = /^(\d{10})\.(segment|index)$/.exec(name) ?? []
    const number = Number(digits)
    const isLeft = kind === 'index' && !existsSync(segmentFile(dir, number))
    if (isTemporary(name) || isLeft) await rm(join(dir, name), { force: true })
    else if (kind === 'segment' && number > 0 && number < 2 ** 32) numbers.push(number)
  }
  return numbers.toSorted((a, b) => b - a)
}
