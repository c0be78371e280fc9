import { decode } from '@ipld/dag-pb'
import type { PBLink, PBNode } from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import type { ContentLimits } from './content-path.ts'
import { equalBytes } from './bytes.ts'
import { isCanonical } from './canonical-node.ts'
import { RegistryError } from './errors.ts'

export const RAW = 0x55
export const DAG_PB = 0x70
const SHA2_256 = 0x12
const MURMUR3_X64_64 = 0x22
const FANOUT = 256

/** A named child of a directory. In a shard, `name` is what follows the two hexadecimal digits. */
export interface NodeLink {
  readonly name: string
  readonly cid: CID
}

export interface DirectoryNode {
  readonly type: 'directory'
  readonly entries: readonly NodeLink[]
}

export interface ShardNode {
  readonly type: 'shard'
  readonly entries: readonly NodeLink[]
  readonly shards: readonly CID[]
}

export interface FileNode {
  readonly type: 'file'
  readonly size: number
  readonly leaves: readonly { readonly cid: CID; readonly size: number }[]
}

export type UnixfsNode = DirectoryNode | ShardNode | FileNode

/**
 * Refuses a CID that content may not link to: anything but version 1, raw or dag-pb, sha2-256.
 * An identity CID carries its bytes in itself and would pass every cap on fetched bytes.
 * @throws RegistryError MALFORMED
 */
export function checkContentCid(cid: CID): void {
  const { code, size } = cid.multihash
  if (cid.version !== 1 || (cid.code !== RAW && cid.code !== DAG_PB) || code !== SHA2_256 || size !== 32) {
    throw malformed('a link is not version 1, raw or dag-pb, sha2-256')
  }
}

/**
 * Reads a dag-pb block as the one thing that profile unixfs-v1-2025 would have written there: a flat directory, a shard
 * of a directory, or the only inner node of a file. Another field order, a mode, a modification time, an unknown field,
 * unsorted links or a symbolic link all fail.
 *
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED
 */
export function parseUnixfsNode(bytes: Uint8Array, limits: ContentLimits): UnixfsNode {
  // Attack: exhaustion. The profile never writes a larger node, and a small one bounds everything decoded from it.
  if (bytes.length > limits.nodeBytes) {
    throw new RegistryError('LIMIT_EXCEEDED', `a dag-pb node has at most ${limits.nodeBytes} bytes`)
  }
  const node = decodeNode(bytes)
  const data = node.Data
  // 12 bytes a child is more than a size takes; without this a node could be 256 KiB of sizes.
  if (data === undefined || data.length > 64 + 12 * Math.min(node.Links.length, limits.fileLinks)) {
    throw malformed('a node holds more than UnixFS needs')
  }
  let unixfs: UnixFS
  try {
    unixfs = UnixFS.unmarshal(data)
  } catch (cause) {
    throw malformed('a node is not UnixFS', cause)
  }
  switch (unixfs.type) {
    case 'directory':
      return parseDirectory(node.Links, data)
    case 'hamt-sharded-directory':
      return parseShard(node.Links, data)
    case 'file':
      return parseFile(node.Links, data, { unixfs, limits })
    default:
      throw malformed(`a node is a ${unixfs.type}, where only files and directories may be`)
  }
}

function decodeNode(bytes: Uint8Array): PBNode {
  try {
    const node = decode(bytes)
    if (isCanonical(bytes, node)) return node
  } catch (cause) {
    throw malformed('bytes are not dag-pb', cause)
  }
  throw malformed('a node is not in its one canonical spelling')
}

function parseDirectory(links: readonly PBLink[], data: Uint8Array): DirectoryNode {
  if (!equalBytes(data, new UnixFS({ type: 'directory' }).marshal())) throw malformed('a directory carries metadata')
  return { type: 'directory', entries: links.map(link => ({ name: nameOf(link), cid: cidOf(link) })) }
}

function parseShard(links: readonly PBLink[], data: Uint8Array): ShardNode {
  const bits = new Uint8Array(FANOUT / 8)
  const entries: NodeLink[] = []
  const shards: CID[] = []
  let last = -1
  for (const link of links) {
    const label = nameOf(link)
    const prefix = label.slice(0, 2)
    const slot = /^[0-9A-F]{2}$/.test(prefix) ? Number.parseInt(prefix, 16) : -1
    // Invariant: one child a slot, in order. So a shard has at most 256 of them.
    if (slot <= last) throw malformed('the slots of a shard are not in order')
    last = slot
    const byte = bits.length - 1 - (slot >> 3)
    bits[byte] = (bits[byte] ?? 0) | (1 << (slot & 7))
    if (label.length === 2) shards.push(cidOf(link))
    else entries.push({ name: label.slice(2), cid: cidOf(link) })
  }
  // An empty shard costs a reader a block and gives nothing: nested ones would be a bomb.
  if (links.length === 0) throw malformed('a shard is empty')
  const field = bits.subarray(bits.findIndex(byte => byte !== 0))
  const options = { type: 'hamt-sharded-directory', hashType: BigInt(MURMUR3_X64_64), fanout: BigInt(FANOUT) } as const
  if (!equalBytes(data, new UnixFS({ ...options, data: field }).marshal())) {
    throw malformed('a shard does not describe its own links')
  }
  return { type: 'shard', entries, shards }
}

function parseFile(
  links: readonly PBLink[],
  data: Uint8Array,
  { unixfs, limits }: { unixfs: UnixFS; limits: ContentLimits }
): FileNode {
  const sizes = unixfs.blockSizes
  if (links.length < 2 || links.length > limits.fileLinks || sizes.length !== links.length) {
    throw malformed(`a file node has 2 to ${limits.fileLinks} leaves and one size for each`)
  }
  const plain = new UnixFS({ type: 'file', blockSizes: sizes })
  if (!equalBytes(data, plain.marshal())) throw malformed('a file carries metadata or inline bytes')
  const leaves = links.map((link, i) => {
    const cid = cidOf(link)
    const size = Number(sizes[i] ?? 0n)
    // Attack: one small block linked a thousand times, or empty ones without end. All leaves are full but the last.
    const full = i < links.length - 1 ? size === limits.chunkBytes : size > 0 && size <= limits.chunkBytes
    if (!full || cid.code !== RAW || nameOf(link) !== '' || link.Tsize !== size) {
      throw malformed(`the leaves of a file are raw blocks of ${limits.chunkBytes} bytes, the last one may be shorter`)
    }
    return { cid, size }
  })
  return { type: 'file', size: Number(plain.fileSize()), leaves }
}

function cidOf(link: PBLink): CID {
  checkContentCid(link.Hash)
  return link.Hash
}

function nameOf(link: PBLink): string {
  if (link.Name === undefined || link.Tsize === undefined) throw malformed('a link has no name or no size')
  return link.Name
}

function malformed(message: string, cause?: unknown): RegistryError {
  return new RegistryError('MALFORMED', message, { cause })
}
