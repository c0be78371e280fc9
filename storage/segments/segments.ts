import { mkdirSync, rmSync } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { RegistryError } from '../../protocol/errors.ts'
import { syncDir, temporaryName } from '../durable.ts'
import { indexFile, segmentFile } from './load-segments.ts'
import { HEAD_BYTES, HEADER_BYTES } from './record.ts'
import { SegmentFile } from './segment-file.ts'

/** From `LIMITS.segments`; tests have them smaller. */
export interface SegmentBounds {
  readonly blocks: number
  readonly fileBytes: number
  readonly fileRecords: number
  readonly openFiles: number
  readonly unindexedBytes: number
}

/**
 * The segments of a folder: which one grows, which are open, what is durable.
 *
 * Invariants:
 * 1. At most `openFiles` are open, and those that are just being made durable.
 * 2. After a sync that failed no other one succeeds: the system tells of lost pages once, and takes them for clean afterwards.
 * 3. An index is written when what it tells of is durable.
 */
export class Segments {
  readonly #dir: string
  readonly #bounds: SegmentBounds
  readonly #segments: Map<number, SegmentFile>
  /** The one that grows. */
  #active: SegmentFile | undefined
  #next: number
  /** Those that are open, the longest unused first. */
  readonly #opened = new Set<SegmentFile>()
  #isFolderNew = false
  #isFolderChanged = false
  #isClosed = false
  #failure: { readonly error: unknown } | undefined
  #sealing: Promise<void> = Promise.resolve()

  /** @param segments in the order of their numbers */
  constructor(dir: string, segments: Map<number, SegmentFile>, bounds: SegmentBounds) {
    this.#dir = dir
    this.#bounds = bounds
    this.#segments = segments
    const newest = [...segments.values()].at(-1)
    this.#next = (newest?.number ?? 0) + 1
    for (const segment of segments.values()) {
      if (segment === newest && !this.#isFull(segment)) this.#adopt(segment)
      else this.seal(segment)
    }
  }

  get all(): Iterable<SegmentFile> {
    return this.#segments.values()
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  has(number: number): boolean {
    return this.#segments.has(number)
  }

  /** For reading from it, at once. */
  named(number: number): SegmentFile {
    const segment = this.#segments.get(number)
    if (segment === undefined) throw new RegistryError('INTERNAL', `there is no segment ${number}`)
    this.assertOpen()
    return this.#use(segment)
  }

  /** The one to write to, at once. @throws what the system says */
  growing(): SegmentFile {
    this.assertOpen()
    const active = this.#active
    if (active !== undefined && !this.#isFull(active)) return this.#use(active)
    this.#active = undefined
    if (active !== undefined) this.seal(active)
    if (this.#segments.size === 0 && mkdirSync(this.#dir, { recursive: true, mode: 0o700 }) !== undefined) {
      this.#isFolderNew = true
    }
    const made = SegmentFile.create(this.#next, segmentFile(this.#dir, this.#next))
    this.#next += 1
    this.#segments.set(made.number, made)
    this.#isFolderChanged = true
    this.#active = made
    return this.#use(made)
  }

  /** Nothing more is written to it. */
  retire(segment: SegmentFile): void {
    if (segment === this.#active) this.#active = undefined
  }

  /** Has its index written, in the background: without one a segment is read when the store opens. */
  seal(segment: SegmentFile): void {
    if (segment.rows === undefined) return
    this.#sealing = this.#sealing.then(() => this.#writeIndex(segment)).catch(() => undefined)
  }

  /** Nobody makes it durable any more, for its index or for a flush. */
  async settled(segment: SegmentFile): Promise<void> {
    await this.#sealing
    await segment.settled()
  }

  /** Makes what was written to them durable. @throws what the system says, also what it said before */
  async sync(segments: Iterable<SegmentFile>): Promise<void> {
    for (const segment of segments) if (!segment.isSynced(segment.size)) await this.#sync(segment)
    if (this.#failure !== undefined) throw this.#failure.error
    await this.#syncFolder()
  }

  /** Deletes one that nobody is making durable; false when that cannot be now. */
  remove(segment: SegmentFile): boolean {
    try {
      if (!segment.remove()) return false
    } catch {
      // Somebody else has it open, on Windows: the next time.
      return false
    }
    rmSync(indexFile(this.#dir, segment.number), { force: true })
    this.#opened.delete(segment)
    this.#segments.delete(segment.number)
    return true
  }

  /** What in it is of no use: deleted blocks, and tombstones of segments that are gone. */
  deadBytesOf({ size, liveBytes, tombstones }: SegmentFile): number {
    let needed = 0
    for (const [number, count] of tombstones) if (this.#segments.has(number)) needed += count * HEADER_BYTES
    return Math.max(0, size - HEAD_BYTES - liveBytes - needed)
  }

  /** Deleting it costs nothing. */
  isUseless(segment: SegmentFile): boolean {
    return this.deadBytesOf(segment) === segment.size - HEAD_BYTES
  }

  /** From here on nothing is read or written. */
  stop(): void {
    this.#isClosed = true
  }

  async close(): Promise<void> {
    this.stop()
    await this.#sealing
    for (const segment of this.#segments.values()) {
      // What was not flushed may still be lost with the machine; it is not with the process.
      const isLong = segment.size - segment.covered > this.#bounds.unindexedBytes
      if (isLong) await this.#writeIndex(segment).catch(() => undefined)
    }
    for (const segment of this.#opened) segment.close()
    this.#opened.clear()
  }

  assertOpen(): void {
    if (this.#isClosed) throw new RegistryError('INTERNAL', 'the store of blocks is closed')
  }

  #isFull({ isBroken, size, rows }: SegmentFile): boolean {
    return isBroken || size >= this.#bounds.fileBytes || (rows?.count ?? 0) >= this.#bounds.fileRecords - 1
  }

  /** What a crash left at its end is cut off before anything is written there. */
  #adopt(segment: SegmentFile): void {
    try {
      this.#use(segment).cutTail()
      this.#active = segment
    } catch {
      this.seal(segment)
    }
  }

  async #writeIndex(segment: SegmentFile): Promise<void> {
    const isHere = (): boolean => this.#segments.get(segment.number) === segment
    if (!isHere() || segment.rows === undefined || segment.covered === segment.size) return
    const covered = segment.size
    const bytes = segment.rows.format(segment.head, covered)
    await this.#sync(segment)
    await this.#syncFolder()
    const temporary = join(this.#dir, temporaryName())
    try {
      await writeFile(temporary, bytes, { flag: 'wx', mode: 0o600 })
      if (isHere()) await rename(temporary, indexFile(this.#dir, segment.number))
    } finally {
      await rm(temporary, { force: true })
    }
    segment.covered = covered
    if (segment !== this.#active && segment.size === covered) segment.rows = undefined
  }

  async #sync(segment: SegmentFile): Promise<void> {
    try {
      await this.#use(segment).sync()
    } catch (error) {
      this.#failure ??= { error }
    }
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** The names of segments, after what is in them. */
  async #syncFolder(): Promise<void> {
    if (!this.#isFolderChanged) return
    const isNew = this.#isFolderNew
    // What is added meanwhile is another change.
    this.#isFolderChanged = this.#isFolderNew = false
    try {
      await syncDir(this.#dir)
      if (isNew) await syncDir(dirname(this.#dir))
    } catch (cause) {
      this.#isFolderChanged = true
      this.#isFolderNew ||= isNew
      throw cause
    }
  }

  #use(segment: SegmentFile): SegmentFile {
    if (this.#opened.delete(segment) || this.#opened.size < this.#bounds.openFiles) {
      this.#opened.add(segment)
      return segment
    }
    for (const oldest of this.#opened) {
      oldest.close()
      if (oldest.isOpen) continue
      this.#opened.delete(oldest)
      break
    }
    this.#opened.add(segment)
    return segment
  }
}
