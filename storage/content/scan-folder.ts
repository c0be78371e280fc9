import { constants } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { lstat, open, opendir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { compareText, fromUtf8 } from '../../protocol/bytes.ts'
import { foldPath, hostilePath, PathSet, showPath } from '../../protocol/content-path.ts'
import type { ContentLimits } from '../../protocol/content-path.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'

export interface ScanOptions {
  readonly signal?: AbortSignal | undefined
  /**
   * The folder was installed: whatever is in it besides what file managers drop was put there by the package or by a
   * person, and a person's `node_modules` or `.git` is not to be overlooked by who is about to replace the folder.
   */
  readonly isInstalled?: boolean
  /** Smaller ones in tests. */
  readonly limits?: Partial<ContentLimits>
}

/** A regular file as the scan saw it, so that whoever reads it can tell whether it is still the same. */
export interface ScannedFile {
  readonly path: string
  readonly absolute: string
  readonly size: number
  readonly executable: boolean
  readonly identity: FileIdentity
}

export interface FileIdentity {
  readonly device: bigint
  readonly inode: bigint
  readonly modifiedNs: bigint
}

export interface ScannedFolder {
  /** In ascending byte order of their paths. */
  readonly files: readonly ScannedFile[]
  /** Every folder below the root, in ascending byte order. */
  readonly directories: readonly string[]
  /** What is not part of a package, folders with a trailing "/". */
  readonly leftOut: readonly string[]
  readonly size: number
}

/** Never part of a package, at any depth, whatever their case: state of tools, and what they can fetch again. */
const LEFT_OUT = new Set(['.git', '.hg', '.svn', '.ggen', 'node_modules', '.ds_store', 'thumbs.db'])
/** What file managers put anywhere, unasked. */
const DROPPINGS = new Set(['.ds_store', 'thumbs.db'])
/** A folder that says of itself that it can be rebuilt (bford.info/cachedir), as Cargo's `target` does. */
const CACHE_TAG = 'CACHEDIR.TAG'
const CACHE_SIGNATURE = 'Signature: 8a477f597d28d172789f06886806bc55'

/**
 * Walks a folder that is to become a package and refuses what no package may hold.
 * @throws RegistryError UNKNOWN_FILE | HOSTILE_PATH | LIMIT_EXCEEDED
 */
export async function scanFolder(
  folder: string,
  { signal, isInstalled = false, limits: given }: ScanOptions = {}
): Promise<ScannedFolder> {
  const limits = { ...LIMITS.content, ...given }
  const root = await rootOf(folder)
  const paths = new PathSet(limits)
  const walk: Walk = { limits, isInstalled, paths, files: [], directories: [], leftOut: [], size: 0, looked: 0 }
  const pending: { absolute: string; path: string }[] = [{ absolute: root, path: '' }]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    signal?.throwIfAborted()
    // "latin1" keeps the bytes of a name, one a character: names that are not UTF-8 are seen, not repaired.
    const entries = await opendir(next.absolute, { encoding: 'latin1' as BufferEncoding })
    for await (const { name: raw } of entries) {
      const name = fromUtf8(Buffer.from(raw, 'latin1'))
      const path = next.path === '' ? (name ?? raw) : `${next.path}/${name ?? raw}`
      if (name === undefined) throw hostilePath(path, 'it is not valid UTF-8')
      const absolute = join(next.absolute, name)
      if (await visit(walk, path, { name, absolute })) pending.push({ absolute, path })
    }
  }
  return {
    files: walk.files.toSorted((a, b) => compareText(a.path, b.path)),
    directories: walk.directories.toSorted(compareText),
    leftOut: walk.leftOut.toSorted(compareText),
    size: walk.size
  }
}

interface Walk {
  readonly limits: ContentLimits
  readonly isInstalled: boolean
  readonly paths: PathSet
  readonly files: ScannedFile[]
  readonly directories: string[]
  readonly leftOut: string[]
  size: number
  looked: number
}

/** Takes one entry in and says whether it is a folder to walk into. */
async function visit(walk: Walk, path: string, entry: { name: string; absolute: string }): Promise<boolean> {
  walk.looked += 1
  if (walk.looked > walk.limits.entries) {
    throw new RegistryError('LIMIT_EXCEEDED', `a package has at most ${walk.limits.entries} files and folders`)
  }
  const stats = await lstat(entry.absolute, { bigint: true })
  if (await isLeftOut(walk, entry, stats)) {
    walk.leftOut.push(stats.isDirectory() ? `${path}/` : path)
    return false
  }
  if (stats.isDirectory()) {
    walk.paths.add(path, 'directory')
    walk.directories.push(path)
    return true
  }
  takeFile(walk, path, { absolute: entry.absolute, stats })
  return false
}

async function isLeftOut(
  { isInstalled }: Walk,
  { name, absolute }: { name: string; absolute: string },
  stats: BigIntStats
): Promise<boolean> {
  if (isInstalled) return stats.isFile() && DROPPINGS.has(foldPath(name))
  return LEFT_OUT.has(foldPath(name)) || (stats.isDirectory() && (await isCache(absolute)))
}

function takeFile(walk: Walk, path: string, { absolute, stats }: { absolute: string; stats: BigIntStats }): void {
  if (!stats.isFile()) throw hostilePath(path, `it is ${kindOf(stats)}, only files and folders may be in a package`)
  if (process.platform !== 'win32' && (stats.mode & 0o7000n) !== 0n) {
    throw hostilePath(path, 'it has the setuid, setgid or sticky bit')
  }
  walk.paths.add(path, 'file')
  if (stats.size > BigInt(walk.limits.fileBytes)) {
    throw new RegistryError('LIMIT_EXCEEDED', `${showPath(path)} has more than ${walk.limits.fileBytes} bytes`)
  }
  const size = Number(stats.size)
  walk.size += size
  if (walk.size > walk.limits.packageBytes) {
    throw new RegistryError('LIMIT_EXCEEDED', `the files together have more than ${walk.limits.packageBytes} bytes`)
  }
  const executable = process.platform !== 'win32' && (stats.mode & 0o111n) !== 0n
  walk.files.push({ path, absolute, size, executable, identity: identityOf(stats) })
}

/**
 * The bytes of a scanned file, in chunks of at most `limits.chunkBytes`.
 * @throws RegistryError FILE_CHANGED when it is not, or does not stay, the file that was scanned
 */
export async function* readScanned(file: ScannedFile, chunkBytes: number): AsyncGenerator<Uint8Array> {
  // Attack: the file is swapped for a link or a pipe after the scan. The link fails to open, a pipe does not block,
  // and a link higher up leads to another inode.
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
  const handle = await open(file.absolute, flags).catch((cause: unknown) => {
    throw changed(file.path, cause)
  })
  try {
    assertSame(file, await handle.stat({ bigint: true }))
    let left = file.size
    while (left > 0) {
      const chunk = Buffer.allocUnsafeSlow(Math.min(left, chunkBytes))
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, null)
      if (bytesRead === 0) throw changed(file.path)
      left -= bytesRead
      yield chunk.subarray(0, bytesRead)
    }
    assertSame(file, await handle.stat({ bigint: true }))
  } finally {
    await handle.close()
  }
}

function assertSame(file: ScannedFile, stats: BigIntStats): void {
  const { device, inode, modifiedNs } = identityOf(stats)
  const same = device === file.identity.device && inode === file.identity.inode
  if (!same || !stats.isFile() || modifiedNs !== file.identity.modifiedNs || stats.size !== BigInt(file.size)) {
    throw changed(file.path)
  }
}

function identityOf(stats: BigIntStats): FileIdentity {
  return { device: stats.dev, inode: stats.ino, modifiedNs: stats.mtimeNs }
}

async function rootOf(folder: string): Promise<string> {
  try {
    // The folder itself may be reached through a link: that is the person's own choice, what is below it is not.
    const root = await realpath(folder)
    if ((await lstat(root)).isDirectory()) return root
  } catch (cause) {
    throw new RegistryError('UNKNOWN_FILE', `the folder ${showPath(folder)} does not exist or can't be read`, { cause })
  }
  throw new RegistryError('UNKNOWN_FILE', `${showPath(folder)} is not a folder`)
}

async function isCache(folder: string): Promise<boolean> {
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
  const handle = await open(join(folder, CACHE_TAG), flags).catch(() => undefined)
  if (handle === undefined) return false
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(CACHE_SIGNATURE.length), 0, CACHE_SIGNATURE.length, 0)
    return buffer.subarray(0, bytesRead).toString('latin1') === CACHE_SIGNATURE
  } catch {
    return false
  } finally {
    await handle.close()
  }
}

function kindOf(stats: BigIntStats): string {
  if (stats.isSymbolicLink()) return 'a symbolic link'
  if (stats.isFIFO()) return 'a named pipe'
  if (stats.isSocket()) return 'a socket'
  return 'a device'
}

function changed(path: string, cause?: unknown): RegistryError {
  return new RegistryError('FILE_CHANGED', `${showPath(path)} changed while it was being read`, {
    cause,
    next: 'run it again when nothing else writes to the folder'
  })
}
