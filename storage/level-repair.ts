import { crc32 } from 'node:zlib'
import { rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Level } from 'level'
import { LIMITS } from '../protocol/limits.ts'
import { codeOf } from './disk-errors.ts'
import { syncDir } from './durable.ts'

export type Database = Level<string, Uint8Array>

const CHECKSUM_BYTES = 4

/** The value followed by the crc32 of its key and itself. */
export function seal(key: string, value: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(value.length + CHECKSUM_BYTES)
  sealed.set(value)
  new DataView(sealed.buffer).setUint32(value.length, crc32(value, crc32(key)))
  return sealed
}

/** The value of a record, or undefined when it does not match its checksum. */
export function contentOf(key: string, sealed: Uint8Array): Uint8Array | undefined {
  const length = sealed.length - CHECKSUM_BYTES
  // A plain Uint8Array: LevelDB hands out Buffers, whose `slice` shares memory where a Uint8Array's copies.
  const value = new Uint8Array(sealed.buffer, sealed.byteOffset, Math.max(0, length))
  const view = new DataView(sealed.buffer, sealed.byteOffset, sealed.byteLength)
  return length >= 0 && view.getUint32(length) === crc32(value, crc32(key)) ? value : undefined
}

export async function newDatabase(dir: string): Promise<Database> {
  // Lazy: the native addon costs every command 15 ms, and most commands ask a running node.
  const { Level } = await import('level')
  return new Level<string, Uint8Array>(dir, { keyEncoding: 'utf8', valueEncoding: 'view' })
}

/** LevelDB's own repair of a folder that nobody has open: makes an index of whatever tables can be read. */
export async function repairFiles(dir: string): Promise<void> {
  const { Level } = await import('level')
  // `level` types what a browser has as well; this is Node's part of it.
  await (Level as unknown as { repair(location: string): Promise<void> }).repair(dir)
}

/**
 * Writes what can be read in a folder into a new one, which then takes its place. A bit that flipped in an index or a
 * filter hides records from some reads and not from others, and a damaged key can't even be deleted: only new files end
 * that. Whoever calls has closed the folder.
 *
 *   <dir>.rebuilt   being written; of no use until it is whole
 *   <dir>.damaged   the old files, moved away: from now on the other folder is whole
 *
 * A crash leaves the old store, or both folders without it, or the new store and rubbish: `finishRebuild` tells them apart.
 */
export async function rebuildFiles(dir: string): Promise<void> {
  const [rebuilt, damaged] = foldersOf(dir)
  const copy = async (read: (db: Database) => AsyncIterable<Entry>): Promise<boolean> => {
    await rm(rebuilt, { recursive: true, force: true })
    return copySound(dir, rebuilt, read).then(isDone, isNotDone)
  }
  if (!(await copy(allOf)) && !(await copy(readableOf))) {
    // It can't even be opened. LevelDB makes another index, and leaves out whole tables that make no sense. Last of all:
    // where a flipped bit put keys out of order, it ends the whole process, and would after each start.
    await repairFiles(dir)
    await rm(rebuilt, { recursive: true, force: true })
    await copySound(dir, rebuilt, readableOf)
  }
  await rename(dir, damaged)
  try {
    await rename(rebuilt, dir)
  } catch (error) {
    await rename(damaged, dir)
    throw error
  }
  await syncDir(dirname(dir))
  await rm(damaged, { recursive: true, force: true })
}

/** Ends, or takes back, a rebuild that a crash interrupted. Whoever opens the folder holds its lock. */
export async function finishRebuild(dir: string): Promise<void> {
  const [rebuilt, damaged] = foldersOf(dir)
  if (!(await isThere(dir)) && (await isThere(damaged)) && (await isThere(rebuilt))) await rename(rebuilt, dir)
  await rm(rebuilt, { recursive: true, force: true })
  await rm(damaged, { recursive: true, force: true })
}

function foldersOf(dir: string): readonly [rebuilt: string, damaged: string] {
  return [`${dir}.rebuilt`, `${dir}.damaged`]
}

type Entry = readonly [key: string, value: Uint8Array]

function allOf(db: Database): AsyncIterable<Entry> {
  return db.iterator()
}

/**
 * Every record that is met on the way through. A key that makes no sense is passed over by LevelDB, which says so at the
 * end, in place of the last entries: those are read one by one.
 */
async function* readableOf(db: Database): AsyncGenerator<Entry> {
  let last = ''
  for (const size of [LIMITS.storage.readAheadEntries, 1]) {
    const iterator = db.iterator({ gt: last })
    try {
      for (;;) {
        const piece = await iterator.nextv(size)
        if (piece.length === 0) return
        for (const entry of piece) yield entry
        last = piece.at(-1)?.[0] ?? last
      }
    } catch (error) {
      if (codeOf(error) !== 'LEVEL_CORRUPTION') throw error
    } finally {
      await iterator.close()
    }
  }
}

async function copySound(from: string, to: string, read: (db: Database) => AsyncIterable<Entry>): Promise<void> {
  const [source, target] = [await newDatabase(from), await newDatabase(to)]
  try {
    await source.open()
    await target.open()
    let ops: { type: 'put'; key: string; value: Uint8Array }[] = []
    let bytes = 0
    for await (const [key, value] of read(source)) {
      if (!/^[!-~]+$/.test(key) || contentOf(key, value) === undefined) continue
      ops.push({ type: 'put', key, value })
      bytes += value.length
      if (ops.length < LIMITS.admission.keysPerWrite && bytes < LIMITS.admission.factBytesPerWrite) continue
      await target.batch(ops)
      ops = []
      bytes = 0
    }
    // The last write is durable, and with it all before.
    await target.batch(ops, { sync: true })
  } finally {
    await source.close()
    await target.close()
  }
}

const isDone = (): boolean => true
const isNotDone = (): boolean => false

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false
  )
}
