import { setImmediate } from 'node:timers/promises'
import { LIMITS } from '../protocol/limits.ts'

/**
 * Small files are read and written without going to another thread and back, which costs more than the work itself
 * (docs/decisions/0009): so that others are served meanwhile, the thread is given up every few milliseconds.
 */
export class Turn {
  #since = performance.now()

  async rest(): Promise<void> {
    if (performance.now() - this.#since < LIMITS.storage.turnMs) return
    await setImmediate()
    this.#since = performance.now()
  }
}
