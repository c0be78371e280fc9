import type { CID } from 'multiformats/cid'
import type { ContentLimits } from '../content-path.ts'
import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { RAW, parseUnixfsNode } from '../unixfs-node.ts'
import type { UnixfsNode } from '../unixfs-node.ts'
import type { DagRequest } from './messages.ts'

/** A block where a DAG names it. */
export interface Place {
  readonly cid: CID
  /** Folders above it. */
  readonly depth: number
  /** Shards of its own folder down to it, itself included where it is one. */
  readonly shard: number
  /** Of a leaf of a file node: what the node says. */
  readonly size?: number
}

/** The place of a block that somebody asks for, whatever it is part of. */
export function topPlace(cid: CID): Place {
  return { cid, depth: 0, shard: 1 }
}

/**
 * What a node names, in the order of its links; of a shard the entries first and then the shards below it.
 * @throws RegistryError LIMIT_EXCEEDED where it lies deeper than any package may
 */
export function placesBelow(node: UnixfsNode, { depth, shard }: Place, limits: ContentLimits): readonly Place[] {
  switch (node.type) {
    case 'file':
      return node.leaves.map(({ cid, size }) => ({ cid, size, depth, shard }))
    case 'directory':
      return entriesOf(node.entries)
    case 'shard': {
      // Attack: shards below each other without end. A name has 64 bits, and each shard takes 8 of them.
      if (node.shards.length > 0 && shard >= limits.shardDepth) throw tooDeep()
      return [...entriesOf(node.entries), ...node.shards.map(cid => ({ cid, depth, shard: shard + 1 }))]
    }
  }

  function entriesOf(entries: readonly { readonly cid: CID }[]): readonly Place[] {
    // Attack: folders in folders, ten thousand deep, each a block that has to come before the next is known.
    if (entries.length > 0 && depth >= limits.depth) throw tooDeep()
    return entries.map(({ cid }) => ({ cid, depth: depth + 1, shard: 1 }))
  }
}

/** The most that the block of a CID may have. */
export function maxBytesOf(cid: CID, { chunkBytes, nodeBytes }: ContentLimits): number {
  return cid.code === RAW ? chunkBytes : nodeBytes
}

/**
 * The blocks that answer one request, one after the other: what the one side sends is what the other side expects.
 *
 * Invariants:
 * 1. Depth first: below what is asked for, a node comes before what it names, and that comes in the order of its links.
 * 2. Each block comes once: with whatever named it first.
 * 3. Nothing but `next` is ever sent or taken.
 */
export class BlockOrder {
  readonly request: DagRequest
  readonly #limits: ContentLimits
  /** What is still to come, the next at the end. */
  readonly #stack: Place[]
  readonly #named = new Set<string>()

  constructor(request: DagRequest, limits: ContentLimits = LIMITS.content) {
    this.request = request
    this.#limits = limits
    this.#stack = request.wants.map(topPlace).reverse()
    if (request.reach !== 'blocks') for (const cid of request.wants) this.#named.add(cid.toString())
  }

  /** The block that comes next, or undefined when all have come. */
  get next(): CID | undefined {
    return this.#stack.at(-1)?.cid
  }

  /**
   * Goes on behind the next block, whose verified bytes these are. Returns the node that they are, where what is below it
   * matters to the order.
   * @throws RegistryError MALFORMED | LIMIT_EXCEEDED for content that could not have been published
   */
  take(bytes: Uint8Array): UnixfsNode | undefined {
    const place = this.#stack.pop()
    const { reach } = this.request
    if (place === undefined || reach === 'blocks' || place.cid.code === RAW) return undefined
    const node = parseUnixfsNode(bytes, this.#limits)
    const below = placesBelow(node, place, this.#limits).filter(({ cid }) => reach === 'all' || cid.code !== RAW)
    const fresh = below.filter(({ cid }) => this.#isNew(cid))
    for (const child of fresh.toReversed()) this.#stack.push(child)
    return node
  }

  /** The next block is not where it is looked for: what is below it is left out. */
  miss(): void {
    this.#stack.pop()
  }

  #isNew(cid: CID): boolean {
    const key = cid.toString()
    if (this.#named.has(key)) return false
    if (this.#named.size >= this.#limits.blocks)
      throw new RegistryError('LIMIT_EXCEEDED', `a package has at most ${this.#limits.blocks} blocks`)
    this.#named.add(key)
    return true
  }
}

function tooDeep(): RegistryError {
  return new RegistryError('LIMIT_EXCEEDED', 'content is nested too deeply')
}
