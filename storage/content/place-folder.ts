import { lstatSync, mkdirSync, renameSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { showPath } from '../../protocol/content-path.ts'
import { RegistryError } from '../../protocol/errors.ts'

/**
 * Puts a finished folder in the place of another one. A rename can't replace a folder that is not empty, so there are
 * three steps, and a crash after each leaves one of:
 *
 *   1. `.NAME.ggen-new` unfinished, NAME untouched          -> the next `recoverFolder` deletes the new one
 *   2. NAME renamed to `.NAME.ggen-old`, NAME missing       -> it renames the old one back
 *   3. new renamed to NAME, `.NAME.ggen-old` still there    -> it deletes the old one
 *
 * So NAME is at any time the old package whole, the new one whole, or missing until the next call.
 */
export async function placeFolder(fresh: string, target: string, { isDurable = true } = {}): Promise<void> {
  const { parent, old } = besides(target)
  const replaces = exists(target)
  if (replaces) renameSync(target, old)
  try {
    renameSync(fresh, target)
  } catch (error) {
    if (replaces) renameSync(old, target)
    throw error
  }
  // The order matters after a power cut too: the new name is on disk before the old bytes go.
  if (isDurable) await syncFolder(parent)
  if (replaces) await rm(old, { recursive: true, force: true })
}

/** An empty folder beside the target to unpack into, on the same file system, after clearing up what a crash left. */
export async function prepareFolder(target: string): Promise<string> {
  const { parent, fresh } = besides(target)
  if (!exists(parent)) mkdirSync(parent, { recursive: true })
  await recoverFolder(target)
  const stats = lstatSync(target, { throwIfNoEntry: false })
  if (stats !== undefined && !stats.isDirectory()) {
    throw new RegistryError('ALREADY_EXISTS', `${showPath(target)} is there and is not a folder`)
  }
  mkdirSync(fresh, { mode: 0o755 })
  return fresh
}

/** Clears up what a crash in the middle of an unpack left beside the target; harmless when there was none. */
export async function recoverFolder(target: string): Promise<void> {
  const { fresh, old } = besides(target)
  if (exists(fresh)) await rm(fresh, { recursive: true, force: true })
  if (!exists(old)) return
  if (exists(target)) await rm(old, { recursive: true, force: true })
  else await rename(old, target)
}

/**
 * Takes a folder away. It goes by the name of an unfinished one first: a crash in the middle leaves what the next
 * `recoverFolder` deletes, never half a package under its own name.
 */
export async function discardFolder(target: string): Promise<void> {
  const { parent, fresh } = besides(target)
  await recoverFolder(target)
  await rename(target, fresh)
  await syncFolder(parent)
  await rm(fresh, { recursive: true, force: true })
}

/** Makes the names in a folder durable. Windows has no such call and needs none. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function besides(target: string): { parent: string; fresh: string; old: string } {
  const absolute = resolve(target)
  const parent = dirname(absolute)
  const name = basename(absolute)
  return { parent, fresh: join(parent, `.${name}.ggen-new`), old: join(parent, `.${name}.ggen-old`) }
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}
