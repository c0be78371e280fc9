import type { CID } from 'multiformats/cid'
import type { ContentId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { BlockSource } from '../storage/content/blocks.ts'
import { bytesOf } from './p2p/dag-together.ts'

/** What came together, and how many of its contents are not in their places yet. */
interface Batch {
  readonly blocks: ReadonlyMap<string, Uint8Array>
  readonly bytes: number
  readonly roots: Set<ContentId>
}

/**
 * Blocks of small contents that have just come: who puts them in their places a moment later need not read each from a file of
 * its own. They are in the store all the same, durable, and whoever reads them here verifies them as if they came from there.
 *
 * Bound: beyond it the oldest are forgotten; the store has them.
 */
export class FreshBlocks {
  readonly #batches = new Map<ContentId, Batch>()
  #bytes = 0

  remember(roots: Iterable<ContentId>, blocks: ReadonlyMap<string, Uint8Array>): void {
    const batch = { blocks, bytes: bytesOf(blocks), roots: new Set(roots) }
    if (batch.roots.size === 0) return
    for (const root of batch.roots) {
      this.forget(root)
      this.#batches.set(root, batch)
    }
    this.#bytes += batch.bytes
    for (const oldest of this.#batches.values()) {
      if (this.#bytes <= LIMITS.dag.freshBytes) return
      for (const root of oldest.roots) this.forget(root)
    }
  }

  forget(root: ContentId): void {
    const batch = this.#batches.get(root)
    if (batch === undefined) return
    this.#batches.delete(root)
    batch.roots.delete(root)
    if (batch.roots.size === 0) this.#bytes -= batch.bytes
  }

  /** The blocks of a store, those that came with this root without going to the disk. What is withheld is not at hand here either. */
  before(store: BlockSource, root: ContentId, withheld: { readonly has: (cid: CID) => boolean }): BlockSource {
    return {
      get: (cid, options) => store.get(cid, options),
      readNow: cid => {
        const near = withheld.has(cid) ? undefined : this.#batches.get(root)?.blocks.get(cid.toString())
        return near ?? store.readNow?.(cid)
      }
    }
  }
}
