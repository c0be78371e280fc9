import { setImmediate } from 'node:timers/promises'
import type { CID } from 'multiformats/cid'
import type { ContentId } from '../../../protocol/cid.ts'
import { isRegistryError, RegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'

/** Blocks that were reached. */
export interface Marks {
  has(cid: CID): boolean
  add(cid: CID): boolean
}

/** The blocks of one store, as whoever collects garbage uses them. */
export interface CollectedBlocks {
  /**
   * The blocks below a root, each once, a node before what it links to. Leaves are named and not read. A node that cannot be
   * read is named and told of, and the walk goes on beside it unless `onUnread` throws.
   */
  list(root: ContentId, signal: AbortSignal, onUnread: (error: unknown) => void): AsyncIterable<CID>
  sizeOf(cid: CID): number | undefined
  shards(): Promise<readonly string[]>
  keysIn(shard: string): AsyncIterable<CID>
  sweep(cid: CID, isFree: () => boolean): number | undefined
  /** Gives back to the disk what deletions left. */
  compact(options: { readonly signal: AbortSignal }): Promise<number>
}

interface KeptEntry {
  readonly root: ContentId
  readonly used: number
  readonly pinned: boolean
  readonly whole: boolean
}

export interface CollectComponents {
  readonly blocks: CollectedBlocks
  readonly roots: {
    keptEntries(): AsyncIterable<KeptEntry>
    letGo(roots: readonly ContentId[]): Promise<void>
    markKept(root: ContentId): Promise<void>
  }
  readonly inUse: { watch(marks: Marks): () => void; roots(): readonly ContentId[] }
  readonly marks: () => Marks
  /** Withheld by an operator: whoever takes a takedown back finds it here. */
  readonly isWithheld: (cid: CID) => boolean
  /** Then nothing of it is expected to be here, and what is here is withheld. */
  readonly isTakenDown: (root: ContentId) => boolean
}

export interface CollectOrder {
  /** Roots that stay whatever there is room for. Asked once the collection watches: what is pinned later is told to it. */
  readonly pinned: () => Promise<ReadonlySet<ContentId>>
  /** What is not pinned goes, the longest unused first, until all that stays has at most so many bytes. */
  readonly budgetBytes: number
  /** Lets go of no root, also when something of it is missing: only what no record speaks of goes. */
  readonly isTidying?: boolean
  /** Finds out what would go, and deletes nothing. */
  readonly isDry: boolean
  readonly signal: AbortSignal
  readonly onProgress?: (progress: { readonly text: string; readonly done: number; readonly of: number }) => void
}

export interface Collected {
  /** Roots that were let go. */
  readonly roots: number
  readonly blocks: number
  readonly bytes: number
  /** Blocks that two roots share are counted once. */
  readonly kept: { readonly roots: number; readonly bytes: number }
  readonly pinned: { readonly roots: number; readonly bytes: number }
  /** Kept roots of which something is missing or damaged here. */
  readonly broken: readonly ContentId[]
}

type Walked =
  | { readonly state: 'whole'; readonly cids: readonly CID[]; readonly bytes: number }
  /** Leaves are missing: which blocks belong to it is known all the same. `unreadable`: not even that. */
  | { readonly state: 'incomplete' | 'unreadable'; readonly cids: readonly CID[]; readonly bytes: number }

/**
 * Mark and sweep over one block store.
 *
 *   1. from now on, every block that somebody asks for or writes is marked (`inUse.watch`)
 *   2. mark what is below pinned roots, and below those that somebody holds
 *   3. mark what is below the others, the latest used first, until the budget is spent; the rest is let go
 *   4. forget the records of what is let go, durably
 *   5. mark once more what somebody holds, who may have come since 2
 *   6. delete every block that is not marked, each with a last look at the marks and nothing in between
 *   7. write anew files that hold much that was deleted: what is left in them is in use, and marked or not it stays
 *
 * | crash after | leaves |
 * |---|---|
 * | 1, 2, 3 | nothing changed |
 * | 4 | blocks that no record speaks of: garbage for the next time |
 * | a part of 6 | the same, less of it |
 * | a part of 7 | some blocks twice |
 *
 * Memory: 8 bytes for each block that stays, in a table at most half full, so 16 MiB for a million blocks and 24 MiB while the
 * table grows; the names of the roots; the blocks of the one root that is being walked.
 */
export async function collect(components: CollectComponents, order: CollectOrder): Promise<Collected> {
  return new Collection(components, order).run()
}

class Collection {
  readonly #components: CollectComponents
  readonly #order: CollectOrder
  readonly #marks: Marks
  readonly #broken: ContentId[] = []
  readonly #letGo = new Set<ContentId>()
  /** Pinned or held, and walked. */
  readonly #walked = new Set<ContentId>()
  #keptRoots = 0
  #keptBytes = 0
  #pinned: Collected['pinned'] = { roots: 0, bytes: 0 }
  #steps = 0

  constructor(components: CollectComponents, order: CollectOrder) {
    this.#components = components
    this.#order = order
    this.#marks = components.marks()
  }

  async run(): Promise<Collected> {
    const { roots, inUse } = this.#components
    const { isDry } = this.#order
    const stop = isDry ? undefined : inUse.watch(this.#marks)
    try {
      await this.#markAll()
      if (!isDry) {
        await roots.letGo([...this.#letGo])
        await this.#markHeld()
      }
      const swept = await this.#sweep()
      const kept = { roots: this.#keptRoots, bytes: this.#keptBytes }
      return { roots: this.#letGo.size, ...swept, kept, pinned: this.#pinned, broken: this.#broken }
    } finally {
      stop?.()
    }
  }

  async #markAll(): Promise<void> {
    const { isDry } = this.#order
    const pinned = await this.#order.pinned()
    const { isTakenDown } = this.#components
    const rest: KeptEntry[] = []
    const first: ContentId[] = []
    for await (const entry of this.#components.roots.keptEntries()) {
      if (first.length + rest.length >= LIMITS.store.roots) {
        throw new RegistryError('LIMIT_EXCEEDED', `a block store keeps at most ${LIMITS.store.roots} content roots`)
      }
      if (isTakenDown(entry.root)) continue
      if (entry.pinned || pinned.has(entry.root)) first.push(entry.root)
      else rest.push(entry)
    }
    const unreadable: ContentId[] = []
    for (const root of first) {
      const walked = await this.#keep(root)
      if (walked.state !== 'whole') this.#broken.push(root)
      if (walked.state === 'unreadable') unreadable.push(root)
      this.#tell('marking', this.#keptRoots, first.length + rest.length)
    }
    this.#pinned = { roots: first.length, bytes: this.#keptBytes }
    await this.#markHeld()
    for (const root of pinned) await this.#markPart(root)
    // Which blocks are below it is not known, and deleting them would make of one lost block a lost package.
    if (unreadable.length > 0 && !isDry) throw damaged(unreadable)
    await this.#markWithin(rest.toSorted((a, b) => b.used - a.used))
  }

  /** Strictly by when they were used: what does not fit is the end, also for what would. */
  async #markWithin(rest: readonly { readonly root: ContentId }[]): Promise<void> {
    const { budgetBytes, isTidying = false } = this.#order
    let isFull = false
    for (const { root } of rest) {
      if (this.#walked.has(root)) continue
      const walked = isFull ? undefined : await this.#walk(root)
      if (walked !== undefined && walked.state !== 'whole') this.#broken.push(root)
      const isFitting = walked?.state === 'whole' && this.#keptBytes + walked.bytes <= budgetBytes
      if (walked?.state === 'whole' && !isFitting) isFull = true
      if (walked !== undefined && (isFitting || isTidying)) this.#take(walked)
      else this.#letGo.add(root)
      this.#tell('marking', this.#keptRoots, this.#pinned.roots + rest.length)
    }
  }

  /** As far as it is here: a fetch under way has only a part of it. */
  async #markHeld(): Promise<void> {
    for (const root of this.#components.inUse.roots()) {
      const walked = await this.#walk(root)
      for (const cid of walked.cids) this.#marks.add(cid)
      if (this.#walked.has(root)) continue
      this.#walked.add(root)
      this.#keptBytes += walked.bytes
      // Its record went a moment before somebody began to use it.
      if (this.#letGo.delete(root) && walked.state === 'whole') await this.#components.roots.markKept(root)
    }
  }

  /** Of what is pinned and not here as a whole, what is here: somebody stopped fetching it for a while. */
  async #markPart(root: ContentId): Promise<void> {
    if (this.#walked.has(root)) return
    this.#walked.add(root)
    const { cids, bytes } = await this.#walk(root)
    for (const cid of cids) this.#marks.add(cid)
    this.#keptBytes += bytes
  }

  async #keep(root: ContentId): Promise<Walked> {
    const walked = await this.#walk(root)
    this.#walked.add(root)
    this.#take(walked)
    return walked
  }

  #take({ cids, bytes }: Walked): void {
    for (const cid of cids) this.#marks.add(cid)
    this.#keptRoots += 1
    this.#keptBytes += bytes
  }

  /**
   * `bytes`: of blocks that were not marked before. Beside a folder that is not here, what came of the others is found all the
   * same: a fetch under way counts on it.
   */
  async #walk(root: ContentId): Promise<Walked> {
    const { blocks } = this.#components
    const { signal } = this.#order
    const cids: CID[] = []
    let bytes = 0
    let state: Walked['state'] = 'whole'
    const onUnread = (error: unknown): void => {
      signal.throwIfAborted()
      if (!isLost(error)) throw error
      state = 'unreadable'
    }
    try {
      for await (const cid of blocks.list(root, signal, onUnread)) {
        await this.#rest()
        cids.push(cid)
        const size = blocks.sizeOf(cid)
        if (size !== undefined) bytes += this.#marks.has(cid) ? 0 : size
        else if (state === 'whole') state = 'incomplete'
      }
    } catch (error) {
      onUnread(error)
    }
    return { state, cids, bytes }
  }

  async #sweep(): Promise<Pick<Collected, 'blocks' | 'bytes'>> {
    const { blocks, isWithheld } = this.#components
    const { isDry } = this.#order
    const isFree = (cid: CID): boolean => !this.#marks.has(cid) && !isWithheld(cid)
    const shards = await blocks.shards()
    let [count, bytes] = [0, 0]
    for (const [at, shard] of shards.entries()) {
      for await (const cid of blocks.keysIn(shard)) {
        await this.#rest()
        if (!isFree(cid)) continue
        const freed = isDry ? blocks.sizeOf(cid) : blocks.sweep(cid, () => isFree(cid))
        if (freed === undefined) continue
        count += 1
        bytes += freed
      }
      this.#tell('sweeping', at + 1, shards.length)
    }
    if (!isDry) await blocks.compact({ signal: this.#order.signal })
    return { blocks: count, bytes }
  }

  async #rest(): Promise<void> {
    this.#order.signal.throwIfAborted()
    this.#steps += 1
    if (this.#steps % LIMITS.store.blocksPerTurn === 0) await setImmediate()
  }

  #tell(text: string, done: number, of: number): void {
    this.#order.onProgress?.({ text, done, of })
  }
}

/** Missing, damaged, or nothing that a package may hold. What the system does not let us read just now is none of that. */
export function isLost(error: unknown): boolean {
  if (isRegistryError(error)) return error.code !== 'UNKNOWN_FILE'
  return error instanceof Error && error.name === 'NotFoundError'
}

function damaged(roots: readonly ContentId[]): RegistryError {
  const named = roots.slice(0, LIMITS.store.named)
  return new RegistryError('CORRUPT_BLOCK', `nothing was deleted: ${roots.length} pinned contents are damaged here`, {
    tried: named.map(root => `read the folders of ${root}`),
    next: 'ggen-node store verify fetches them again while a node runs; ggen-node store unpin CID gives one up'
  })
}
