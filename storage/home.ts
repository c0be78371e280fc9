import { randomFillSync } from 'node:crypto'
import { chmod, mkdir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { codeOf, isDiskFull, toWriteError } from './disk-errors.ts'
import { diskSpace, isNearlyFull } from './disk-space.ts'
import { writeDurably } from './durable.ts'
import { takeHomeLock } from './home-lock.ts'
import type { HomeLock } from './home-lock.ts'
import { isAlive } from './process-identity.ts'

/** What is where in a data directory. */
export interface HomePaths {
  readonly dir: string
  readonly store: string
  readonly blocks: string
  readonly keys: string
  readonly config: string
  readonly daemon: string
  readonly socket: string
  readonly ballast: string
  readonly format: string
}

/** A data directory that belongs to this process. */
export interface Home {
  readonly paths: HomePaths
  /** Gives up the reserve, so that a store which needs space to open can have it. False when there is none to give. */
  releaseBallast(): Promise<boolean>
  /** Lays the reserve again once there is space. True when it is there. */
  restoreBallast(): Promise<boolean>
  /** Releases the lock. The store must be closed before. */
  close(): Promise<void>
}

export interface OpenHomeOptions {
  readonly ballastBytes?: number
}

/** The layout of what is stored. A newer number is refused: an older program would misread and then overwrite it. */
export const STORE_FORMAT = 1

/** Where things are in a data directory; nothing is looked at or made. */
export function homePaths(dir: string): HomePaths {
  const root = resolve(dir)
  return {
    dir: root,
    store: join(root, 'store'),
    blocks: join(root, 'blocks'),
    keys: join(root, 'keys'),
    config: join(root, 'config.toml'),
    daemon: join(root, 'daemon.json'),
    socket: join(root, 'daemon.sock'),
    ballast: join(root, 'ballast'),
    format: join(root, 'format')
  }
}

/** Makes the folders of a data directory, closed to other users. Enough for what needs no lock, such as keys. */
export async function prepareHome(dir: string): Promise<HomePaths> {
  const paths = homePaths(dir)
  try {
    await mkdir(paths.dir, { recursive: true, mode: 0o700 })
    // A folder that somebody uses for other things, such as /tmp, is not closed to them by a slip of --home.
    if (await isOurs(paths)) await chmod(paths.dir, 0o700)
    await mkdir(paths.keys, { recursive: true, mode: 0o700 })
    await chmod(paths.keys, 0o700)
  } catch (cause) {
    throw toWriteError(cause, `the data directory ${paths.dir}`)
  }
  return paths
}

/** Whether a folder is a data directory, or empty and about to be one. */
async function isOurs({ dir, format, keys }: HomePaths): Promise<boolean> {
  const names = await readdir(dir)
  return names.length === 0 || names.includes(basename(format)) || names.includes(basename(keys))
}

/**
 * Makes or opens a data directory and takes it for this process.
 * @throws RegistryError HOME_LOCKED | STORE_FORMAT | DISK_FULL | READ_ONLY
 */
export async function openHome(dir: string, options: OpenHomeOptions = {}): Promise<Home> {
  const { ballastBytes = LIMITS.storage.ballastBytes } = options
  const paths = await prepareHome(dir)
  const lock = await takeLockWithBallast(paths)
  try {
    await removeTemporary(paths.dir)
    await removeTemporary(paths.keys)
    await checkFormat(paths)
    await layBallast(paths, ballastBytes)
  } catch (error) {
    await lock.release()
    throw error
  }
  return {
    paths,
    releaseBallast: async () => {
      const had = await hasBallast(paths, 1)
      await rm(paths.ballast, { force: true })
      return had
    },
    restoreBallast: () => layBallast(paths, ballastBytes),
    close: () => lock.release()
  }
}

/**
 * Opens a store; when the disk is too full for that, gives up the reserve and tries once more. LevelDB writes a table
 * when it opens, so without this a full disk could not even be read.
 */
export async function openWithBallast<T>(home: Home, open: () => Promise<T>): Promise<T> {
  try {
    return await open()
  } catch (error) {
    if (!isDiskFull(error) || !(await home.releaseBallast())) throw error
    return open()
  }
}

/**
 * Even the lock needs a few bytes. On a disk without any the reserve goes before the lock is ours: a node that holds it
 * would lay it again, and nobody reads it.
 */
async function takeLockWithBallast({ dir, ballast }: HomePaths): Promise<HomeLock> {
  try {
    return await takeHomeLock(dir)
  } catch (error) {
    if (!isDiskFull(error)) throw error
    await rm(ballast, { force: true })
    return takeHomeLock(dir)
  }
}

async function checkFormat({ format, dir }: HomePaths): Promise<void> {
  let text: string | undefined
  try {
    text = await readFile(format, 'utf8')
  } catch (cause) {
    if (codeOf(cause) !== 'ENOENT')
      throw new RegistryError('STORE_FORMAT', 'the store format cannot be read', { cause })
  }
  // Written before anything else is, so a directory without it holds nothing that could be misread.
  if (text === undefined) {
    try {
      return await writeDurably(format, `${STORE_FORMAT}\n`)
    } catch (cause) {
      throw toWriteError(cause, `the data directory ${dir}`)
    }
  }
  if (text !== `${STORE_FORMAT}\n`) {
    throw new RegistryError(
      'STORE_FORMAT',
      `the data directory ${dir} has store format ${JSON.stringify(text.slice(0, 20))}`,
      {
        next: `use the ggen-node that wrote it; this one knows format ${STORE_FORMAT}`
      }
    )
  }
}

/** Never the reason why a node does not start: without the reserve it is only less safe on a full disk. */
async function layBallast(paths: HomePaths, bytes: number): Promise<boolean> {
  if (await hasBallast(paths, bytes)) return true
  const { freeBytes, totalBytes } = await diskSpace(paths.dir)
  if (freeBytes <= bytes || isNearlyFull({ freeBytes: freeBytes - bytes, totalBytes })) return false
  try {
    // Random, because file systems that compress keep nothing free for zeros.
    await writeDurably(paths.ballast, randomFillSync(new Uint8Array(bytes)))
    return true
  } catch (error) {
    if (isDiskFull(error)) return false
    throw toWriteError(error, 'the reserve')
  }
}

async function hasBallast({ ballast }: HomePaths, bytes: number): Promise<boolean> {
  try {
    return (await stat(ballast)).size >= bytes
  } catch {
    return false
  }
}

/**
 * Clears what processes that have died left half written; what a living one writes just now stays. Only who holds the lock
 * makes folders, and that is us now: they go whatever number they bear, which in a container is the same at each start.
 */
async function removeTemporary(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const pid = /^\.tmp-([0-9]+)-/.exec(entry.name)?.[1]
    if (pid !== undefined && (entry.isDirectory() || !isAlive({ pid: Number(pid), start: '' })))
      await rm(join(dir, entry.name), { force: true, recursive: true })
  }
}
