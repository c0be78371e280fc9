import { rename } from 'node:fs/promises'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { BlockCount } from '../block-usage.ts'
import { codeOf, isDamage, isDiskFull, toWriteError } from '../disk-errors.ts'
import type { FlushFailures } from '../flush-together.ts'
import type { Quarantine } from '../quarantine.ts'
import type { Turn } from '../turn.ts'
import { corruptBlock, isBlock, missingBlock } from '../verified-blocks.ts'
import type { AbortOptions, CompactOptions } from '../verified-blocks.ts'
import type { BlockIndex, Located } from './block-index.ts'
import { compactSegments } from './compact.ts'
import { loadSegments } from './load-segments.ts'
import type { LoadedSegments } from './load-segments.ts'
import { HEADER_BYTES } from './record.ts'
import type { Place } from './record.ts'
import type { SegmentFile } from './segment-file.ts'
import { Segments } from './segments.ts'
import type { SegmentBounds } from './segments.ts'

const RAW = 0x55
const SHA2_256 = 0x12

export interface SmallBlocksInit {
  readonly dir: string
  readonly quarantine: Quarantine
  readonly turn: Turn
  /** What a damaged block is called where it is set aside. */
  readonly nameOf: (cid: CID) => string
  readonly bounds: SegmentBounds
}

/**
 * Small blocks, many in one file: a file of their own costs as much as one of a large block, several times what writing them
 * does, and a sync each.
 *
 *   <dir>/0000000001.segment   records, appended (record.ts)
 *   <dir>/0000000001.index     what stands in it, once it grows no more (rows.ts)
 *
 * Where a block is, is known from memory. What is looked up, read, written, moved and deleted is so at once, with nothing in
 * between: a reader sees a block at its old place or at its new one.
 *
 * | crash | leaves |
 * |---|---|
 * | in a write | a record that is not whole: it is cut off |
 * | of the machine | a part of what was not flushed; what does not match its digest counts only where nothing else does |
 * | before an index is written | a segment that is read when the store opens |
 * | when blocks were moved, and what they were in is not deleted | both: the newer one counts, and the older one is marked deleted |
 * | after a deletion, of the machine | perhaps the block: nothing refers to it, and it is deleted again |
 */
export class SmallBlocks {
  readonly #init: SmallBlocksInit
  readonly #segments: Segments
  readonly #index: BlockIndex
  #bytes: number
  #compacting: Promise<unknown> = Promise.resolve()

  private constructor(init: SmallBlocksInit, { segments, index, bytes, superseded }: LoadedSegments) {
    this.#init = init
    this.#segments = new Segments(init.dir, segments, init.bounds)
    this.#index = index
    this.#bytes = bytes
    for (const place of superseded) this.#mark(place)
  }

  static async open(init: SmallBlocksInit): Promise<SmallBlocks> {
    const { dir, quarantine, turn } = init
    const damaged = async (file: string): Promise<void> => {
      // Where it cannot be set aside (the disk is full), it stays under a name that is no segment's: a node starts all the same.
      await quarantine.take(file).catch(() => rename(file, `${file}.damaged`))
      await quarantine.prune().catch(() => undefined)
    }
    return new SmallBlocks(init, await loadSegments(dir, { damaged, rest: () => turn.rest() }))
  }

  /** Whether one more has room in memory. */
  get hasRoom(): boolean {
    return this.#index.count < this.#init.bounds.blocks
  }

  has(cid: CID): boolean {
    return this.#find(cid) !== undefined
  }

  sizeOf(cid: CID): number | undefined {
    return this.#find(cid)?.length
  }

  usage(): BlockCount {
    return { blocks: this.#index.count, bytes: this.#bytes }
  }

  /** What deletions left in segments. */
  deadBytes(): number {
    let bytes = 0
    for (const segment of this.#segments.all) bytes += this.#segments.deadBytesOf(segment)
    return bytes
  }

  /** The bytes as they are on the disk; undefined says nothing. */
  readNow(cid: CID): Uint8Array | undefined {
    const found = this.#find(cid)
    if (found === undefined || this.#segments.isClosed) return undefined
    try {
      const bytes = this.#bytesAt(found)
      return bytes.length === found.length ? bytes : undefined
    } catch {
      return undefined
    }
  }

  async read(cid: CID, { signal }: AbortOptions = {}): Promise<Uint8Array | undefined> {
    signal?.throwIfAborted()
    await this.#init.turn.rest()
    signal?.throwIfAborted()
    const found = this.#find(cid)
    if (found === undefined) return undefined
    this.#segments.assertOpen()
    let bytes: Uint8Array = new Uint8Array(0)
    let cause: unknown
    try {
      bytes = this.#bytesAt(found)
    } catch (error) {
      if (!isGone(error))
        throw new RegistryError('UNKNOWN_FILE', `block ${cid.toString()} cannot be read`, { cause: error })
      cause = error
    }
    if (bytes.length === found.length && isBlock(cid, bytes)) return bytes
    this.#drop(cid, found)
    // A disk that cannot keep it must not hide that the block is damaged.
    await this.#init.quarantine.keep(this.#init.nameOf(cid), bytes).catch(() => undefined)
    throw corruptBlock(cid, cause)
  }

  /** Whether the block is here and what is on the disk matches it. One that does not is forgotten. */
  isSound(cid: CID): boolean {
    const found = this.#find(cid)
    if (found === undefined) return false
    const bytes = this.readNow(cid)
    if (bytes !== undefined && isBlock(cid, bytes)) return true
    this.#drop(cid, found)
    return false
  }

  /** @throws RegistryError DISK_FULL | READ_ONLY */
  put(cid: CID, bytes: Uint8Array): void {
    this.#segments.assertOpen()
    try {
      this.#append(cid.multihash.digest, bytes)
      this.#bytes += bytes.length
    } catch (cause) {
      throw toWriteError(cause, `block ${cid.toString()}`)
    }
  }

  /** The bytes that came free; undefined when it is not here. @throws RegistryError READ_ONLY */
  remove(cid: CID): number | undefined {
    const found = this.#find(cid)
    if (found === undefined) return undefined
    this.#segments.assertOpen()
    try {
      this.#drop(cid, found)
    } catch (cause) {
      throw toWriteError(cause, `the removal of block ${cid.toString()}`)
    }
    return found.length
  }

  /** One sync for each segment that grew, however many blocks came. */
  async flush(cids: readonly CID[]): Promise<FlushFailures> {
    const failures = new Map<string, unknown>()
    const grown = new Set<SegmentFile>()
    try {
      for (const cid of cids) {
        const found = this.#find(cid)
        const segment = found === undefined ? undefined : this.#segments.named(found.segment)
        if (found === undefined || segment === undefined) continue
        if (!segment.isSynced(found.offset + HEADER_BYTES + found.length)) grown.add(segment)
      }
      await this.#segments.sync(grown)
    } catch (cause) {
      throw toWriteError(cause, 'the folder of blocks')
    }
    for (const cid of cids) if (!this.has(cid)) failures.set(cid.toString(), missingBlock(cid))
    return failures
  }

  /** By the first bits of their digests, so that a block that is moved stays in its part. */
  parts(): readonly string[] {
    if (this.#index.count === 0) return []
    return Array.from({ length: LIMITS.segments.parts }, (_, part) => partName(part))
  }

  *keysIn(name: string): Generator<CID> {
    const digests = this.#index.digests(firstByte => partName(partOf(firstByte)) === name)
    for (const digest of digests) {
      if (this.#index.get(digest) !== undefined) yield CID.createV1(RAW, createDigest(SHA2_256, digest))
    }
  }

  /** The bytes of files that came free. One at a time. */
  async compact(options: CompactOptions = {}): Promise<number> {
    const run = this.#compacting.then(() => this.#compact(options))
    this.#compacting = run.catch(() => undefined)
    return run
  }

  /** Nothing is written or read afterwards. */
  async close(): Promise<void> {
    this.#segments.stop()
    await this.#compacting
    await this.#segments.close()
  }

  async #compact({ isThorough = false, signal }: CompactOptions): Promise<number> {
    try {
      return await this.#compactNow(isThorough, signal)
    } catch (cause) {
      signal?.throwIfAborted()
      throw toWriteError(cause, 'small blocks anew')
    }
  }

  async #compactNow(isThorough: boolean, signal: AbortSignal | undefined): Promise<number> {
    return compactSegments(this.#segments, {
      dir: this.#init.dir,
      isThorough,
      liveIn: ({ number }) => this.#index.digests((_, segment) => segment === number),
      move: (digest, from) => this.#move(digest, from),
      mark: place => this.#mark(place),
      rest: async () => {
        signal?.throwIfAborted()
        this.#segments.assertOpen()
        await this.#init.turn.rest()
      }
    })
  }

  /** Whether a block that was to be moved still stands there is looked at now. One that is damaged stays. */
  #move(digest: Uint8Array, from: SegmentFile): void {
    const found = this.#index.get(digest)
    if (found?.segment !== from.number) return
    let bytes: Uint8Array
    try {
      bytes = this.#bytesAt(found)
    } catch (cause) {
      if (isGone(cause)) return
      throw cause
    }
    if (bytes.length !== found.length || !isBlock(cidOf(digest), bytes)) return
    this.#append(digest, bytes)
    from.liveBytes -= HEADER_BYTES + found.length
  }

  /** The index names the new place from here on. @throws what the system says */
  #append(digest: Uint8Array, bytes: Uint8Array): void {
    const segment = this.#segments.growing()
    const offset = segment.addBlock(digest, bytes)
    this.#index.set(digest, { segment: segment.number, offset, length: bytes.length })
  }

  #drop({ multihash: { digest } }: CID, found: Located): void {
    this.#mark(found)
    this.#index.delete(digest)
    this.#bytes -= found.length
    this.#segments.named(found.segment).liveBytes -= HEADER_BYTES + found.length
  }

  /** On a full disk nothing says that it is deleted: when the store opens again it is there, and nothing refers to it. */
  #mark(place: Place): void {
    try {
      this.#segments.growing().addTombstone(place)
    } catch (cause) {
      if (!isDiskFull(cause)) throw cause
    }
  }

  #find({ multihash: { digest } }: CID): Located | undefined {
    return this.#index.get(digest)
  }

  #bytesAt({ segment, offset, length }: Located): Uint8Array {
    return this.#segments.named(segment).read(offset, length)
  }
}

function partOf(firstByte: number): number {
  return Math.floor((firstByte * LIMITS.segments.parts) / 256)
}

/** Whether a part of a store is one of small blocks. */
export function isSmallPart(name: string): boolean {
  return name.startsWith('small-')
}

/** After the names of folders, so that a look through all parts that began with those goes on with these. */
function partName(part: number): string {
  return `small-${String(part).padStart(2, '0')}`
}

function cidOf(digest: Uint8Array): CID {
  return CID.createV1(RAW, createDigest(SHA2_256, digest))
}

/** Lost with its bytes, or with its name. */
function isGone(error: unknown): boolean {
  return isDamage(error) || codeOf(error) === 'ENOENT'
}
