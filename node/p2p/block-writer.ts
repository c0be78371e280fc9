import type { CID } from 'multiformats/cid'
import { LIMITS } from '../../protocol/limits.ts'

/** Where verified blocks go. */
export type PutBlock = (cid: CID, bytes: Uint8Array) => Promise<unknown>

export interface BlockWriterEvents {
  /** Half of what was too much is written. */
  onRoom(): void
  /** A block could not be written: the disk is full, or the node takes no writes. */
  onFailed(error: unknown): void
}

/** Writes blocks behind those who bring them: a few at once, and says when it has more in hand than it should. */
export class BlockWriter {
  readonly #put: PutBlock
  readonly #events: BlockWriterEvents
  readonly #queue: { readonly cid: CID; readonly bytes: Uint8Array }[] = []
  #queuedBytes = 0
  #running = 0
  #wasFull = false
  #hasFailed = false
  #onSettled: (() => void) | undefined
  readonly written: CID[] = []

  constructor(put: PutBlock, events: BlockWriterEvents) {
    this.#put = put
    this.#events = events
  }

  get isFull(): boolean {
    return this.#queuedBytes >= LIMITS.dag.writeAheadBytes
  }

  add(cid: CID, bytes: Uint8Array): void {
    if (this.#hasFailed) return
    this.#queue.push({ cid, bytes })
    this.#queuedBytes += bytes.length
    this.#wasFull ||= this.isFull
    this.#pump()
  }

  /** Resolves when everything that was added is written, or writing has failed. */
  async settled(): Promise<void> {
    if (this.#running === 0) return
    await new Promise<void>(resolve => (this.#onSettled = resolve))
  }

  #pump(): void {
    while (this.#running < LIMITS.dag.writesAtOnce) {
      const next = this.#queue.shift()
      if (next === undefined) break
      this.#running += 1
      void this.#write(next)
    }
  }

  async #write({ cid, bytes }: { readonly cid: CID; readonly bytes: Uint8Array }): Promise<void> {
    try {
      await this.#put(cid, bytes)
      this.written.push(cid)
    } catch (error) {
      this.#queue.length = 0
      if (!this.#hasFailed) this.#events.onFailed(error)
      this.#hasFailed = true
    }
    this.#running -= 1
    this.#queuedBytes -= bytes.length
    this.#pump()
    if (this.#wasFull && this.#queuedBytes <= LIMITS.dag.writeAheadBytes / 2) {
      this.#wasFull = false
      this.#events.onRoom()
    }
    if (this.#running === 0) this.#onSettled?.()
  }
}
