import { createHash } from 'node:crypto'
import { link, lstat, open, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { BACKUP_MAGIC, BACKUP_RANKS, encodeBackupRecord, parseBackupRecord } from '../protocol/backup.ts'
import type { BackupRecord } from '../protocol/backup.ts'
import { equalBytes, utf8 } from '../protocol/bytes.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { codeOf, toWriteError } from './disk-errors.ts'
import { syncDir, temporaryName } from './durable.ts'

const MAGIC = utf8(BACKUP_MAGIC)
const LENGTH_BYTES = 4

/** What was written, or read. */
export interface BackupSize {
  readonly records: number
  readonly bytes: number
}

/**
 * Writes a backup to a new file, its end record included, readable by its owner alone. A crash leaves no file of that
 * name, at worst a `.tmp-` file beside it: a backup is whole or not there.
 * @throws RegistryError ALREADY_EXISTS | DISK_FULL | READ_ONLY | UNKNOWN_FILE, and what the records throw
 */
export async function writeBackup(
  file: string,
  records: AsyncIterable<Exclude<BackupRecord, { type: 'end' }>>
): Promise<BackupSize> {
  const temporary = join(dirname(file), temporaryName())
  try {
    const handle = await openNew(temporary, file)
    let size: BackupSize
    try {
      size = await writeRecords(handle, records)
      await handle.sync()
    } catch (cause) {
      throw toWriteError(cause, `the backup ${file}`)
    } finally {
      await handle.close()
    }
    await giveName(temporary, file)
    await syncDir(dirname(file))
    return size
  } finally {
    await rm(temporary, { force: true })
  }
}

/** A link refuses to replace a file in one step. Where there are no links (FAT, some shares) a look has to do. */
async function giveName(temporary: string, file: string): Promise<void> {
  try {
    await link(temporary, file)
  } catch (cause) {
    const isThere = codeOf(cause) === 'EEXIST' || (await lstat(file).catch(() => undefined)) !== undefined
    if (isThere) {
      throw new RegistryError('ALREADY_EXISTS', `${file} is there already`, {
        cause,
        next: 'choose a file that does not exist'
      })
    }
    try {
      await rename(temporary, file)
    } catch (error) {
      throw toWriteError(error, `the backup ${file}`)
    }
  }
}

async function writeRecords(
  handle: FileHandle,
  records: AsyncIterable<Exclude<BackupRecord, { type: 'end' }>>
): Promise<BackupSize> {
  const hash = createHash('sha256')
  let bytes = 0
  let count = 0
  const write = async (part: Uint8Array): Promise<void> => {
    hash.update(part)
    bytes += part.length
    await handle.appendFile(part)
  }
  await write(MAGIC)
  for await (const record of records) {
    count += 1
    await write(frame(record))
  }
  await write(frame({ type: 'end', records: count, digest: hash.copy().digest() }))
  return { records: count, bytes }
}

function frame(record: BackupRecord): Uint8Array {
  const body = encodeBackupRecord(record)
  if (body.length > LIMITS.backup.recordBytes) throw new RegistryError('INTERNAL', 'a record of a backup is too large')
  const out = new Uint8Array(LENGTH_BYTES + body.length)
  new DataView(out.buffer).setUint32(0, body.length)
  out.set(body, LENGTH_BYTES)
  return out
}

/**
 * Reads a backup from its first to its last byte: length, order and shape of every record, and at the end the digest
 * over all of it. What a reader of this acts on before the end record came may be a part of a damaged file, so a
 * restore reads once to check (`checkBackup`) and once to act.
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED | STORE_FORMAT | UNKNOWN_FILE
 */
export async function* readBackup(file: string): AsyncGenerator<BackupRecord> {
  const handle = await openOld(file)
  try {
    const source = new Source(handle)
    const magic = await source.take(MAGIC.length)
    if (magic === undefined || !equalBytes(magic, MAGIC)) throw noBackup(file, magic)
    let rank = 0
    for (let count = 0; count <= LIMITS.backup.records; count++) {
      const digest = source.digest()
      const body = await readFrame(source)
      const record = parseBackupRecord(body)
      if ((record.type === 'head') !== (count === 0) || BACKUP_RANKS[record.type] < rank) {
        throw new RegistryError('MALFORMED', `a record of the backup stands in the wrong place: ${record.type}`)
      }
      rank = BACKUP_RANKS[record.type]
      yield record
      if (record.type !== 'end') continue
      if (record.records !== count || !equalBytes(record.digest, digest)) {
        throw new RegistryError('MALFORMED', 'the backup is damaged: its digest is not that of its bytes', {
          next: 'use another copy of it'
        })
      }
      if ((await source.take(1)) !== undefined)
        throw new RegistryError('MALFORMED', 'bytes follow the end of the backup')
      return
    }
    throw new RegistryError('LIMIT_EXCEEDED', `a backup has at most ${LIMITS.backup.records} records`)
  } finally {
    await handle.close()
  }
}

/** Reads a whole backup and answers with what it holds of each type. Takes nothing in. @throws as `readBackup` */
export async function checkBackup(file: string): Promise<ReadonlyMap<BackupRecord['type'], number>> {
  const found = new Map<BackupRecord['type'], number>()
  for await (const { type } of readBackup(file)) found.set(type, (found.get(type) ?? 0) + 1)
  const many = (type: BackupRecord['type'], limit: number): void => {
    if ((found.get(type) ?? 0) > limit) {
      throw new RegistryError('LIMIT_EXCEEDED', `a backup has at most ${limit} records of the kind ${type}`)
    }
  }
  many('key', LIMITS.keys.files)
  many('config', 1)
  many('peers', 1)
  many('registry', LIMITS.config.registries)
  return found
}

async function readFrame(source: Source): Promise<Uint8Array> {
  const head = await source.take(LENGTH_BYTES)
  if (head === undefined) throw cut()
  const length = new DataView(head.buffer, head.byteOffset).getUint32(0)
  // Attack: four bytes that make the reader reserve gigabytes.
  if (length > LIMITS.backup.recordBytes)
    throw new RegistryError('LIMIT_EXCEEDED', 'a record of the backup is too large')
  const body = await source.take(length)
  if (body === undefined) throw cut()
  return body
}

/** A file as a row of pieces, with the digest of what was taken so far. */
class Source {
  readonly #handle: FileHandle
  readonly #hash = createHash('sha256')

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  /** The next bytes, or undefined when the file ends before. */
  async take(length: number): Promise<Uint8Array | undefined> {
    const bytes = new Uint8Array(length)
    let filled = 0
    while (filled < length) {
      const { bytesRead } = await this.#handle.read(bytes, filled, length - filled)
      if (bytesRead === 0) return undefined
      filled += bytesRead
    }
    this.#hash.update(bytes)
    return bytes
  }

  digest(): Uint8Array {
    return this.#hash.copy().digest()
  }
}

async function openNew(temporary: string, file: string): Promise<FileHandle> {
  try {
    return await open(temporary, 'wx', 0o600)
  } catch (cause) {
    if (codeOf(cause) === 'ENOSPC') throw toWriteError(cause, `the backup ${file}`)
    throw new RegistryError('UNKNOWN_FILE', `${file} cannot be written`, { cause })
  }
}

async function openOld(file: string): Promise<FileHandle> {
  try {
    const handle = await open(file, 'r')
    if ((await handle.stat()).isFile()) return handle
    await handle.close()
  } catch (cause) {
    throw new RegistryError('UNKNOWN_FILE', `${file} cannot be read`, { cause })
  }
  throw new RegistryError('UNKNOWN_FILE', `${file} is not a file`)
}

function noBackup(file: string, magic: Uint8Array | undefined): RegistryError {
  const isNewer = magic !== undefined && equalBytes(magic.subarray(0, 16), MAGIC.subarray(0, 16))
  if (!isNewer) return new RegistryError('MALFORMED', `${file} is no backup of ggen-node`)
  return new RegistryError('STORE_FORMAT', `${file} was written by a newer ggen-node`, {
    next: 'restore it with the ggen-node that wrote it, or a newer one'
  })
}

function cut(): RegistryError {
  return new RegistryError('MALFORMED', 'the backup is cut short', { next: 'use another copy of it' })
}
