import { closeSync, fsync as fsyncWith, mkdirSync, openSync, writeSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { CID } from 'multiformats/cid'
import { equalBytes } from '../../protocol/bytes.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { hostilePath, showPath } from '../../protocol/content-path.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { ArchiveDigest } from './archive-digest.ts'
import type { ContentDigests } from './archive-digest.ts'
import type { BlockSource } from './blocks.ts'
import type { ContentProgress } from './import-folder.ts'
import { Turn } from '../turn.ts'
import { placeFolder, prepareFolder, syncFolder } from './place-folder.ts'
import { read, readerOf, readTree } from './walk-dag.ts'
import type { DagFile, DagTree, Reader, WalkOptions } from './walk-dag.ts'

export interface UnpackOptions extends WalkOptions {
  /** The sum of the files' bytes that the release declares: not one byte more is written. */
  readonly declaredSize: number
  /** The files that get mode 0755; every one of them must be there. */
  readonly executables: readonly string[]
  /** The digests that the release declares of the canonical archive. */
  readonly expectDigests: { readonly sha256: Uint8Array; readonly sha512?: Uint8Array }
  /**
   * False: the files are not waited for until they are on the disk. The caller calls `syncPackage` later, and knows until
   * then that a power cut may have left a part of them.
   */
  readonly isDurable?: boolean
  /** Called after each file with what was written so far. */
  readonly onProgress?: ((progress: ContentProgress) => void) | undefined
}

export interface UnpackedFolder {
  readonly files: number
  readonly size: number
  readonly digests: ContentDigests
  /** The content ids of the files by their paths. */
  readonly cids: ReadonlyMap<string, string>
}

const fsync = promisify(fsyncWith)

/** Closing a file waits for the disk; this many may wait at once. */
const SYNCS_IN_FLIGHT = 16

/**
 * Unpacks a package into `target`, which afterwards holds exactly this package or, when anything throws, exactly what
 * it held before. Nothing is written under a path before the whole tree has passed the rules of docs/spec/content.md.
 * The caller sees to it that one unpack at a time works on one target.
 *
 * @throws RegistryError MALFORMED | HOSTILE_PATH | LIMIT_EXCEEDED | CORRUPT_BLOCK | ALREADY_EXISTS, and what the source throws
 */
export async function unpackTo(
  root: ContentId,
  source: BlockSource,
  target: string,
  options: UnpackOptions
): Promise<UnpackedFolder> {
  const reader = readerOf(source, options)
  const tree = await readTree(reader, root)
  const executables = executablesOf(tree, options.executables)
  const fresh = await prepareFolder(target)
  try {
    const written = await writeTree(reader, tree, { ...options, fresh, executables })
    checkDigests(written.digests, options.expectDigests)
    const { isDurable = true } = options
    if (isDurable) await syncFolders(fresh, tree)
    options.signal?.throwIfAborted()
    await placeFolder(fresh, target, { isDurable })
    return written
  } catch (error) {
    await rm(fresh, { recursive: true, force: true })
    throw diskError(error)
  }
}

/** Makes a package that was unpacked without waiting survive a power cut. What is no longer there needs nothing. */
export async function syncPackage(target: string, { files, directories }: PackagePaths): Promise<void> {
  const syncing = new Set<Promise<void>>()
  for (const path of files) {
    const one = syncPath(join(target, path)).finally(() => syncing.delete(one))
    syncing.add(one)
    if (syncing.size >= SYNCS_IN_FLIGHT) await Promise.race(syncing)
  }
  await Promise.all(syncing)
  await syncFolders(target, { directories })
  await syncFolder(dirname(target))
}

/** The paths of a package's files and folders. */
export interface PackagePaths {
  readonly files: readonly string[]
  readonly directories: readonly string[]
}

async function syncFolders(folder: string, { directories }: Pick<PackagePaths, 'directories'>): Promise<void> {
  for (const directory of directories.toReversed()) await syncFolder(join(folder, directory))
  await syncFolder(folder)
}

async function syncPath(path: string): Promise<void> {
  // 'r+': Windows flushes only handles that may write.
  const handle = await open(path, 'r+')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

interface WriteOptions extends UnpackOptions {
  readonly fresh: string
  readonly executables: readonly string[]
}

async function writeTree(reader: Reader, tree: DagTree, options: WriteOptions): Promise<UnpackedFolder> {
  const { fresh, declaredSize, onProgress } = options
  const executables = new Set(options.executables)
  // Ascending byte order: a folder comes before what is in it.
  for (const directory of tree.directories) mkdirSync(join(fresh, directory), { mode: 0o755 })
  const digest = new ArchiveDigest()
  const closing = new Closing(options.isDurable ?? true)
  const pace = new Turn()
  let size = 0
  let files = 0
  // Both the declared size and the limit of every package: a publisher may declare anything.
  const allowed = Math.min(declaredSize, reader.options.limits.packageBytes)
  try {
    for (const file of tree.files) {
      const content = await openFile(reader, file)
      size += content.size
      if (size > allowed) throw new RegistryError('LIMIT_EXCEEDED', `the files have more than ${allowed} bytes`)
      const fd = openSync(join(fresh, file.path), 'wx', executables.has(file.path) ? 0o755 : 0o644)
      await closing.take(fd, async () => writeFile(fd, file.path, { content, digest, pace }))
      files += 1
      onProgress?.({ files, totalFiles: tree.files.length, bytes: size, totalBytes: declaredSize })
      await pace.rest()
    }
  } finally {
    // No file may still be open when the folder is deleted or renamed.
    await closing.settle()
  }
  closing.throwFailure()
  if (size !== declaredSize) {
    throw new RegistryError('MALFORMED', `the files have ${size} bytes, the release declares ${declaredSize}`)
  }
  const cids = new Map(tree.files.map(({ path, cid }) => [path, cid.toString()]))
  return { files, size, digests: digest.digests(), cids }
}

interface FileContent {
  readonly size: number
  readonly chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

async function openFile(reader: Reader, { cid, node, path }: DagFile): Promise<FileContent> {
  if (node !== undefined) return { size: node.size, chunks: readLeaves(reader, node.leaves) }
  const bytes = await read(reader, cid)
  if (bytes.length > reader.options.limits.fileBytes) {
    throw new RegistryError('LIMIT_EXCEEDED', `${showPath(path)} is too large`)
  }
  return { size: bytes.length, chunks: [bytes] }
}

async function* readLeaves(
  reader: Reader,
  leaves: readonly { readonly cid: CID; readonly size: number }[]
): AsyncGenerator<Uint8Array> {
  for (const { cid, size } of leaves) {
    const bytes = await read(reader, cid)
    // The node declared this size and the sizes were added up: a leaf that differs would make the sum a lie.
    if (bytes.length !== size) throw new RegistryError('MALFORMED', 'a leaf of a file is not as long as its node says')
    yield bytes
  }
}

async function writeFile(
  fd: number,
  path: string,
  { content, digest, pace }: { content: FileContent; digest: ArchiveDigest; pace: Turn }
): Promise<void> {
  digest.begin(path, content.size)
  for await (const chunk of content.chunks) {
    digest.update(chunk)
    for (let offset = 0; offset < chunk.length;) offset += writeSync(fd, chunk, offset)
    await pace.rest()
  }
  digest.end()
}

/** Written files on their way to the disk: a bounded number waits for its fsync, and no failure is forgotten. */
class Closing {
  readonly #isDurable: boolean
  readonly #open = new Set<Promise<void>>()
  #failure: { readonly error: unknown } | undefined

  constructor(isDurable: boolean) {
    this.#isDurable = isDurable
  }

  async take(fd: number, write: () => Promise<void>): Promise<void> {
    try {
      await write()
    } catch (error) {
      closeSync(fd)
      throw error
    }
    if (!this.#isDurable) return closeSync(fd)
    const closed = this.#close(fd).finally(() => {
      this.#open.delete(closed)
    })
    this.#open.add(closed)
    if (this.#open.size >= SYNCS_IN_FLIGHT) await Promise.race(this.#open)
    this.throwFailure()
  }

  async settle(): Promise<void> {
    await Promise.all(this.#open)
  }

  throwFailure(): void {
    if (this.#failure !== undefined) throw diskError(this.#failure.error)
  }

  async #close(fd: number): Promise<void> {
    try {
      await fsync(fd)
    } catch (error) {
      this.#failure ??= { error }
    } finally {
      closeSync(fd)
    }
  }
}

/** A full disk under its own code, anything else as it is. */
function diskError(error: unknown): Error {
  if (!(error instanceof Error)) return new RegistryError('INTERNAL', 'writing a package failed', { cause: error })
  if (!('code' in error) || (error.code !== 'ENOSPC' && error.code !== 'EDQUOT')) return error
  return new RegistryError('DISK_FULL', 'no space is left for the package', { cause: error })
}

function executablesOf(tree: DagTree, executables: readonly string[]): readonly string[] {
  const paths = new Set(tree.files.map(file => file.path))
  for (const path of executables) {
    if (!paths.has(path)) throw hostilePath(path, 'the release calls it executable and it is not there')
  }
  return executables
}

function checkDigests(actual: ContentDigests, expected: UnpackOptions['expectDigests']): void {
  const { sha256, sha512 } = expected
  if (!equalBytes(actual.sha256, sha256) || (sha512 !== undefined && !equalBytes(actual.sha512, sha512))) {
    throw new RegistryError('MALFORMED', 'the digest of the unpacked files is not the one that the release declares')
  }
}
