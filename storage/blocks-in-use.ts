import type { CID } from 'multiformats/cid'
import type { ContentId } from '../protocol/cid.ts'

/** What a collection is told of while it runs. */
interface Marks {
  add(cid: CID): boolean
}

/** A write of blocks whose root is not known yet. */
export interface OpenWrite {
  readonly add: (cid: CID) => void
  readonly end: () => void
}

/**
 * Who reads and writes blocks of one store just now, as a collection of garbage must know it.
 *
 * Invariants:
 * 1. What is below a root that somebody holds stays, as far as it is here, also when it was let go of during a collection.
 * 2. What somebody writes or asks for while a collection runs stays: it is told before the store is looked at.
 * 3. What was written for a root that nobody knows yet stays until its writer says that it is done.
 */
export class BlocksInUse {
  readonly #held = new Map<ContentId, number>()
  readonly #writes = new Set<CID[]>()
  /** Roots that came to be wanted while a collection runs. */
  readonly #meanwhile = new Set<ContentId>()
  #marks: Marks | undefined

  touch(cid: CID): void {
    this.#marks?.add(cid)
  }

  /** Keeps all below a root until the returned function is called. */
  hold(root: ContentId): () => void {
    this.#held.set(root, (this.#held.get(root) ?? 0) + 1)
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.wanted(root)
      const left = (this.#held.get(root) ?? 1) - 1
      if (left > 0) this.#held.set(root, left)
      else this.#held.delete(root)
    }
  }

  /** Somebody wants a root from now on, and has written that down: a collection that runs began before and does not know. */
  wanted(root: ContentId): void {
    if (this.#marks !== undefined) this.#meanwhile.add(root)
  }

  write(): OpenWrite {
    const cids: CID[] = []
    this.#writes.add(cids)
    return { add: cid => void cids.push(cid), end: () => void this.#writes.delete(cids) }
  }

  /** Begins a collection; the returned function ends it. */
  watch(marks: Marks): () => void {
    this.#marks = marks
    for (const cids of this.#writes) for (const cid of cids) marks.add(cid)
    return () => {
      this.#marks = undefined
      this.#meanwhile.clear()
    }
  }

  roots(): readonly ContentId[] {
    return [...new Set([...this.#held.keys(), ...this.#meanwhile])]
  }
}
