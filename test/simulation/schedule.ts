/** What is to happen at a time, with everything that it causes at once. */
export interface Planned {
  readonly at: number
  readonly order: number
  readonly label: string
  readonly run: () => Promise<void> | void
}

/** Simulated time is 0 at the start of a run; clocks of nodes begin here. */
export const EPOCH_MS = 1_700_000_000_000

/** More than a run ever has at once: a storm of messages or timers ends here. */
export const EVENTS_WAITING = 20_000

/**
 * The only clock. Events are run one at a time, each to its end, in order of time and then of planning, so nothing that
 * the machine does in between (timers, threads, garbage collection) can change what comes after what.
 */
export class Schedule {
  readonly #heap: Planned[] = []
  #now = 0
  #planned = 0

  get now(): number {
    return this.#now
  }

  get waiting(): number {
    return this.#heap.length
  }

  plan(inMs: number, label: string, run: () => Promise<void> | void): void {
    if (this.#heap.length >= EVENTS_WAITING) throw new Error(`${EVENTS_WAITING} events wait, the last one ${label}`)
    const planned = { at: this.#now + Math.max(0, Math.ceil(inMs)), order: this.#planned, label, run }
    this.#planned += 1
    let at = this.#heap.push(planned) - 1
    while (at > 0) {
      const above = (at - 1) >>> 1
      const parent = this.#heap[above]
      if (parent === undefined || !isBefore(planned, parent)) break
      this.#heap[at] = parent
      at = above
    }
    this.#heap[at] = planned
  }

  /** The next event up to a time, with the clock set to it. */
  take(until: number): Planned | undefined {
    const [first] = this.#heap
    if (first === undefined || first.at > until) {
      this.#now = Math.max(this.#now, until)
      return undefined
    }
    const last = this.#heap.pop()
    if (last !== undefined && this.#heap.length > 0) this.#sink(last)
    this.#now = first.at
    return first
  }

  #sink(planned: Planned): void {
    const heap = this.#heap
    let at = 0
    for (;;) {
      const left = heap[2 * at + 1]
      const right = heap[2 * at + 2]
      if (left === undefined) break
      const isRight = right !== undefined && isBefore(right, left)
      const child = isRight ? right : left
      if (!isBefore(child, planned)) break
      heap[at] = child
      at = 2 * at + (isRight ? 2 : 1)
    }
    heap[at] = planned
  }
}

function isBefore(a: Planned, b: Planned): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
