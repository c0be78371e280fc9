import { RegistryError } from '../../protocol/errors.ts'

export interface QueueInit {
  readonly concurrency: number
  /** Tasks that may wait; one more is refused. */
  readonly capacity: number
}

interface Waiting {
  readonly begin: () => void
}

/** Runs tasks a few at a time and in order, and refuses what it cannot hold. */
export class Queue {
  readonly #concurrency: number
  readonly #capacity: number
  readonly #waiting: Waiting[] = []
  readonly #onIdle: (() => void)[] = []
  #running = 0

  constructor({ concurrency, capacity }: QueueInit) {
    this.#concurrency = concurrency
    this.#capacity = capacity
  }

  /** Tasks that run or wait. */
  get size(): number {
    return this.#running + this.#waiting.length
  }

  /**
   * Runs a task when its turn comes. A signal that is aborted before then takes it out of the queue.
   * @throws RegistryError LIMIT_EXCEEDED when the queue is full
   */
  async run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    await this.#turn(signal)
    try {
      signal?.throwIfAborted()
      return await task()
    } finally {
      this.#release()
    }
  }

  /** Fulfilled when nothing runs and nothing waits. */
  async idle(): Promise<void> {
    if (this.size > 0) await new Promise<void>(resolve => this.#onIdle.push(resolve))
  }

  async #turn(signal: AbortSignal | undefined): Promise<void> {
    if (this.#running < this.#concurrency) {
      this.#running += 1
      return
    }
    if (this.#waiting.length >= this.#capacity) {
      throw new RegistryError('LIMIT_EXCEEDED', 'too much work is waiting already', {
        detail: { waiting: this.#capacity }
      })
    }
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1)
        reject(signal?.reason as Error)
      }
      const entry: Waiting = {
        begin: () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        }
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.push(entry)
    })
  }

  /** Hands the place on rather than freeing it, so that nobody who comes now overtakes those who wait. */
  #release(): void {
    const next = this.#waiting.shift()
    if (next !== undefined) return next.begin()
    this.#running -= 1
    if (this.#running === 0) for (const wake of this.#onIdle.splice(0)) wake()
  }
}

export interface FanOutInit {
  readonly concurrency: number
  readonly signal?: AbortSignal
}

/**
 * Does something for every item, a few at a time, taking the next item only when there is room for it. The first failure
 * aborts the signal the others see, is thrown once they have ended, and nothing more is taken.
 */
export async function fanOut<T>(
  items: Iterable<T> | AsyncIterable<T>,
  { concurrency, signal }: FanOutInit,
  task: (item: T, signal: AbortSignal) => Promise<void>
): Promise<void> {
  const controller = new AbortController()
  const merged = signal === undefined ? controller.signal : AbortSignal.any([controller.signal, signal])
  const running = new Set<Promise<void>>()
  const failures: unknown[] = []
  const launch = (item: T) => {
    const one: Promise<void> = task(item, merged)
      .catch((error: unknown) => {
        failures.push(error)
        controller.abort(error)
      })
      .finally(() => running.delete(one))
    running.add(one)
  }
  try {
    for await (const item of items) {
      merged.throwIfAborted()
      launch(item)
      while (running.size >= concurrency) await Promise.race(running)
    }
  } catch (error) {
    failures.push(error)
    controller.abort(error)
  }
  await Promise.all(running)
  if (failures.length > 0) throw failures[0]
  signal?.throwIfAborted()
}
