import type { CID } from 'multiformats/cid'
import { compareText } from '../../protocol/bytes.ts'
import { toLink } from '../../protocol/cid.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { hostilePath, PathSet, segmentFault, showPath } from '../../protocol/content-path.ts'
import type { ContentLimits } from '../../protocol/content-path.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parseUnixfsNode, RAW } from '../../protocol/unixfs-node.ts'
import type { DirectoryNode, FileNode, NodeLink, ShardNode, UnixfsNode } from '../../protocol/unixfs-node.ts'
import { readBlock } from './blocks.ts'
import type { BlockSource, ReadOptions } from './blocks.ts'

export interface WalkOptions {
  readonly signal?: AbortSignal | undefined
  readonly limits?: Partial<ContentLimits>
}

export interface ListOptions extends WalkOptions {
  /** Nodes that are asked for before their turn, where the source is far away. What they hold is in memory meanwhile. */
  readonly ahead?: number
  /** Blocks that are left out with all below them. */
  readonly skip?: (cid: CID) => boolean
  /** Told of each node that cannot be read, which is named all the same; the rest is listed unless it throws. Absent: the walk ends there. */
  readonly onUnread?: (error: unknown) => void
}

/** A file of a package as its DAG describes it: one raw block, or a node that names its leaves. */
export interface DagFile {
  readonly path: string
  readonly cid: CID
  /** Absent for a file of one raw block, whose size only the block tells. */
  readonly node?: FileNode
}

export interface DagTree {
  /** In ascending byte order of their paths, which is the order of the canonical archive. */
  readonly files: readonly DagFile[]
  readonly directories: readonly string[]
}

/** What one walk may still visit. Shared by everything that reads one DAG. */
export class WalkBudget {
  #blocks: number
  readonly #limit: number

  constructor(limits: ContentLimits) {
    this.#limit = limits.blocks
    this.#blocks = limits.blocks
  }

  /** Attack: a small block linked many times over. Visits are counted, not distinct blocks. */
  spend(): void {
    this.#blocks -= 1
    if (this.#blocks < 0) throw new RegistryError('LIMIT_EXCEEDED', `a package has at most ${this.#limit} blocks`)
  }
}

/** Block source, limits, budget and signal of one walk. */
export interface Reader {
  readonly source: BlockSource
  readonly options: ReadOptions
  readonly budget: WalkBudget
  /** Nodes read last, by their CIDs. */
  readonly nodes: Map<string, UnixfsNode>
}

export function readerOf(source: BlockSource, { signal, limits: given }: WalkOptions): Reader {
  const limits = { ...LIMITS.content, ...given }
  return { source, options: { limits, signal }, budget: new WalkBudget(limits), nodes: new Map() }
}

/** A verified block, counted. */
export async function read({ source, options, budget }: Reader, cid: CID): Promise<Uint8Array> {
  budget.spend()
  return readBlock(source, cid, options)
}

async function readNode(reader: Reader, cid: CID): Promise<UnixfsNode> {
  const { nodes, options } = reader
  const key = cid.toString()
  const known = nodes.get(key)
  if (known !== undefined) {
    reader.budget.spend()
    return known
  }
  const node = parseUnixfsNode(await read(reader, cid), options.limits)
  // Attack: one large node under fifty thousand names would be hashed and parsed as often.
  if (nodes.size >= LIMITS.content.nodesRemembered) nodes.clear()
  nodes.set(key, node)
  return node
}

/**
 * Reads the folders of a package, not its files, and refuses every tree that could not have been published.
 * @throws RegistryError MALFORMED | HOSTILE_PATH | LIMIT_EXCEEDED | CORRUPT_BLOCK, and what the source throws
 */
export async function readTree(reader: Reader, root: ContentId): Promise<DagTree> {
  const { limits } = reader.options
  const paths = new PathSet(limits)
  const files: DagFile[] = []
  const directories: string[] = []
  let size = 0
  const first = await readNode(reader, toLink(root))
  if (first.type === 'file') throw new RegistryError('MALFORMED', 'a package is a folder, this content is a file')
  const pending: { path: string; node: DirectoryNode | ShardNode }[] = [{ path: '', node: first }]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for await (const { name, cid } of entriesOf(reader, next.node)) {
      const path = next.path === '' ? name : `${next.path}/${name}`
      // Attack: a name such as "a/../../b". Checked alone, before it is part of a path where "/" has a meaning.
      const fault = name.includes('/') ? 'a name in it holds "/"' : segmentFault(name)
      if (fault !== undefined) throw hostilePath(path, fault)
      const node = cid.code === RAW ? undefined : await readNode(reader, cid)
      paths.add(path, node === undefined || node.type === 'file' ? 'file' : 'directory')
      if (node === undefined) files.push({ path, cid })
      else if (node.type === 'file') {
        size += sizeWithin(node, path, limits)
        // Attack: fifty thousand names for one file of 256 leaves. The sum bounds the links that are kept.
        if (size > limits.packageBytes) {
          throw new RegistryError('LIMIT_EXCEEDED', `the files have more than ${limits.packageBytes} bytes`)
        }
        files.push({ path, cid, node })
      } else {
        directories.push(path)
        pending.push({ path, node })
      }
    }
  }
  return {
    files: files.toSorted((a, b) => compareText(a.path, b.path)),
    directories: directories.toSorted(compareText)
  }
}

/**
 * The blocks of a package or of one UnixFS file, each once: a node before what it links to, so that a mirror can ask
 * for the leaves while the walk goes on. Nodes are read and verified here, raw leaves are only named.
 *
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED | CORRUPT_BLOCK, and what the source throws
 */
export async function* listBlocks(
  root: ContentId,
  source: BlockSource,
  options: ListOptions = {}
): AsyncGenerator<CID, void> {
  const reader = readerOf(source, options)
  const seen = new Set<string>([root])
  const pending = [toLink(root)]
  const ahead = new Map<CID, Promise<UnixfsNode>>()
  for (let cid = pending.pop(); cid !== undefined; cid = pending.pop()) {
    if (options.skip?.(cid) === true) continue
    yield cid
    if (cid.code === RAW) continue
    const node = await (ahead.get(cid) ?? readNode(reader, cid)).catch((error: unknown) => {
      if (options.onUnread === undefined) throw error
      options.onUnread(error)
    })
    ahead.delete(cid)
    if (node === undefined) continue
    for (const child of childrenOf(node)) {
      const key = child.toString()
      if (seen.has(key)) continue
      if (seen.size >= reader.options.limits.blocks) {
        throw new RegistryError('LIMIT_EXCEEDED', `a package has at most ${reader.options.limits.blocks} blocks`)
      }
      seen.add(key)
      pending.push(child)
      if (child.code !== RAW && ahead.size < (options.ahead ?? 0)) ahead.set(child, early(readNode(reader, child)))
    }
  }
}

/** A failure is thrown when the walk gets there; until then it must not end the process as an unhandled one. */
function early<T>(reading: Promise<T>): Promise<T> {
  reading.catch(() => undefined)
  return reading
}

/** The entries of a directory, those of its shards included. */
async function* entriesOf(reader: Reader, node: DirectoryNode | ShardNode): AsyncGenerator<NodeLink> {
  yield* node.entries
  if (node.type === 'directory') return
  const pending = node.shards.map(cid => ({ cid, depth: 2 }))
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { cid, depth } = next
    if (depth > reader.options.limits.shardDepth) {
      throw new RegistryError('LIMIT_EXCEEDED', 'the shards of a directory are nested too deeply')
    }
    const shard = await readNode(reader, cid)
    if (shard.type !== 'shard') throw new RegistryError('MALFORMED', 'a shard links to something that is no shard')
    yield* shard.entries
    pending.push(...shard.shards.map(child => ({ cid: child, depth: depth + 1 })))
  }
}

/** What a node links to, in its order. */
export function childrenOf(node: UnixfsNode): readonly CID[] {
  switch (node.type) {
    case 'directory':
      return node.entries.map(entry => entry.cid)
    case 'shard':
      return [...node.entries.map(entry => entry.cid), ...node.shards]
    case 'file':
      return node.leaves.map(leaf => leaf.cid)
  }
}

function sizeWithin({ size }: FileNode, path: string, limits: ContentLimits): number {
  if (size > limits.fileBytes) {
    throw new RegistryError('LIMIT_EXCEEDED', `${showPath(path)} has more than ${limits.fileBytes} bytes`)
  }
  return size
}
