import { LIMITS } from '../protocol/limits.ts'
import type { Space } from './spaces.ts'

/** Deletes from one space what nothing refers to. Fails for nobody. */
export type Tidy = (space: Space, signal: AbortSignal) => Promise<void>

/**
 * Tidying after writes that found the disk full. A look through a large store takes its time, and a full disk fails many writes
 * at once: in each space one runs at a time, and one waits for whatever failed meanwhile.
 */
export class Tidying {
  readonly #tidy: Tidy
  readonly #running = new Map<string, Promise<void>>()
  readonly #waiting = new Map<string, Promise<void>>()
  readonly #abort = new AbortController()

  constructor(tidy: Tidy) {
    this.#tidy = tidy
  }

  /** Answers when a run that began after it was asked for has ended. */
  async soon(space: Space): Promise<void> {
    const before = this.#running.get(space.name)
    if (before === undefined) return this.#begin(space)
    const known = this.#waiting.get(space.name)
    if (known !== undefined) return known
    const waiting = before.then(() => {
      this.#waiting.delete(space.name)
      return this.#begin(space)
    })
    this.#waiting.set(space.name, waiting)
    return waiting
  }

  /** What runs may end, for a moment: a short command has just failed, and nobody else would delete what it left. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.#abort.abort(), LIMITS.lifecycle.stopMs)
    while (this.#running.size > 0) await Promise.all(this.#running.values())
    clearTimeout(timer)
  }

  #begin(space: Space): Promise<void> {
    if (this.#abort.signal.aborted) return Promise.resolve()
    const run = this.#tidy(space, this.#abort.signal).finally(() => this.#running.delete(space.name))
    this.#running.set(space.name, run)
    return run
  }
}

/** Waits for something that goes on all the same when whoever waits gives up. */
export function untilAborted(task: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      signal.removeEventListener('abort', end)
      resolve()
    }
    task.then(end, reject)
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })
}
