import type { RegistryId } from '../../../protocol/cid.ts'
import type { Subject } from '../../../protocol/fact.ts'
import { LIMITS } from '../../../protocol/limits.ts'

export interface BacklogInit {
  /** What is noted on the disk, as much as is taken at once. */
  readonly todo: (registry: RegistryId) => Promise<readonly Subject[]>
  readonly work: (registry: RegistryId, subject: Subject) => Promise<void>
  readonly onFailed: (registry: RegistryId, subject: Subject, error: unknown) => void
}

/** What waits of one registry. */
interface Waiting {
  readonly subjects: Set<Subject>
  /** More is noted on the disk than is held here. */
  isMore: boolean
  /** What failed since the last look at the disk: it stays noted, and must not be taken up again at once. */
  readonly failed: Set<Subject>
}

/**
 * Works off what is noted on the disk, one subject after the other. What there is no room for in memory is found on the
 * disk again.
 */
export class Backlog {
  readonly #init: BacklogInit
  readonly #waiting = new Map<RegistryId, Waiting>()
  #running: Promise<void> | undefined
  #isStopped = false

  constructor(init: BacklogInit) {
    this.#init = init
  }

  add(registry: RegistryId, subjects: readonly Subject[]): void {
    const waiting = this.#of(registry)
    for (const subject of subjects) {
      waiting.failed.delete(subject)
      if (waiting.subjects.size < LIMITS.document.queue) waiting.subjects.add(subject)
      else waiting.isMore = true
    }
    this.#run()
  }

  /** Takes up what is noted on the disk. */
  look(registry: RegistryId): void {
    this.#of(registry).isMore = true
    this.#run()
  }

  /**
   * Fulfilled when nothing waits, on the disk either. Crash state: a write that reported a failure may have landed, with notes
   * that nobody was told of; and what could not be written while the disk was full may be written now.
   */
  async settled(registry: RegistryId): Promise<void> {
    this.look(registry)
    while (this.#waiting.has(registry) && this.#running !== undefined) await this.#running
  }

  stop(): void {
    this.#isStopped = true
  }

  #of(registry: RegistryId): Waiting {
    const known = this.#waiting.get(registry)
    if (known !== undefined) return known
    const waiting: Waiting = { subjects: new Set(), isMore: false, failed: new Set() }
    this.#waiting.set(registry, waiting)
    return waiting
  }

  #run(): void {
    if (this.#isStopped) return
    this.#running ??= this.#workOff().finally(() => {
      this.#running = undefined
      if (this.#waiting.size > 0) this.#run()
    })
  }

  /**
   * A few subjects of each registry in turn: a long backlog of one must not hold up another. Side by side, because while the
   * worker makes one document the facts of the next can be read.
   */
  async #workOff(): Promise<void> {
    while (!this.#isStopped && this.#waiting.size > 0) {
      for (const [registry, waiting] of this.#waiting) {
        if (this.#isStopped) return
        const subjects = firstOf(waiting.subjects, LIMITS.document.atOnce)
        if (subjects.length > 0) await Promise.all(subjects.map(subject => this.#work(registry, waiting, subject)))
        else if (waiting.isMore) await this.#refill(registry, waiting)
        else this.#waiting.delete(registry)
      }
    }
  }

  async #work(registry: RegistryId, waiting: Waiting, subject: Subject): Promise<void> {
    waiting.subjects.delete(subject)
    try {
      await this.#init.work(registry, subject)
    } catch (error) {
      if (this.#isStopped) return
      if (waiting.failed.size < LIMITS.document.queue) waiting.failed.add(subject)
      this.#init.onFailed(registry, subject, error)
    }
  }

  async #refill(registry: RegistryId, waiting: Waiting): Promise<void> {
    waiting.isMore = false
    try {
      const noted = await this.#init.todo(registry)
      const fresh = noted.filter(subject => !waiting.failed.has(subject))
      for (const subject of fresh) waiting.subjects.add(subject)
      // As many as were asked for: there may be more behind them. All failed: there is nothing to be gained by looking again.
      waiting.isMore = noted.length >= LIMITS.document.queue && fresh.length > 0
    } catch (error) {
      this.#init.onFailed(registry, 'registry', error)
    }
  }
}

function firstOf<T>(all: Iterable<T>, count: number): readonly T[] {
  const first: T[] = []
  for (const one of all) if (first.push(one) === count) break
  return first
}
