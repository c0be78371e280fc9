import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync
} from 'node:fs'
import { mkdir, open, opendir, readdir, rename, rm, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { NextToLast } from 'blockstore-fs/sharding'
import { CID } from 'multiformats/cid'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { folderNumber, numberOfFolder } from './block-folder.ts'
import { BlockUsage } from './block-usage.ts'
import type { BlockCount } from './block-usage.ts'
import { codeOf, isDamage, toWriteError } from './disk-errors.ts'
import { isTemporary, syncDir, temporaryName } from './durable.ts'
import type { FlushFailures } from './flush-together.ts'
import type { Quarantine } from './quarantine.ts'
import { SyncAhead } from './sync-ahead.ts'
import type { Turn } from './turn.ts'
import { corruptBlock, isBlock, isStorable, missingBlock } from './verified-blocks.ts'
import type { AbortOptions, PutOptions } from './verified-blocks.ts'

const RAW = 0x55

/**
 * Blocks in files of their own, laid out as blockstore-fs lays them out (it can open the folder, test/storage/blocks.test.ts), read
 * and written by ourselves: its writer gives two concurrent puts of one block the same temporary file, hides ENOSPC in a
 * text, and makes the folder at each put; its reader takes three times as long, in pieces of 64 KiB.
 *
 *   <dir>/XY/<base32 multihash ending in XY>.data   a block
 *   <dir>/XY/.tmp-*                                 a write under way: a crash leaves it, the next open clears it. Beside the
 *                                                   block, because a rename within one folder is the cheaper one
 */
export class BlockFiles {
  readonly #dir: string
  readonly #quarantine: Quarantine
  readonly #layout = new NextToLast()
  /** Those that are there, by their numbers. What would be in another one is not here: that takes no look at the disk. */
  readonly #folders = new Set<number>()
  readonly #turn: Turn
  readonly #ahead = new SyncAhead()
  readonly usage = new BlockUsage(
    () => this.shards(),
    shard => this.#countIn(shard)
  )
  /** Large blocks that are left to another thread, as the disk is slow. */
  #elsewhere = 0
  /** One more with each large block that took long, one less with each that did not. */
  #slowness = 0

  constructor(dir: string, { quarantine, turn }: { readonly quarantine: Quarantine; readonly turn: Turn }) {
    this.#dir = dir
    this.#quarantine = quarantine
    this.#turn = turn
  }

  /** 128 folders at most: 85 ms for 100,000 blocks. Whoever opens the folder holds the lock, so nobody is writing. */
  async recover(): Promise<void> {
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 })
      // One that an operator has put elsewhere, with a link to it, too.
      for (const name of await readdir(this.#dir)) {
        const number = numberOfFolder(name)
        if (number !== undefined) this.#folders.add(number)
      }
      for (const folder of await this.#listFolders()) {
        const leftovers = (await readdir(folder)).filter(isTemporary)
        for (const name of leftovers) await rm(join(folder, name), { force: true })
      }
    } catch (cause) {
      throw toWriteError(cause, 'the folder of blocks')
    }
  }

  async write(cid: CID, bytes: Uint8Array, { atOnce = false }: PutOptions = {}): Promise<void> {
    const file = this.#fileOf(cid)
    if (bytes.length <= LIMITS.storage.writeNowBytes) {
      if (!atOnce) await this.#turn.rest()
      return this.#writeNow(cid, file, bytes)
    }
    if (this.#elsewhere === 0) return this.#writeLargeNow(cid, file, bytes)
    this.#elsewhere -= 1
    // A file of that name is not yet a block: it may be what a power cut left.
    const existing = await readWhole(file).catch(() => undefined)
    if (existing !== undefined && isBlock(cid, existing)) return
    const folder = dirname(file)
    const temporary = join(folder, temporaryName())
    try {
      await this.#make(cid, folder)
      const handle = await open(temporary, 'wx', 0o600)
      try {
        await handle.writeFile(bytes)
      } finally {
        await handle.close()
      }
      await rename(temporary, file)
      this.#written(file, existing, bytes)
    } catch (cause) {
      await rm(temporary, { force: true }).catch(() => undefined)
      throw toWriteError(cause, `block ${cid.toString()}`)
    }
  }

  /**
   * What is not written when the process is killed comes over the network again. A machine at work makes one write in ten take long
   * whatever its disk is; of a disk that is slow most do.
   */
  #writeLargeNow(cid: CID, file: string, bytes: Uint8Array): void {
    const { writeNowMs, slowWrites, writesElsewhere } = LIMITS.storage
    const started = performance.now()
    this.#writeNow(cid, file, bytes)
    const isSlow = performance.now() - started > writeNowMs
    this.#slowness = isSlow ? Math.min(slowWrites, this.#slowness + 1) : Math.max(0, this.#slowness - 1)
    if (isSlow && this.#slowness === slowWrites) this.#elsewhere = writesElsewhere
  }

  /** The same at once, for a small block in a quarter of the time. */
  #writeNow(cid: CID, file: string, bytes: Uint8Array): void {
    const existing = this.readNow(cid)
    if (existing !== undefined && isBlock(cid, existing)) return
    const folder = dirname(file)
    const temporary = join(folder, temporaryName())
    try {
      if (!this.#hasFolder(cid)) mkdirSync(folder, { recursive: true, mode: 0o700 })
      this.#folders.add(folderNumber(cid))
      writeFileSync(temporary, bytes, { flag: 'wx', mode: 0o600 })
      renameSync(temporary, file)
      this.#written(file, existing, bytes)
    } catch (cause) {
      rmSync(temporary, { force: true })
      throw toWriteError(cause, `block ${cid.toString()}`)
    }
  }

  async read(cid: CID, { signal }: AbortOptions = {}): Promise<Uint8Array | undefined> {
    signal?.throwIfAborted()
    const file = this.#fileOf(cid)
    let bytes: Uint8Array
    try {
      bytes = await readWhole(file)
    } catch (cause) {
      if (codeOf(cause) === 'ENOENT') return undefined
      if (!isDamage(cause)) throw new RegistryError('UNKNOWN_FILE', `block ${cid.toString()} cannot be read`, { cause })
      await this.#setAside(cid, file)
      throw corruptBlock(cid, cause)
    }
    signal?.throwIfAborted()
    if (isBlock(cid, bytes)) return bytes
    await this.#setAside(cid, file)
    throw corruptBlock(cid)
  }

  readNow(cid: CID): Uint8Array | undefined {
    if (!this.#hasFolder(cid)) return undefined
    const file = this.#fileOf(cid)
    try {
      // Most that are looked for are not here, and that an error says so costs more than the look.
      return statSync(file, { throwIfNoEntry: false }) === undefined ? undefined : readFileNow(file)
    } catch {
      return undefined
    }
  }

  /** False says for certain that no file of ours is there. */
  mayHave(cid: CID): boolean {
    return this.sizeOf(cid) !== undefined
  }

  /** What a block is called here. */
  nameOf(cid: CID): string {
    return basename(this.#fileOf(cid))
  }

  async has(cid: CID, { signal }: AbortOptions = {}): Promise<boolean> {
    signal?.throwIfAborted()
    await this.#turn.rest()
    if (!this.#hasFolder(cid)) return false
    try {
      return statSync(this.#fileOf(cid), { throwIfNoEntry: false }) !== undefined
    } catch (error) {
      throw new RegistryError('UNKNOWN_FILE', `block ${cid.toString()} cannot be looked up`, { cause: error })
    }
  }

  async delete(cid: CID, { signal }: AbortOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    const file = this.#fileOf(cid)
    const size = this.sizeOf(cid) ?? 0
    try {
      await unlink(file)
      this.usage.changed(nameOf(file), -1, -size)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw toWriteError(error, `the removal of block ${cid.toString()}`)
    }
  }

  async flush(cids: readonly CID[]): Promise<FlushFailures> {
    const folders = new Set<string>()
    const failures = new Map<string, unknown>()
    if (cids.length === 0) return failures
    await inGroups(cids, async cid => {
      const file = this.#fileOf(cid)
      try {
        await this.#ahead.finish(file)
        folders.add(dirname(file))
      } catch (cause) {
        const isGone = codeOf(cause) === 'ENOENT'
        const key = cid.toString()
        failures.set(key, isGone ? missingBlock(cid, cause) : toWriteError(cause, `block ${key}`))
      }
    })
    try {
      // A folder is synced after the files in it were, and before the folder that holds its own name.
      await inGroups(folders, syncDir)
      await syncDir(this.#dir)
    } catch (cause) {
      throw toWriteError(cause, 'the folder of blocks')
    }
    return failures
  }

  sizeOf(cid: CID): number | undefined {
    if (!this.#hasFolder(cid)) return undefined
    try {
      return statSync(this.#fileOf(cid), { throwIfNoEntry: false })?.size
    } catch {
      return undefined
    }
  }

  /** A crash of the machine may bring back what was deleted: a block that nothing refers to, which is deleted again. */
  sweep(cid: CID, isFree: () => boolean): number | undefined {
    const size = this.sizeOf(cid)
    if (size === undefined || !isFree()) return undefined
    const file = this.#fileOf(cid)
    try {
      unlinkSync(file)
    } catch (cause) {
      if (codeOf(cause) === 'ENOENT') return undefined
      throw toWriteError(cause, `the removal of block ${cid.toString()}`)
    }
    this.usage.changed(nameOf(file), -1, -size)
    return size
  }

  async shards(): Promise<readonly string[]> {
    return (await this.#listFolders()).map(folder => basename(folder)).toSorted()
  }

  async *keysIn(shard: string): AsyncGenerator<CID> {
    let entries
    try {
      entries = await opendir(join(this.#dir, shard))
    } catch (cause) {
      if (codeOf(cause) === 'ENOENT') return
      throw new RegistryError('UNKNOWN_FILE', `the folder ${shard} of blocks cannot be read`, { cause })
    }
    for await (const entry of entries) {
      const cid = this.#cidOf(entry.name)
      if (cid !== undefined) yield cid
    }
  }

  async #countIn(shard: string): Promise<BlockCount> {
    let [blocks, bytes] = [0, 0]
    for await (const cid of this.keysIn(shard)) {
      await this.#turn.rest()
      blocks += 1
      bytes += this.sizeOf(cid) ?? 0
    }
    return { blocks, bytes }
  }

  #written(file: string, before: Uint8Array | undefined, bytes: Uint8Array): void {
    if (bytes.length > LIMITS.storage.writeNowBytes) this.#ahead.begin(file)
    if (before === undefined) this.usage.changed(nameOf(file), 1, bytes.length)
    else this.usage.changed(nameOf(file), 0, bytes.length - before.length)
  }

  #cidOf(name: string): CID | undefined {
    try {
      const { multihash } = this.#layout.decode(name)
      const cid = CID.createV1(RAW, multihash)
      return isStorable(cid) && basename(this.#fileOf(cid)) === name ? cid : undefined
    } catch {
      // Not ours: an operator's notes, a file manager's thumbnails.
      return undefined
    }
  }

  #fileOf(cid: CID): string {
    const { dir, file } = this.#layout.encode(cid)
    return join(this.#dir, dir, file)
  }

  #hasFolder(cid: CID): boolean {
    return this.#folders.has(folderNumber(cid))
  }

  async #make(cid: CID, folder: string): Promise<void> {
    if (this.#hasFolder(cid)) return
    await mkdir(folder, { recursive: true, mode: 0o700 })
    this.#folders.add(folderNumber(cid))
  }

  /** Folders whose names blocks could be in: `.quarantine` and an operator's own are left alone. */
  async #listFolders(): Promise<readonly string[]> {
    const entries = await readdir(this.#dir, { withFileTypes: true })
    return entries
      .filter(entry => entry.isDirectory() && /^[A-Z2-7]{2}$/.test(entry.name))
      .map(entry => join(this.#dir, entry.name))
  }

  async #setAside(cid: CID, file: string): Promise<void> {
    try {
      const { size } = await stat(file)
      const aside = await this.#quarantine.take(file)
      this.usage.changed(nameOf(file), -1, -size)
      // Race: a put may have healed the file after it was read, and what was moved is whole. It goes back.
      if (isBlock(cid, await readWhole(aside))) {
        await rename(aside, file)
        return this.usage.changed(nameOf(file), 1, size)
      }
      await this.#quarantine.prune()
    } catch {
      // A disk that cannot move it aside (or another reader who was first) must not hide that the block is damaged.
      await rm(file, { force: true }).catch(() => undefined)
    }
  }
}

/** The folder that a block is in, by its name alone. */
function nameOf(file: string): string {
  return basename(dirname(file))
}

/** Waits for the disk that many times at once. All of a group have ended before a failure is thrown. */
async function inGroups<T>(items: Iterable<T>, task: (item: T) => Promise<void>): Promise<void> {
  const all = [...items]
  for (let from = 0; from < all.length; from += LIMITS.storage.syncsInFlight) {
    const group = all.slice(from, from + LIMITS.storage.syncsInFlight)
    const settled = await Promise.allSettled(group.map(task))
    for (const result of settled) if (result.status === 'rejected') throw result.reason
  }
}

/** One byte more than a block may have is enough to know that it is none, so a huge file costs no memory. */
async function readWhole(file: string): Promise<Uint8Array> {
  const handle = await open(file, 'r')
  try {
    const { size } = await handle.stat()
    const bytes = new Uint8Array(Math.min(size, LIMITS.content.blockBytes + 1))
    let length = 0
    while (length < bytes.length) {
      const { bytesRead } = await handle.read(bytes, length, bytes.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return bytes.subarray(0, length)
  } finally {
    await handle.close()
  }
}

/** A small file whole; a large one is left to those who wait. */
function readFileNow(file: string): Uint8Array | undefined {
  const fd = openSync(file, 'r')
  try {
    const { size } = fstatSync(fd)
    if (size > LIMITS.content.chunkBytes) return undefined
    const bytes = new Uint8Array(size)
    return readSync(fd, bytes, 0, size, 0) === size ? bytes : undefined
  } finally {
    closeSync(fd)
  }
}
