import type { Clock } from '../../node/p2p/components.ts'

interface Task {
  readonly at: number
  readonly order: number
  run: (() => void) | undefined
}

/** Time that passes when nothing is left to do in the moment that it is: minutes take as long as their work. */
export class VirtualTime implements Clock {
  #now = 0
  #count = 0
  readonly #heap: Task[] = []
  readonly #settled: () => Promise<void>

  /** `settled`: when everything that waits for nothing but its turn has had it, which time waits for before it moves. */
  constructor(settled: () => Promise<void> = () => new Promise(resolve => setImmediate(resolve))) {
    this.#settled = settled
  }

  readonly now = (): number => this.#now

  readonly after = (ms: number, run: () => void): (() => void) => {
    const task: Task = { at: this.#now + Math.max(0, ms), order: (this.#count += 1), run }
    this.#push(task)
    return () => (task.run = undefined)
  }

  /** Goes on until something is done. Throws when it will never be. */
  async runUntil(isDone: () => boolean, mostMs: number): Promise<void> {
    for (;;) {
      await this.#settled()
      if (isDone()) return
      const next = this.#pop()
      if (next === undefined) throw new Error('nothing is left that could happen')
      if (next.at > mostMs) throw new Error(`not done after ${mostMs} ms`)
      this.#now = next.at
      next.run?.()
    }
  }

  #push(task: Task): void {
    const heap = this.#heap
    let at = heap.push(task) - 1
    while (at > 0) {
      const up = (at - 1) >> 1
      if (!isBefore(task, heap[up])) break
      heap[at] = heap[up] as Task
      at = up
    }
    heap[at] = task
  }

  #pop(): Task | undefined {
    for (;;) {
      const top = this.#take()
      if (top === undefined || top.run !== undefined) return top
    }
  }

  #take(): Task | undefined {
    const heap = this.#heap
    const top = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return top
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      const down = isBefore(heap[left + 1] ?? last, heap[left]) ? left + 1 : left
      const child = heap[down]
      if (child === undefined || !isBefore(child, last)) break
      heap[at] = child
      at = down
    }
    heap[at] = last
    return top
  }
}

function isBefore(a: Task, b: Task | undefined): boolean {
  return b === undefined || a.at < b.at || (a.at === b.at && a.order < b.order)
}
