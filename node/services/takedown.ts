import { setImmediate } from 'node:timers/promises'
import type { CID } from 'multiformats/cid'
import { toLink } from '../../protocol/cid.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { isRegistryError, RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'

export interface TakenDown {
  readonly root: ContentId
  readonly reference: string
  /** The operator's words, or nothing. */
  readonly reason: string
  readonly time: number
}

export interface TakedownRecords {
  takedowns(): Promise<readonly TakenDown[]>
  withheld(): AsyncIterable<readonly [ContentId, CID]>
  withhold(takedown: TakenDown, blocks: readonly CID[]): Promise<void>
  release(root: ContentId): Promise<void>
  allow(root: ContentId, blocks: readonly CID[]): Promise<void>
}

export interface TakedownComponents {
  readonly records: TakedownRecords
  /** The blocks below a root that is on this disk, withheld or not. */
  readonly listBlocks: (root: ContentId, signal: AbortSignal) => AsyncIterable<CID>
  /** Roots that are held as a whole. */
  readonly kept: () => AsyncIterable<ContentId>
  readonly forgetKept: (root: ContentId) => Promise<void>
  readonly deleteBlock: (cid: CID) => Promise<void>
  /** So that no byte of them is left on the disk. */
  readonly afterDeletion: () => Promise<void>
  readonly now: () => number
}

/** What an operator orders. */
export interface TakedownOrder {
  readonly reference: string
  readonly reason?: string
  /** Deletes the bytes from this disk, too. */
  readonly isDeleted?: boolean
}

export interface TakedownResult {
  readonly root: ContentId
  /** Blocks that are withheld now, and blocks that are not because other content that is kept here has them too. */
  readonly withheld: number
  readonly shared: number
  readonly deleted: number
}

/**
 * What an operator took down: bytes that this node hands to nobody, itself included. Facts stay as they are, and so do
 * ids: every other node decides for itself.
 *
 * Invariants:
 * 1. The root of what was taken down is always withheld, and never fetched again.
 * 2. A block that other content needs is not withheld: neither what is kept when something is taken down, nor what is
 *    fetched later (`allow`).
 * 3. Memory withholds what the records say, or more: it is first when something is withheld, and last when it is let go.
 */
export class Takedowns {
  readonly #components: TakedownComponents
  readonly #roots = new Map<ContentId, TakenDown>()
  /** The digest of each withheld block, and the roots that it is withheld for. */
  readonly #blocks = new Map<string, Set<ContentId>>()

  constructor(components: TakedownComponents) {
    this.#components = components
  }

  async load(): Promise<void> {
    const { records } = this.#components
    for (const takedown of await records.takedowns()) this.#roots.set(takedown.root, takedown)
    for await (const [root, cid] of records.withheld()) this.#withhold(root, cid)
  }

  get all(): readonly TakenDown[] {
    return [...this.#roots.values()].toSorted((a, b) => a.time - b.time)
  }

  /** Whether a block is withheld. */
  has({ multihash }: CID): boolean {
    return this.#blocks.size > 0 && this.#blocks.has(nameOf(multihash.digest))
  }

  isTakenDown(root: ContentId): boolean {
    return this.#roots.has(root)
  }

  /** @throws RegistryError TAKEN_DOWN */
  assertAllowed(root: ContentId): void {
    const taken = this.#roots.get(root)
    if (taken === undefined) return
    throw new RegistryError('TAKEN_DOWN', `an operator of this node withholds this content: ${taken.reference}`, {
      tried: taken.reason === '' ? [] : [`the operator says: ${taken.reason}`],
      next: `take another version, or ask the operator: ggen-node takedown undo ${root} takes it back`
    })
  }

  /** Withholds all below a root that no other kept content needs. Again: what was added since is withheld too. */
  async takedown(
    root: ContentId,
    { reference, reason = '', isDeleted = false }: TakedownOrder,
    signal: AbortSignal
  ): Promise<TakedownResult> {
    const { records, forgetKept, deleteBlock, afterDeletion, now } = this.#components
    const blocks = new Map<string, CID>()
    await this.#walk(root, signal, cid => void blocks.set(nameOf(cid.multihash.digest), cid))
    const all = blocks.size
    const own = toLink(root)
    await this.#dropShared(root, blocks, signal)
    blocks.set(nameOf(own.multihash.digest), own)
    const cids = [...blocks.values()]
    if (this.#blocks.size + cids.length > LIMITS.takedown.blocks) {
      throw new RegistryError('LIMIT_EXCEEDED', `a node withholds at most ${LIMITS.takedown.blocks} blocks`)
    }
    const takedown: TakenDown = { root, reference, reason, time: this.#roots.get(root)?.time ?? now() }
    for (const cid of cids) this.#withhold(root, cid)
    this.#roots.set(root, takedown)
    await records.withhold(takedown, cids)
    await forgetKept(root)
    if (isDeleted) {
      for (const cid of cids) await deleteBlock(cid)
      await afterDeletion()
    }
    return {
      root,
      withheld: cids.length,
      shared: Math.max(0, all - cids.length),
      deleted: isDeleted ? cids.length : 0
    }
  }

  /** Takes a takedown back. False when there was none. */
  async release(root: ContentId): Promise<boolean> {
    await this.#components.records.release(root)
    for (const [name, roots] of this.#blocks) {
      roots.delete(root)
      if (roots.size === 0) this.#blocks.delete(name)
    }
    return this.#roots.delete(root)
  }

  /** Other content has come that needs blocks which were withheld: they are handed out again, roots excepted. */
  async allow(root: ContentId, signal: AbortSignal): Promise<void> {
    if (this.#blocks.size === 0 || this.#roots.has(root)) return
    const roots = new Set([...this.#roots.keys()].map(each => nameOf(toLink(each).multihash.digest)))
    const byRoot = new Map<ContentId, CID[]>()
    await this.#walk(root, signal, cid => {
      const name = nameOf(cid.multihash.digest)
      if (roots.has(name)) return
      for (const taken of this.#blocks.get(name) ?? []) byRoot.set(taken, [...(byRoot.get(taken) ?? []), cid])
    })
    for (const [taken, cids] of byRoot) {
      await this.#components.records.allow(taken, cids)
      for (const { multihash } of cids) this.#blocks.delete(nameOf(multihash.digest))
    }
  }

  async #dropShared(root: ContentId, blocks: Map<string, CID>, signal: AbortSignal): Promise<void> {
    for await (const other of this.#components.kept()) {
      if (blocks.size === 0) return
      if (other === root || this.#roots.has(other)) continue
      await this.#walk(other, signal, cid => void blocks.delete(nameOf(cid.multihash.digest)))
    }
  }

  /** As far as the blocks are here: of content that is not here as a whole, what is here is met. */
  async #walk(root: ContentId, signal: AbortSignal, visit: (cid: CID) => void): Promise<void> {
    let visited = 0
    try {
      for await (const cid of this.#components.listBlocks(root, signal)) {
        visit(cid)
        visited += 1
        if (visited % LIMITS.storage.readAtOnce === 0) await setImmediate()
      }
    } catch (error) {
      signal.throwIfAborted()
      const isMissing = error instanceof Error && error.name === 'NotFoundError'
      if (!isMissing && !isRegistryError(error)) throw error
    }
  }

  #withhold(root: ContentId, { multihash }: CID): void {
    const name = nameOf(multihash.digest)
    const roots = this.#blocks.get(name)
    if (roots === undefined) this.#blocks.set(name, new Set([root]))
    else roots.add(root)
  }
}

/** 32 characters for 32 bytes: a million of them are held. */
function nameOf(digest: Uint8Array): string {
  return String.fromCharCode(...digest)
}
