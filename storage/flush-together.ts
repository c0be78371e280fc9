import type { CID } from 'multiformats/cid'

/** What could not be made durable, by the text of its content id, and why. */
export type FlushFailures = ReadonlyMap<string, unknown>

/**
 * Makes blocks durable for all who ask meanwhile in one go. A disk takes about as long for the second of two turns as for the
 * first, and for the second of two files in one turn next to nothing.
 */
export class FlushTogether {
  readonly #flush: (cids: readonly CID[]) => Promise<FlushFailures>
  #last: Promise<unknown> = Promise.resolve()
  #next: { readonly cids: Map<string, CID>; readonly run: Promise<FlushFailures> } | undefined

  /** @param flush rejects when nothing of it is durable */
  constructor(flush: (cids: readonly CID[]) => Promise<FlushFailures>) {
    this.#flush = flush
  }

  /** @throws what became of one of these, and not what became of others' */
  async flush(cids: Iterable<CID>): Promise<void> {
    const own = [...cids]
    if (own.length === 0) return
    const turn = this.#turn()
    for (const cid of own) turn.cids.set(cid.toString(), cid)
    const failures = await turn.run
    for (const cid of own) if (failures.has(cid.toString())) throw failures.get(cid.toString())
  }

  /** The turn that has not begun: who comes while one is under way may have written after it looked. */
  #turn(): { readonly cids: Map<string, CID>; readonly run: Promise<FlushFailures> } {
    if (this.#next !== undefined) return this.#next
    const cids = new Map<string, CID>()
    const run = this.#last.then(() => {
      this.#next = undefined
      return this.#flush([...cids.values()])
    })
    this.#last = run.catch(() => undefined)
    this.#next = { cids, run }
    return this.#next
  }
}
