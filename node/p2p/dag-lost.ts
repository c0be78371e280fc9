import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'
import type { Further } from './further.ts'

export interface LostComponents {
  readonly clock: Clock
  readonly further: Pick<Further, 'again'>
  readonly isHere: (peer: string) => boolean
}

/**
 * Peers of one fetch that broke off in the middle of it, or whose connection ended: with a machine that is busy at either end
 * that says nothing of what they have. Each is sought a few times, a little longer after each that was in vain.
 *
 * Attack: one that breaks off again and again. Whoever sends a block each time is as good as one that is slow, and whoever
 * sends none is sought no more.
 */
export class Lost {
  readonly #components: LostComponents
  readonly #tries = new Map<string, number>()
  readonly #sought = new Set<string>()

  constructor(components: LostComponents) {
    this.#components = components
  }

  /** It has sent something since. */
  forget(peer: string): void {
    this.#tries.delete(peer)
  }

  isDue(peer: string): boolean {
    const { lostAtOnce, lostTries } = LIMITS.dag
    const isFree = !this.#sought.has(peer) && this.#sought.size < lostAtOnce
    return isFree && (this.#tries.get(peer) ?? 0) < lostTries
  }

  /** Resolves to whether it is here, and may be asked again. Never throws. */
  async seek(peer: string, signal: AbortSignal): Promise<boolean> {
    const { further, isHere } = this.#components
    this.#sought.add(peer)
    try {
      for (let tries = this.#tries.get(peer) ?? 0; tries < LIMITS.dag.lostTries; tries++) {
        this.#tries.set(peer, tries + 1)
        if (tries > 0) await this.#pause(LIMITS.dag.lostPauseMs * 2 ** (tries - 1), signal)
        if (signal.aborted) return false
        if (isHere(peer) || (await further.again(peer, signal))) return true
      }
      return false
    } finally {
      this.#sought.delete(peer)
    }
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const onAbort = (): void => resolve()
    signal.addEventListener('abort', onAbort, { once: true })
    const cancel = this.#components.clock.after(ms, resolve)
    if (signal.aborted) resolve()
    await promise
    cancel()
    signal.removeEventListener('abort', onAbort)
  }
}
