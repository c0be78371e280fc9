import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'

/** Holds a long stream to what it may have and to the speed it must have. Attack: a byte at a time, for days. */
export class Pace {
  readonly #clock: Clock
  readonly #since: number
  #bytes = 0
  #pausedMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#since = clock.now()
  }

  /** Time that the other side is not to blame for. */
  async pause<T>(task: () => Promise<T>): Promise<T> {
    const started = this.#clock.now()
    try {
      return await task()
    } finally {
      this.#pausedMs += this.#clock.now() - started
    }
  }

  /** @throws RegistryError LIMIT_EXCEEDED | TIMEOUT */
  count(bytes: number): void {
    this.#bytes += bytes
    const { snapshot } = LIMITS
    if (this.#bytes > snapshot.bytes) throw new RegistryError('LIMIT_EXCEEDED', 'a snapshot that does not end')
    const elapsed = this.#clock.now() - this.#since - this.#pausedMs
    if (elapsed > snapshot.graceMs && this.#bytes < ((elapsed - snapshot.graceMs) * snapshot.bytesPerSecond) / 1_000)
      throw new RegistryError('TIMEOUT', 'a snapshot that is too slow')
  }
}
