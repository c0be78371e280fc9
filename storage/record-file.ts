import { createHash } from 'node:crypto'
import { link, lstat, open, readdir, rename, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { equalBytes, utf8 } from '../protocol/bytes.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { codeOf, isDiskFull, toWriteError } from './disk-errors.ts'
import { processOf, syncDir, temporaryName } from './durable.ts'

const LENGTH_BYTES = 4

/** What was written, or read. */
export interface FileSize {
  readonly records: number
  readonly bytes: number
}

/** The last record of every such file: what stands before it, counted and hashed. */
export interface EndRecord {
  readonly type: 'end'
  readonly records: number
  readonly digest: Uint8Array
}

/**
 * A kind of file that is a row of records:
 *
 *   file  = magic 1*frame
 *   frame = length body         ; 4 bytes, big-endian
 */
export interface RecordFormat<Item extends { readonly type: string }> {
  /** What people call it. */
  readonly name: string
  /** A line that ends with the version and a line feed. */
  readonly magic: string
  /** The ranks of types never fall from one record to the next. The first is `head`, and only that one. */
  readonly ranks: Readonly<Record<Item['type'], number>>
  readonly encode: (record: Item | EndRecord) => Uint8Array
  /** @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
  readonly parse: (bytes: Uint8Array) => Item | EndRecord
}

type Ranked = { readonly type: string }

/**
 * Writes records to a new file, the end record included, readable by its owner alone. A crash leaves no file of that
 * name, at worst a `.tmp-` file beside it, which the next one there clears: such a file is whole or not there.
 * @throws RegistryError ALREADY_EXISTS | DISK_FULL | READ_ONLY | UNKNOWN_FILE, and what the records throw
 */
export async function writeRecordFile<Item extends Ranked>(
  format: RecordFormat<Item>,
  file: string,
  records: AsyncIterable<Item>
): Promise<FileSize> {
  const what = `the ${format.name} ${file}`
  const temporary = join(dirname(file), temporaryName())
  await clearLeftovers(format.magic, dirname(file))
  try {
    const handle = await openNew(temporary, file, what)
    let size: FileSize
    try {
      size = await writeRecords(format, handle, records)
      await handle.sync()
    } catch (cause) {
      throw toWriteError(cause, what)
    } finally {
      await handle.close()
    }
    await giveName(temporary, file, what)
    await syncDir(dirname(file))
    return size
  } finally {
    await rm(temporary, { force: true })
  }
}

/**
 * Files that were being written here when their process was killed, and are as large as what they were to be. The folder is a
 * person's: only what begins as such a file does goes, of a process that is not there, which nobody has written to for a while
 * (it may be another machine's process, on a disk that both see). Best effort.
 */
async function clearLeftovers(magic: string, folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  for (const name of names) {
    const pid = processOf(name)
    if (pid === undefined || isAlive(pid)) continue
    const path = join(folder, name)
    if (await isLeftover(magic, path).catch(() => false)) await rm(path, { force: true }).catch(() => undefined)
  }
}

async function isLeftover(magic: string, path: string): Promise<boolean> {
  const found = await lstat(path)
  if (!found.isFile() || Date.now() - found.mtimeMs < LIMITS.mirror.leftoverMs) return false
  const handle = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(magic.length), 0, magic.length, 0)
    return buffer.toString('latin1', 0, bytesRead) === magic
  } finally {
    await handle.close()
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return codeOf(error) !== 'ESRCH'
  }
}

/** A link refuses to replace a file in one step. Where there are no links (FAT, some shares) a look has to do. */
async function giveName(temporary: string, file: string, what: string): Promise<void> {
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
      throw toWriteError(error, what)
    }
  }
}

async function writeRecords<Item extends Ranked>(
  format: RecordFormat<Item>,
  handle: FileHandle,
  records: AsyncIterable<Item>
): Promise<FileSize> {
  const hash = createHash('sha256')
  let bytes = 0
  let count = 0
  const write = async (part: Uint8Array): Promise<void> => {
    hash.update(part)
    bytes += part.length
    await handle.appendFile(part)
  }
  await write(utf8(format.magic))
  for await (const record of records) {
    count += 1
    await write(frame(format, record))
  }
  await write(frame(format, { type: 'end', records: count, digest: hash.copy().digest() }))
  return { records: count, bytes }
}

function frame<Item extends Ranked>(format: RecordFormat<Item>, record: Item | EndRecord): Uint8Array {
  const body = format.encode(record)
  if (body.length > LIMITS.backup.recordBytes)
    throw new RegistryError('INTERNAL', `a record of a ${format.name} is too large`)
  const out = new Uint8Array(LENGTH_BYTES + body.length)
  new DataView(out.buffer).setUint32(0, body.length)
  out.set(body, LENGTH_BYTES)
  return out
}

/**
 * Reads such a file from its first to its last byte: length, order and shape of every record, and at the end the digest
 * over all of it. What a reader of this acts on before the end record came may be a part of a damaged file, so whoever
 * acts reads once to check (`checkRecordFile`) and once to act.
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED | STORE_FORMAT | UNKNOWN_FILE
 */
export async function* readRecordFile<Item extends Ranked>(
  format: RecordFormat<Item>,
  file: string
): AsyncGenerator<Item | EndRecord> {
  const { name } = format
  const ranks: Readonly<Record<string, number>> = { ...format.ranks, end: Number.POSITIVE_INFINITY }
  const handle = await openOld(file)
  try {
    const source = new Source(handle)
    const first = utf8(format.magic)
    const magic = await source.take(first.length)
    if (magic === undefined || !equalBytes(magic, first)) throw notOfFormat(format, file, magic)
    let rank = 0
    for (let count = 0; count <= LIMITS.backup.records; count++) {
      const digest = source.digest()
      const record = format.parse(await readFrame(source, name))
      const next = ranks[record.type] ?? -1
      if ((record.type === 'head') !== (count === 0) || next < rank) {
        throw new RegistryError('MALFORMED', `a record of the ${name} stands in the wrong place: ${record.type}`)
      }
      rank = next
      yield record
      if (!isEnd(record)) continue
      if (record.records !== count || !equalBytes(record.digest, digest)) {
        throw new RegistryError('MALFORMED', `the ${name} is damaged: its digest is not that of its bytes`, {
          next: 'use another copy of it'
        })
      }
      if ((await source.take(1)) !== undefined)
        throw new RegistryError('MALFORMED', `bytes follow the end of the ${name}`)
      return
    }
    throw new RegistryError('LIMIT_EXCEEDED', `a ${name} has at most ${LIMITS.backup.records} records`)
  } finally {
    await handle.close()
  }
}

function isEnd(record: Ranked): record is EndRecord {
  return record.type === 'end'
}

/** Reads a whole file and answers with what it holds of each type. Takes nothing in. @throws as `readRecordFile` */
export async function checkRecordFile<Item extends Ranked>(
  format: RecordFormat<Item>,
  file: string
): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>()
  for await (const { type } of readRecordFile(format, file)) found.set(type, (found.get(type) ?? 0) + 1)
  return found
}

async function readFrame(source: Source, name: string): Promise<Uint8Array> {
  const head = await source.take(LENGTH_BYTES)
  if (head === undefined) throw cut(name)
  const length = new DataView(head.buffer, head.byteOffset).getUint32(0)
  // Attack: four bytes that make the reader reserve gigabytes.
  if (length > LIMITS.backup.recordBytes)
    throw new RegistryError('LIMIT_EXCEEDED', `a record of the ${name} is too large`)
  const body = await source.take(length)
  if (body === undefined) throw cut(name)
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

async function openNew(temporary: string, file: string, what: string): Promise<FileHandle> {
  try {
    return await open(temporary, 'wx', 0o600)
  } catch (cause) {
    if (isDiskFull(cause)) throw toWriteError(cause, what)
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

function notOfFormat<Item extends Ranked>(
  { name, magic }: RecordFormat<Item>,
  file: string,
  found: Uint8Array | undefined
): RegistryError {
  // All but the version.
  const line = utf8(magic.slice(0, magic.lastIndexOf(' ')))
  const isNewer = found !== undefined && equalBytes(found.subarray(0, line.length), line)
  if (!isNewer) return new RegistryError('MALFORMED', `${file} is no ${name} of ggen-node`)
  return new RegistryError('STORE_FORMAT', `${file} was written by a newer ggen-node`, {
    next: 'read it with the ggen-node that wrote it, or a newer one'
  })
}

function cut(name: string): RegistryError {
  return new RegistryError('MALFORMED', `the ${name} is cut short`, { next: 'use another copy of it' })
}
