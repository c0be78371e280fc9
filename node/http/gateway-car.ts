import type { CID } from 'multiformats/cid'
import { contentCarHeader, contentCarPrefix } from '../../protocol/content-car.ts'
import { placesBelow, topPlace } from '../../protocol/dag/order.ts'
import type { Place } from '../../protocol/dag/order.ts'
import { DigestSet } from '../../protocol/digest-set.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { GatewayRequest } from '../../protocol/gateway/request.ts'
import { entityRange } from '../../protocol/gateway/ranges.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { DAG_PB, parseUnixfsNode } from '../../protocol/unixfs-node.ts'
import type { FileNode, UnixfsNode } from '../../protocol/unixfs-node.ts'

/** Verified bytes, from this machine's disk and from nowhere else. */
export interface ReadableBlocks {
  /** Undefined when it is not there, or may not be shown. */
  read(cid: CID, signal: AbortSignal): Promise<Uint8Array | undefined>
}

/** What an archive holds, known before the first byte is sent. */
export interface CarPlan {
  /** The blocks that show where the path leads, the end of it included. */
  readonly trail: readonly CID[]
  /** Of the leaves of a file, those that are sent; undefined for all. */
  readonly leaves: readonly CID[] | undefined
}

/** `missing`: the path leads nowhere. `outside`: the end of it has no such bytes. */
export type Planned = CarPlan | 'missing' | 'outside'

type Walk = Pick<GatewayRequest, 'cid' | 'path' | 'scope' | 'bytes' | 'dups'>

/** Follows the path and looks at what it leads to, so that errors can be said while they still can. */
export async function planCar(blocks: ReadableBlocks, walk: Walk, signal: AbortSignal): Promise<Planned> {
  const trail: CID[] = [walk.cid]
  let end = walk.cid
  for (const name of walk.path) {
    const way = await findEntry(blocks, { folder: end, name }, signal)
    if (way === undefined) return 'missing'
    trail.push(...way)
    end = way.at(-1) ?? end
  }
  if (walk.bytes === undefined) return { trail, leaves: undefined }
  const bytes = await blocks.read(end, signal)
  if (bytes === undefined) return 'missing'
  const node = nodeOf(end, bytes)
  if (node === undefined) return entityRange(walk.bytes, bytes.length) === undefined ? 'outside' : { trail, leaves: [] }
  // A folder has no bytes to choose from: all that it takes to list it is sent.
  if (node.type !== 'file') return { trail, leaves: undefined }
  const range = entityRange(walk.bytes, node.size)
  return range === undefined ? 'outside' : { trail, leaves: leavesWithin(node, range.first, range.last) }
}

function leavesWithin(node: FileNode, first: number, last: number): readonly CID[] {
  const wanted: CID[] = []
  let from = 0
  for (const { cid, size } of node.leaves) {
    if (from <= last && from + size > first) wanted.push(cid)
    from += size
  }
  return wanted
}

/**
 * The blocks from a folder down to one of its entries: the shards on the way, then the entry. Shards are looked through
 * in their order. Those that are not on the way are read and not sent.
 */
async function findEntry(
  blocks: ReadableBlocks,
  { folder, name }: { readonly folder: CID; readonly name: string },
  signal: AbortSignal
): Promise<readonly CID[] | undefined> {
  const pending: (readonly CID[])[] = [[]]
  for (let shards = 0; shards < LIMITS.gateway.shardsPerName; shards++) {
    const way = pending.pop()
    if (way === undefined) return undefined
    const cid = way.at(-1) ?? folder
    const bytes = await blocks.read(cid, signal)
    const node = bytes === undefined ? undefined : nodeOf(cid, bytes)
    if (node === undefined || node.type === 'file') return undefined
    const entry = node.entries.find(each => each.name === name)
    if (entry !== undefined) return [...way, entry.cid]
    if (node.type === 'directory' || way.length >= LIMITS.content.shardDepth) continue
    for (const shard of node.shards.toReversed()) pending.push([...way, shard])
  }
  throw new RegistryError('LIMIT_EXCEEDED', 'a folder with too many names to look one up')
}

/**
 * A CARv1 in the order that IPIP-412 calls `dfs`: the way down the path, then what is below the end of it, each node before
 * what it names and that in the order of its links. Throws when a block is not here: the reader must see that it is cut short.
 */
export async function* carPieces(
  blocks: ReadableBlocks,
  { trail, leaves }: CarPlan,
  walk: Walk & { readonly signal: AbortSignal }
): AsyncGenerator<Uint8Array, void> {
  const { scope, dups, signal } = walk
  const seen = new DigestSet(LIMITS.content.blocks)
  let visits = 0
  yield contentCarHeader(walk.cid)
  const end = trail.at(-1) ?? walk.cid
  const stack: Place[] = [topPlace(end), ...trail.slice(0, -1).map(topPlace).toReversed()]
  let onTrail = trail.length - 1
  for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
    const isOnTrail = onTrail-- > 0
    const isKnown = seen.has(place.cid.multihash.digest)
    if (isKnown && !dups) continue
    visits += 1
    // Attack: a small block linked many times over, and whoever asks wants it each time.
    if (visits > LIMITS.content.blocks) throw new RegistryError('LIMIT_EXCEEDED', 'the walk visits too many blocks')
    seen.add(place.cid.multihash.digest)
    const bytes = await blocks.read(place.cid, signal)
    if (bytes === undefined) throw new RegistryError('CONTENT_UNAVAILABLE', 'a block below the root is not here')
    yield contentCarPrefix(place.cid, bytes.length)
    yield bytes
    if (isOnTrail || scope === 'block') continue
    const node = nodeOf(place.cid, bytes)
    if (node === undefined) continue
    const below = scope === 'all' ? placesBelow(node, place, LIMITS.content) : entityPlaces(node, place, leaves)
    stack.push(...below.toReversed())
  }
}

/** What it takes to read a file, or to list a folder. */
function entityPlaces(node: UnixfsNode, place: Place, leaves: readonly CID[] | undefined): readonly Place[] {
  switch (node.type) {
    case 'file':
      return (leaves ?? node.leaves.map(({ cid }) => cid)).map(cid => ({ ...place, cid }))
    case 'directory':
      return []
    case 'shard':
      return placesBelow({ ...node, entries: [] }, place, LIMITS.content)
  }
}

/** The node that a block is, or undefined for plain bytes. @throws RegistryError MALFORMED | LIMIT_EXCEEDED for no part of any package */
function nodeOf(cid: CID, bytes: Uint8Array): UnixfsNode | undefined {
  return cid.code === DAG_PB ? parseUnixfsNode(bytes, LIMITS.content) : undefined
}
