import { randomBytes } from 'node:crypto'
import { closeSync, fsync, openSync } from 'node:fs'
import { link, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { codeOf, isDiskFull, toWriteError } from './disk-errors.ts'

const flush = promisify(fsync)

/** Makes the names in a folder survive a power cut. */
export async function syncDir(dir: string): Promise<void> {
  let handle
  try {
    handle = await open(dir, 'r')
    await handle.sync()
  } catch (error) {
    // Windows and some network file systems have no such thing; there the file's own sync has to do.
    if (!['EISDIR', 'EPERM', 'EINVAL', 'EACCES', 'ENOTSUP'].includes(codeOf(error) ?? '')) throw error
  } finally {
    await handle?.close()
  }
}

/** Makes the bytes of a file survive a power cut. */
export async function syncFile(file: string): Promise<void> {
  // 'r+': Windows flushes only handles that may write. Only the flush itself is worth a trip to another thread.
  const fd = openSync(file, 'r+')
  try {
    await flush(fd)
  } finally {
    closeSync(fd)
  }
}

/** The start of the names of files that are not finished; with the process id, so that leftovers can be told. */
export function temporaryName(): string {
  return `.tmp-${process.pid}-${randomBytes(8).toString('hex')}`
}

export function isTemporary(name: string): boolean {
  return name.startsWith('.tmp-')
}

/** Whose unfinished file it is, by its name. */
export function processOf(name: string): number | undefined {
  const [, pid] = /^\.tmp-([1-9][0-9]{0,9})-[0-9a-f]{16}$/.exec(name) ?? []
  return pid === undefined ? undefined : Number(pid)
}

export interface WriteOptions {
  readonly mode?: number
  /** Fail with EEXIST, atomically, when the file is there already. */
  readonly exclusive?: boolean
}

/**
 * Writes a whole file durably. A crash at any point leaves the old file or the new one, never a part of either; at
 * worst a `.tmp-` file stays beside it, which `removeTemporary` clears.
 * @throws RegistryError DISK_FULL, and any other failed call of the system as it is
 */
export async function writeDurably(
  file: string,
  bytes: Uint8Array | string,
  { mode = 0o600, exclusive = false }: WriteOptions = {}
): Promise<void> {
  const dir = dirname(file)
  const temporary = join(dir, temporaryName())
  try {
    await writeSynced(temporary, bytes, mode)
    // A link refuses what a rename replaces; both are one step.
    if (exclusive) await link(temporary, file)
    else await rename(temporary, file)
  } catch (cause) {
    throw fullOr(cause, file)
  } finally {
    await rm(temporary, { force: true })
  }
  await syncDir(dir)
}

/** A file that is to be written as a whole. */
export interface WholeFile {
  readonly file: string
  readonly text: string
  readonly mode: number
}

/**
 * The same for several files, which wait for the disk together: the bytes of all are on it before the first of them appears, and
 * they appear in this order. A process that ends leaves the new ones of the first few and the old ones of the others, and so does a
 * power cut, as far as the file system keeps two renames in one folder in their order: those are waited for once.
 */
export async function writeAllDurably(files: readonly WholeFile[]): Promise<void> {
  const steps = files.map(one => ({ ...one, temporary: join(dirname(one.file), temporaryName()) }))
  try {
    const written = await Promise.allSettled(
      steps.map(({ temporary, text, mode }) => writeSynced(temporary, text, mode))
    )
    for (const one of written) if (one.status === 'rejected') throw one.reason
    for (const [i, { temporary, file }] of steps.entries()) {
      await rename(temporary, file)
      const next = steps[i + 1]
      if (next === undefined || dirname(next.file) !== dirname(file)) await syncDir(dirname(file))
    }
  } catch (cause) {
    throw fullOr(cause, dirname(files[0]?.file ?? ''))
  } finally {
    await Promise.all(steps.map(({ temporary }) => rm(temporary, { force: true })))
  }
}

async function writeSynced(file: string, bytes: Uint8Array | string, mode: number): Promise<void> {
  const handle = await open(file, 'wx', mode)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Replaces a file as a whole, without waiting for the disk. Attack: a repository brings a link under a name that is
 * written to. The name is new and nobody else's, and the rename replaces a link instead of following it.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const temporary = join(dirname(path), temporaryName())
  try {
    const file = await open(temporary, 'wx', 0o644)
    try {
      await file.writeFile(text)
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (cause) {
    throw fullOr(cause, path)
  } finally {
    await rm(temporary, { force: true })
  }
}

/** That the disk is full is nobody's fault and has a way out, whatever was written. */
function fullOr(cause: unknown, file: string): unknown {
  return isDiskFull(cause) ? toWriteError(cause, file) : cause
}
