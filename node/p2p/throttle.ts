import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Throttle } from './components.ts'

/**
 * A bound that several share, as a bucket of tokens: whoever comes next waits for those before. What is taken at once is taken
 * as a whole, so that a piece that is larger than a second's share goes too. Timers are late, and a busy process is later: what
 * was not taken in the last moments may be taken after them, so that the mean is the bound and not half of it.
 */
export class SharedThrottle implements Throttle {
  readonly bytesPerSecond: number
  readonly #clock: Clock
  /** When all that was taken has had its time. */
  #freeAt = 0

  constructor(bytesPerSecond: number, clock: Clock) {
    this.bytesPerSecond = bytesPerSecond
    this.#clock = clock
  }

  owe(bytes: number): number {
    const now = this.#clock.now()
    // What was left over before that, while nobody took anything, is gone.
    this.#freeAt = Math.max(now - LIMITS.dag.throttleSlackMs, this.#freeAt) + (bytes * 1_000) / this.bytesPerSecond
    return this.#freeAt - now
  }

  async turn(bytes: number): Promise<void> {
    const waitMs = this.#freeAt - this.#clock.now()
    this.owe(bytes)
    if (waitMs > 0) await new Promise<void>(resolve => void this.#clock.after(waitMs, resolve))
  }
}
