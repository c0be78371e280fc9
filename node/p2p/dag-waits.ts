import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'

export interface WaitsComponents {
  readonly clock: Clock
  /** A peer may be asked again. */
  readonly onDue: (peer: string) => void
}

interface Wait {
  tries: number
  cancel: (() => void) | undefined
}

/**
 * Peers of one fetch that are asked again in a while: who had no room, and who is still receiving the same and had no more of
 * it yet.
 *
 * Attack: "no room" for ever. When nothing has come from anybody for long, nobody is waited for any more.
 */
export class Waits {
  readonly #components: WaitsComponents
  readonly #waits = new Map<string, Wait>()
  #fetched = 0
  #progressAt: number

  constructor(components: WaitsComponents) {
    this.#components = components
    this.#progressAt = components.clock.now()
  }

  get isEmpty(): boolean {
    return [...this.#waits.values()].every(({ cancel }) => cancel === undefined)
  }

  has(peer: string): boolean {
    return this.#waits.get(peer)?.cancel !== undefined
  }

  /** Whether it has put somebody off before. */
  knows(peer: string): boolean {
    return this.#waits.has(peer)
  }

  /** It has sent something: the next wait is short again. */
  forget(peer: string): void {
    const wait = this.#waits.get(peer)
    if (wait !== undefined) wait.tries = 0
  }

  /**
   * Waits for a peer, longer each time. False when that has been in vain for too long.
   * @param fetched bytes of the content that have come so far, from anybody
   */
  add(peer: string, fetched: number): boolean {
    const { clock, onDue } = this.#components
    const { busyMs, busyMostMs, busyGiveUpMs } = LIMITS.dag
    if (fetched > this.#fetched) this.#progressAt = clock.now()
    this.#fetched = fetched
    if (clock.now() - this.#progressAt >= busyGiveUpMs) return false
    const wait = this.#waits.get(peer) ?? { tries: 0, cancel: undefined }
    this.#waits.set(peer, wait)
    wait.cancel?.()
    wait.cancel = clock.after(Math.min(busyMostMs, busyMs * 2 ** wait.tries), () => {
      wait.cancel = undefined
      onDue(peer)
    })
    wait.tries += 1
    return true
  }

  stop(): void {
    for (const wait of this.#waits.values()) {
      wait.cancel?.()
      wait.cancel = undefined
    }
  }
}
