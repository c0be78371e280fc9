import { setTimeout as delay } from 'node:timers/promises'
import type { Daemon } from './daemon.ts'

/**
 * Ends a daemon at random moments of a work that it does again and again, up to the end of that work: how long it takes is
 * learnt from every time that it was over before the kill, and grows again with every time that it was not.
 */
export class Kills {
  /** How often the work was broken off. */
  interrupted = 0
  #wholeMs: number
  readonly #random: () => number

  /** `wholeMs`: how long the work takes, as far as that is known. */
  constructor(random: () => number, wholeMs: number) {
    this.#random = random
    this.#wholeMs = wholeMs
  }

  /** How long the work takes, as far as that is known by now. */
  get wholeMs(): number {
    return this.#wholeMs
  }

  /** Lets the daemon work, kills it meanwhile, and returns when both are over. */
  async during(daemon: Pick<Daemon, 'stop'>, work: () => Promise<unknown>): Promise<void> {
    const started = performance.now()
    const kill = delay(this.#random() * this.#wholeMs).then(() => daemon.stop('SIGKILL'))
    const isLate = await work().then(
      () => true,
      () => false
    )
    if (isLate) this.#wholeMs = performance.now() - started
    else {
      this.interrupted += 1
      this.#wholeMs *= 1.1
    }
    await kill
  }
}
