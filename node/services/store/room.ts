import type { ContentId } from '../../../protocol/cid.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'

export interface RoomComponents {
  /** Bytes of all blocks. */
  readonly usedBytes: () => Promise<number>
  /** Bytes of a content that are here already. */
  readonly bytesHere: (root: ContentId, signal: AbortSignal) => Promise<number>
  /** Lets go of what is not pinned until what stays has at most so many bytes. */
  readonly shrinkTo: (bytes: number, signal: AbortSignal) => Promise<void>
  readonly now: () => number
  /** What an operator calls this store. */
  readonly swarm: string
}

/** Room for one content, until `end`. */
export interface Reservation {
  readonly end: () => void
}

/**
 * The quota of one block store: what is about to come is counted before it does.
 *
 * Invariant: what is used and what was promised together never pass the quota by more than the nodes around the files, which
 * no release declares; the next fetch counts them.
 */
export class Room {
  readonly #components: RoomComponents
  readonly #promised = new Set<{ readonly bytes: number; readonly ended: Promise<void> }>()
  quotaBytes: number | undefined
  /** Since when whatever does not fit is refused, for a while, without another collection. */
  #fullSince: number | undefined

  constructor(components: RoomComponents, quotaBytes: number | undefined) {
    this.#components = components
    this.quotaBytes = quotaBytes
  }

  /** Something was let go, unpinned or allowed: a collection may find more than the last one did. */
  changed(): void {
    this.#fullSince = undefined
  }

  /** @throws RegistryError QUOTA_EXCEEDED */
  async reserve(
    { root, size }: { readonly root: ContentId; readonly size: number },
    signal: AbortSignal
  ): Promise<Reservation> {
    let needed = size
    let isCounted = false
    for (;;) {
      signal.throwIfAborted()
      const quota = this.quotaBytes
      if (quota === undefined) return { end: () => undefined }
      const used = await this.#components.usedBytes()
      if (used + this.#promisedBytes() + needed <= quota) return this.#promise(needed)
      if (!isCounted) {
        // Another version of what is here brings little, and is declared as all of it.
        needed = Math.max(0, size - (await this.#components.bytesHere(root, signal)))
        isCounted = true
      } else if (this.#promised.size > 0) {
        // What is on its way is counted twice, here and promised, until it has come.
        await endedOr(
          signal,
          [...this.#promised].map(({ ended }) => ended)
        )
      } else {
        await this.#makeRoom({ root, needed, quota, used }, signal)
        if ((await this.#components.usedBytes()) + needed > quota) {
          this.#fullSince = this.#components.now()
          throw this.#exceeded(root, needed, quota, used)
        }
      }
    }
  }

  async #makeRoom(
    { root, needed, quota, used }: { root: ContentId; needed: number; quota: number; used: number },
    signal: AbortSignal
  ): Promise<void> {
    // Attack: a registry of ten thousand releases that do not fit would have everything walked as often.
    const since = this.#fullSince
    // Set back, a clock would otherwise have it refused for as long as it was ahead.
    const isKnownFull = since !== undefined && Math.abs(this.#components.now() - since) < LIMITS.store.fullMs
    if (needed > quota || isKnownFull) throw this.#exceeded(root, needed, quota, used)
    const target = Math.floor((quota * LIMITS.store.quotaTargetPercent) / 100)
    await this.#components.shrinkTo(Math.max(0, Math.min(quota - needed, target)), signal)
  }

  #promisedBytes(): number {
    let bytes = 0
    for (const promise of this.#promised) bytes += promise.bytes
    return bytes
  }

  #promise(bytes: number): Reservation {
    const { promise: ended, resolve } = Promise.withResolvers<void>()
    const promise = { bytes, ended }
    this.#promised.add(promise)
    return {
      end: () => {
        this.#promised.delete(promise)
        resolve()
      }
    }
  }

  #exceeded(root: ContentId, needed: number, quota: number, used: number): RegistryError {
    const { swarm } = this.#components
    return new RegistryError('QUOTA_EXCEEDED', `${needed} bytes of ${root} do not fit into the quota of ${swarm}`, {
      detail: { needed, quota, used },
      tried: [`${used} of ${quota} bytes are used, and nothing more is free to go`],
      next: `raise it with ggen-node store quota SIZE, or let something go: ggen-node store pins, ggen-node store unpin`
    })
  }
}

/** Until one of them has ended, or the signal is aborted. */
async function endedOr(signal: AbortSignal, ended: readonly Promise<void>[]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const onAbort = (): void => resolve()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([...ended, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
