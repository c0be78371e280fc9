import { importer, importFile } from 'ipfs-unixfs-importer'
import type { ImporterOptions, ImportResult, InProgressImportResult } from 'ipfs-unixfs-importer'
import type { CID } from 'multiformats/cid'
import type { ContentId } from '../../protocol/cid.ts'
import { parseContentId } from '../../protocol/cid.ts'
import type { ContentLimits } from '../../protocol/content-path.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { ArchiveDigest } from './archive-digest.ts'
import type { ContentDigests } from './archive-digest.ts'
import type { BlockSink } from './blocks.ts'
import { readScanned, scanFolder } from './scan-folder.ts'
import type { ScannedFile } from './scan-folder.ts'

export interface ImportOptions {
  readonly signal?: AbortSignal | undefined
  /** Called after each file with what was read so far. */
  readonly onProgress?: ((progress: ContentProgress) => void) | undefined
  /** Told the content id of each file. */
  readonly onFile?: ((path: string, cid: CID) => void) | undefined
  /** The folder is an installed package: see `ScanOptions`. */
  readonly isInstalled?: boolean
  /** Smaller ones in tests. The DAG follows the profile whatever they are. */
  readonly limits?: Partial<ContentLimits>
}

export interface ContentProgress {
  readonly files: number
  readonly totalFiles: number
  readonly bytes: number
  readonly totalBytes: number
}

/** What a folder became. */
export interface ImportedFolder {
  readonly root: ContentId
  /** The sum of the files' bytes, which is what a release declares as its size. */
  readonly size: number
  readonly files: number
  /** Each once, children before the nodes that link to them; the last one is the root. */
  readonly blocks: readonly CID[]
  readonly digests: ContentDigests
  /** Files somebody may execute, in ascending byte order. */
  readonly executables: readonly string[]
  readonly leftOut: readonly string[]
}

/** IPIP-499: CIDv1, raw leaves, 1 MiB chunks, 1,024 links a file node, shards only above 256 KiB of directory. */
const PROFILE = 'unixfs-v1-2025' satisfies ImporterOptions['profile']

interface Child {
  readonly name: string
  readonly cid: CID
  /** Bytes of the whole sub-DAG, which is what a link's Tsize says. */
  readonly dagSize: bigint
}

/**
 * Turns a folder into a UnixFS DAG and puts its blocks into `sink`, children first: a crash leaves blocks that nothing
 * refers to, never a root without its blocks. The digests of the canonical archive are computed in the same pass.
 *
 * @throws RegistryError UNKNOWN_FILE | HOSTILE_PATH | LIMIT_EXCEEDED | FILE_CHANGED | INVALID_MANIFEST
 */
export async function importFolder(
  folder: string,
  sink: BlockSink,
  { signal, onProgress, onFile, isInstalled = false, limits: given }: ImportOptions = {}
): Promise<ImportedFolder> {
  const scanned = await scanFolder(folder, { signal, isInstalled, limits: given ?? {} })
  const limits = { ...LIMITS.content, ...given }
  const recorder = recording(sink, signal)
  const digest = new ArchiveDigest()
  const children = new Map<string, Child[]>(['', ...scanned.directories].map(path => [path, []]))
  let bytes = 0
  let files = 0
  for (const file of scanned.files) {
    signal?.throwIfAborted()
    const { cid, size } = await importOne(file, recorder.sink, { digest, chunkBytes: limits.chunkBytes })
    addChild(children, file.path, { cid, dagSize: size })
    onFile?.(file.path, cid)
    bytes += file.size
    files += 1
    onProgress?.({ files, totalFiles: scanned.files.length, bytes, totalBytes: scanned.size })
  }
  // A folder sorts before everything in it, so the reverse order meets every child before its parent.
  for (const path of scanned.directories.toReversed()) {
    const { cid, size } = await importDirectory(children.get(path) ?? [], recorder.sink)
    addChild(children, path, { cid, dagSize: size })
  }
  const root = await importDirectory(children.get('') ?? [], recorder.sink)
  return {
    root: parseContentId(root.cid.toString()),
    size: scanned.size,
    files,
    blocks: recorder.blocks(),
    digests: digest.digests(),
    executables: scanned.files.filter(file => file.executable).map(file => file.path),
    leftOut: scanned.leftOut
  }
}

async function importOne(
  file: ScannedFile,
  sink: BlockSink,
  { digest, chunkBytes }: { digest: ArchiveDigest; chunkBytes: number }
): Promise<ImportResult> {
  const content = async function* (): AsyncGenerator<Uint8Array> {
    digest.begin(file.path, file.size)
    for await (const chunk of readScanned(file, chunkBytes)) {
      digest.update(chunk)
      yield chunk
    }
    digest.end()
  }
  // Four chunks in flight, not the library's fifty: what is in memory stays below 8 MiB however large the file is.
  return importFile({ content: content() }, sink, { profile: PROFILE, blockWriteConcurrency: 4 })
}

/**
 * One directory at a time, from finished children: the library's own tree builder counts sub-folders that are not
 * written yet as nothing, and would leave flat what every other implementation shards.
 */
async function importDirectory(children: readonly Child[], sink: BlockSink): Promise<ImportResult> {
  const dagBuilder: ImporterOptions['dagBuilder'] = async function* () {
    for (const { name, cid, dagSize } of children) {
      yield async (): Promise<InProgressImportResult> => ({ cid, path: name, size: dagSize })
    }
  }
  let root: ImportResult | undefined
  for await (const entry of importer([], sink, { profile: PROFILE, wrapWithDirectory: true, dagBuilder })) root = entry
  if (root === undefined) throw new RegistryError('INTERNAL', 'the importer made no directory')
  return root
}

function addChild(children: Map<string, Child[]>, path: string, { cid, dagSize }: Omit<Child, 'name'>): void {
  const slash = path.lastIndexOf('/')
  const siblings = children.get(slash < 0 ? '' : path.slice(0, slash))
  if (siblings === undefined) throw new RegistryError('INTERNAL', 'a file was scanned without its folder')
  siblings.push({ name: path.slice(slash + 1), cid, dagSize })
}

/** A sink that remembers what went through it and stops when it is told to. */
function recording(sink: BlockSink, signal: AbortSignal | undefined): { sink: BlockSink; blocks(): readonly CID[] } {
  const seen = new Map<string, CID>()
  const put = async (cid: CID, bytes: Uint8Array): Promise<CID> => {
    signal?.throwIfAborted()
    if (seen.has(cid.toString())) return cid
    await sink.put(cid, bytes, signal === undefined ? {} : { signal })
    seen.set(cid.toString(), cid)
    return cid
  }
  return { sink: { put }, blocks: () => [...seen.values()] }
}
