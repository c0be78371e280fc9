import { open, mkdir, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { equalBytes } from '../../protocol/bytes.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { hostilePath, showPath } from '../../protocol/content-path.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { ArchiveDigest } from './archive-digest.ts'
import type { ContentDigests } from './archive-digest.ts'
import type { BlockSource } from './blocks.ts'
import type { ContentProgress } from './import-folder.ts'
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
    for (const directory of tree.directories.toReversed()) await syncFolder(join(fresh, directory))
    await syncFolder(fresh)
    options.signal?.throwIfAborted()
    await placeFolder(fresh, target)
    return written
  } catch (error) {
    await rm(fresh, { recursive: true, force: true })
    throw diskError(error)
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
  for (const directory of tree.directories) await mkdir(join(fresh, directory), { mode: 0o755 })
  const digest = new ArchiveDigest()
  const closing = new Closing()
  let size = 0
  let files = 0
  // Both the declared size and the limit of every package: a publisher may declare anything.
  const allowed = Math.min(declaredSize, reader.options.limits.packageBytes)
  try {
    for (const file of tree.files) {
      const content = await openFile(reader, file)
      size += content.size
      if (size > allowed) throw new RegistryError('LIMIT_EXCEEDED', `the files have more than ${allowed} bytes`)
      const handle = await open(join(fresh, file.path), 'wx', executables.has(file.path) ? 0o755 : 0o644)
      await closing.take(handle, async () => writeFile(handle, file.path, { content, digest }))
      files += 1
      onProgress?.({ files, totalFiles: tree.files.length, bytes: size, totalBytes: declaredSize })
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
  handle: FileHandle,
  path: string,
  { content, digest }: { content: FileContent; digest: ArchiveDigest }
): Promise<void> {
  digest.begin(path, content.size)
  for await (const chunk of content.chunks) {
    digest.update(chunk)
    for (let offset = 0; offset < chunk.length;) {
      const { bytesWritten } = await handle.write(chunk, offset)
      offset += bytesWritten
    }
  }
  digest.end()
}

/** Written files on their way to the disk: a bounded number waits for its fsync, and no failure is forgotten. */
class Closing {
  readonly #open = new Set<Promise<void>>()
  #failure: { readonly error: unknown } | undefined

  async take(handle: FileHandle, write: () => Promise<void>): Promise<void> {
    try {
      await write()
    } catch (error) {
      await handle.close()
      throw error
    }
    const closed = this.#close(handle).finally(() => {
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

  async #close(handle: FileHandle): Promise<void> {
    try {
      await handle.sync()
      await handle.close()
    } catch (error) {
      this.#failure ??= { error }
      await handle.close().catch(() => undefined)
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
