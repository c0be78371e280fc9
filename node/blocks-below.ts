import type { CID } from 'multiformats/cid'
import { toLink } from '../protocol/cid.ts'
import type { ContentId } from '../protocol/cid.ts'
import { placesBelow, topPlace } from '../protocol/dag/order.ts'
import { DigestSet } from '../protocol/digest-set.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { parseUnixfsNode, RAW } from '../protocol/unixfs-node.ts'
import { readBlock } from '../storage/content/blocks.ts'
import type { BlockSource } from '../storage/content/blocks.ts'
import type { Clock } from './runtime/clock.ts'

export interface BlocksBelowInit {
  readonly blocks: () => BlockSource & { has(cid: CID): Promise<boolean> }
  readonly clock: Pick<Clock, 'now'>
  /** Aborted when the node begins to close its stores. */
  readonly stopping: AbortSignal
}

interface Below {
  readonly blocks: DigestSet
  /** All nodes were here: it is never read again. */
  readonly isWhole: boolean
  readonly at: number
}

/**
 * Which blocks lie below a root, as far as its nodes are here. They are read once for each root and remembered, within
 * bounds: who asks for the parts of a root one by one costs a look into a table.
 */
export class BlocksBelow {
  readonly #init: BlocksBelowInit
  /** Those that were asked for last at the end. */
  readonly #roots = new Map<ContentId, Below>()
  readonly #reading = new Map<ContentId, Promise<Below>>()
  #size = 0

  constructor(init: BlocksBelowInit) {
    this.#init = init
  }

  /** Those of some blocks that are neither the root nor below it. */
  async strange(root: ContentId, cids: readonly CID[]): Promise<readonly CID[]> {
    const known = this.#roots.get(root)
    const left = known === undefined ? cids : cids.filter(cid => !known.blocks.has(cid.multihash.digest))
    if (left.length === 0 || (known !== undefined && !this.#isDue(known))) return left
    const { blocks } = await this.#read(root)
    return left.filter(cid => !blocks.has(cid.multihash.digest))
  }

  /** Attack: blocks of something else are asked for again and again, below a root of which a part is here. */
  #isDue({ isWhole, at }: Below): boolean {
    return !isWhole && Math.abs(this.#init.clock.now() - at) >= LIMITS.gateway.rereadMs
  }

  async #read(root: ContentId): Promise<Below> {
    const running = this.#reading.get(root)
    if (running !== undefined) return running
    const reading = this.#walk(root).finally(() => this.#reading.delete(root))
    this.#reading.set(root, reading)
    const below = await reading
    this.#remember(root, below)
    return below
  }

  #remember(root: ContentId, below: Below): void {
    this.#forget(root)
    this.#roots.set(root, below)
    this.#size += below.blocks.size
    for (const oldest of this.#roots.keys()) {
      if (this.#size <= LIMITS.gateway.belowBlocks && this.#roots.size <= LIMITS.gateway.belowRoots) return
      if (oldest !== root) this.#forget(oldest)
    }
  }

  #forget(root: ContentId): void {
    this.#size -= this.#roots.get(root)?.blocks.size ?? 0
    this.#roots.delete(root)
  }

  async #walk(root: ContentId): Promise<Below> {
    const { stopping, clock } = this.#init
    const source = this.#init.blocks()
    const blocks = new DigestSet(LIMITS.content.blocks)
    const pending = [topPlace(toLink(root))]
    blocks.add(toLink(root).multihash.digest)
    let isWhole = true
    try {
      for (let place = pending.pop(); place !== undefined; place = pending.pop()) {
        stopping.throwIfAborted()
        if (place.cid.code === RAW) continue
        if (!(await source.has(place.cid))) {
          isWhole = false
          continue
        }
        const bytes = await readBlock(source, place.cid, { limits: LIMITS.content, signal: stopping })
        for (const child of placesBelow(parseUnixfsNode(bytes, LIMITS.content), place, LIMITS.content)) {
          if (blocks.has(child.cid.multihash.digest)) continue
          // More than any package may have: what is beyond is nobody's to ask for.
          if (!blocks.add(child.cid.multihash.digest)) return { blocks, isWhole: true, at: clock.now() }
          pending.push(child)
        }
      }
    } catch (error) {
      stopping.throwIfAborted()
      // Damaged, or content that could not have been published: what was found so far is below it all the same.
      isWhole = isRegistryError(error) && error.code !== 'CORRUPT_BLOCK'
    }
    return { blocks, isWhole, at: clock.now() }
  }
}
