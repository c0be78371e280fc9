import { closeSync, fstatSync, fsync, ftruncateSync, openSync, readSync, unlinkSync, writevSync } from 'node:fs'
import { promisify } from 'node:util'
import { codeOf } from '../disk-errors.ts'
import { formatBlockHeader, formatHead, formatTombstone, HEADER_BYTES, newHead } from './record.ts'
import type { Place, SegmentHead } from './record.ts'
import { Rows } from './rows.ts'

const flush = promisify(fsync)

/** What is known of a segment when it is opened. */
export interface SegmentState {
  readonly head: SegmentHead
  /** The end of its last whole record. */
  readonly size: number
  /** Up to where its index vouches for it. */
  readonly covered: number
  readonly rows: Rows
}

/**
 * One segment: a file that only ever grows at its end. Reads and writes are at once, so that nobody reads while somebody else
 * writes, moves or deletes; only making it durable is left to another thread.
 *
 * Invariants:
 * 1. What stands before `size` is whole records. A write that fails is cut off again; where even that fails nothing more is
 *    written to this segment.
 * 2. The file is closed before it is deleted, and not while it is being made durable.
 */
export class SegmentFile {
  readonly number: number
  readonly file: string
  readonly head: SegmentHead
  size: number
  covered: number
  /** Of the records in it; forgotten when its index is written and nothing is added any more. */
  rows: Rows | undefined
  /** Bytes of records that are in use, their headers with them. */
  liveBytes = 0
  /** Tombstones in it, by the number of the segment that they speak of. */
  readonly tombstones = new Map<number, number>()
  /** What was written only in part could not be cut off. */
  isBroken = false
  #synced = 0
  #fd: number | undefined
  #syncs = 0
  #lastSync: Promise<void> = Promise.resolve()

  constructor(number: number, file: string, { head, size, covered, rows }: SegmentState) {
    this.number = number
    this.file = file
    this.head = head
    this.size = size
    this.covered = covered
    this.rows = rows
    // What an index vouches for was made durable before; after a crash nobody knows about the rest.
    this.#synced = covered
  }

  /** Makes a new file. */
  static create(number: number, file: string): SegmentFile {
    const head = newHead()
    const segment = new SegmentFile(number, file, { head, size: 0, covered: 0, rows: new Rows() })
    const fd = openSync(file, 'wx+', 0o600)
    try {
      segment.#fd = fd
      segment.#write([formatHead(head)])
    } catch (cause) {
      segment.#fd = undefined
      closeSync(fd)
      unlinkSync(file)
      throw cause
    }
    return segment
  }

  get isOpen(): boolean {
    return this.#fd !== undefined
  }

  /** Where it was written. @throws what the system says */
  addBlock(digest: Uint8Array, bytes: Uint8Array): number {
    const at = this.#write([formatBlockHeader(this.head, digest, bytes.length), bytes])
    this.rows?.addBlock(digest, at, bytes.length)
    this.liveBytes += HEADER_BYTES + bytes.length
    return at
  }

  addTombstone(names: Place): void {
    const at = this.#write([formatTombstone(this.head, names)])
    this.rows?.addTombstone(at, names)
    this.tombstones.set(names.segment, (this.tombstones.get(names.segment) ?? 0) + 1)
  }

  /** The bytes of a block, as they are on the disk; fewer when the file is shorter. */
  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    const read = readSync(this.#open(), bytes, 0, length, offset + HEADER_BYTES)
    return bytes.subarray(0, read)
  }

  /** Makes all that was written so far durable. @throws what the system says */
  async sync(): Promise<void> {
    const run = this.#lastSync.then(() => this.#syncNow())
    this.#lastSync = run.catch(() => undefined)
    await run
  }

  /** Nobody is making it durable any more. */
  async settled(): Promise<void> {
    await this.#lastSync
  }

  isSynced(end: number): boolean {
    return end <= this.#synced
  }

  /** The next use opens it again. */
  close(): void {
    const fd = this.#fd
    if (fd === undefined || this.#syncs > 0) return
    this.#fd = undefined
    closeSync(fd)
  }

  /** Makes it as long as its records: what a crash left behind them is gone. @throws what the system says */
  cutTail(): void {
    const fd = this.#open()
    if (fstatSync(fd).size > this.size) ftruncateSync(fd, this.size)
  }

  /** False when it is just being made durable. @throws what the system says */
  remove(): boolean {
    this.close()
    if (this.isOpen) return false
    try {
      unlinkSync(this.file)
    } catch (cause) {
      if (codeOf(cause) !== 'ENOENT') throw cause
    }
    return true
  }

  async #syncNow(): Promise<void> {
    const until = this.size
    if (until <= this.#synced) return
    const fd = this.#open()
    this.#syncs += 1
    try {
      await flush(fd)
      this.#synced = until
    } finally {
      this.#syncs -= 1
    }
  }

  #write(parts: readonly Uint8Array[]): number {
    const at = this.size
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    const fd = this.#open()
    try {
      let done = writevSync(fd, parts, at)
      while (done < length) done += writevSync(fd, [Buffer.concat(parts).subarray(done)], at + done)
    } catch (cause) {
      this.#cutOff(fd, at)
      throw cause
    }
    this.size = at + length
    return at
  }

  #cutOff(fd: number, at: number): void {
    try {
      ftruncateSync(fd, at)
    } catch {
      this.isBroken = true
    }
  }

  #open(): number {
    return (this.#fd ??= openForUse(this.file))
  }
}

/** A disk that takes no writes gives its bytes all the same; who writes to it is told by the system. */
function openForUse(file: string): number {
  try {
    // 'r+': Windows makes durable only what may be written.
    return openSync(file, 'r+')
  } catch (cause) {
    if (!['EROFS', 'EACCES', 'EPERM'].includes(codeOf(cause) ?? '')) throw cause
    return openSync(file, 'r')
  }
}
