import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LIMITS } from '../protocol/limits.ts'
import { isDiskFull, toWriteError } from '../storage/disk-errors.ts'
import { temporaryName } from '../storage/durable.ts'
import { unpackArchive } from './archive/unpack.ts'
import type { UnpackedArchive } from './archive/unpack.ts'
import { packagePath } from './package-root.ts'
import type { NodeParts } from './parts.ts'
import { Queue } from './runtime/queue.ts'

/** An archive of others as a folder, for as long as somebody looks at it. */
export interface OpenedArchive extends UnpackedArchive {
  readonly folder: string
  /** The one folder in it that holds everything else, as archives of npm and of forges have it. */
  readonly inside: string | null
}

/** Archives take room and a process each: a few at a time, whoever asks. */
const TURNS = new Queue({ concurrency: LIMITS.foreign.atOnce, capacity: LIMITS.foreign.waiting })

/**
 * Unpacks an archive into a folder of the data directory and removes that when `use` is done. A crash leaves the folder, which
 * the next start clears.
 */
export async function withArchive<T>(
  { home, clock, disk }: Pick<NodeParts, 'home' | 'clock' | 'disk'>,
  { file, signal }: { readonly file: string; readonly signal: AbortSignal },
  use: (archive: OpenedArchive) => Promise<T>
): Promise<T> {
  return TURNS.run(async () => {
    disk.assertWritable()
    const target = join(home, temporaryName())
    try {
      const unpacked = await unpackInto({ target, clock }, file, signal)
      const inside = await onlyFolder(target)
      return await use({ ...unpacked, inside, folder: inside === null ? target : join(target, inside) })
    } finally {
      await rm(target, { recursive: true, force: true, maxRetries: 3 })
    }
  }, signal)
}

/**
 * Attack: an archive that fills the disk, or a name that this file system can't hold, so that the node takes no writes any more.
 * The room is free again at once, and whether the disk is well is nothing that an archive tells.
 */
async function unpackInto(
  { target, clock }: Pick<NodeParts, 'clock'> & { readonly target: string },
  file: string,
  signal: AbortSignal
): Promise<UnpackedArchive> {
  try {
    await mkdir(target, { mode: 0o700 })
    return await unpackArchive({ clock, program: { root: packagePath() } }, { file, target }, signal)
  } catch (error) {
    throw isDiskFull(error) ? toWriteError(error, 'what an archive holds') : error
  }
}

/** A folder as it is, an archive as a folder. */
export async function folderOrArchive<T>(
  parts: Pick<NodeParts, 'home' | 'clock' | 'disk'>,
  { path, signal }: { readonly path: string; readonly signal: AbortSignal },
  use: (folder: string) => Promise<T>
): Promise<T> {
  // What is neither is told by whoever reads folders.
  const isFile = await stat(path).then(
    stats => stats.isFile(),
    () => false
  )
  return isFile ? withArchive(parts, { file: path, signal }, ({ folder }) => use(folder)) : use(path)
}

async function onlyFolder(folder: string): Promise<string | null> {
  const [first, ...others] = await readdir(folder, { withFileTypes: true })
  return first !== undefined && others.length === 0 && first.isDirectory() ? first.name : null
}
