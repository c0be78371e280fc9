import type { ContentId, RegistryId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'

/** One content root to be held as a whole. */
export interface Wanted {
  /** Who follows it is asked first. */
  readonly registry: RegistryId
  readonly root: ContentId
  readonly size: number
  /** The peer that told of it, which most likely has it: whoever publishes tells everybody. */
  readonly teller?: string | undefined
}

/** Where content is to be held, and the one list of what is held there as a whole. */
export interface MirrorPlace {
  readonly name: string
  readonly isKept: (root: ContentId) => Promise<boolean>
  readonly markKept: (root: ContentId) => Promise<void>
}

export interface MirrorComponents {
  /** One root may be wanted in several places. */
  readonly placeOf: (registry: RegistryId) => MirrorPlace
  /** Roots that an operator took down: not wanted, whoever says so. */
  readonly isRefused?: (root: ContentId) => boolean
  /** Fetches what is missing below a root and makes it durable. */
  readonly fetch: (wanted: Wanted, signal: AbortSignal) => Promise<unknown>
  /** Runs a task after some time, unless the node stops. */
  readonly later: (ms: number, task: () => void) => void
  readonly onLookFailed?: (subject: string, error: unknown) => void
  readonly onLooked?: () => void
  readonly onKept?: (wanted: Wanted) => void
  readonly onFailed?: (root: ContentId, error: unknown) => void
}

/**
 * Keeps the bytes of everything the registries hold: a bounded queue of roots, a few at a time. What fails is tried
 * again when somebody connects (`retry`), because a root without a provider today may have one tomorrow, and after a
 * while, longer each time that nothing came: whoever has it may be here all the time and have been too busy.
 */
export class Mirror {
  readonly #components: MirrorComponents
  readonly #queue: Wanted[] = []
  readonly #known = new Set<string>()
  readonly #failed = new Map<string, Wanted>()
  /** On their way, and given up when they do not come. */
  readonly #unwanted = new Set<string>()
  readonly #running = new Set<Promise<void>>()
  readonly #abort = new AbortController()
  readonly #looks = new Map<string, () => Promise<readonly Wanted[]>>()
  #isLooking = false
  #isRetrying = false
  #isWaiting = false
  #patienceMs: number = LIMITS.fetch.retryFailedMs
  /** How often somebody came. */
  #arrivals = 0
  readonly #kept = new Set<string>()

  constructor(components: MirrorComponents) {
    this.#components = components
  }

  get kept(): number {
    return this.#kept.size
  }

  get fetching(): number {
    return this.#queue.length + this.#running.size + this.#failed.size + this.#looks.size + (this.#isLooking ? 1 : 0)
  }

  want(wanted: Wanted): void {
    const name = this.#nameOf(wanted)
    this.#unwanted.delete(name)
    if (this.#abort.signal.aborted || this.#known.has(name)) return
    if (this.#components.isRefused?.(wanted.root) === true) return
    // Full: the next start, or the next retry, walks the view and asks again.
    if (this.#queue.length >= LIMITS.fetch.mirrorQueue) return
    this.#known.add(name)
    this.#queue.push(wanted)
    this.#pump()
  }

  /** It is not here any more, or not all of it: whoever wants it again is heard. */
  forget(place: string, root: ContentId): void {
    const name = `${place} ${root}`
    if (this.#kept.delete(name)) this.#known.delete(name)
  }

  /** Whether it is to come here and has not yet. */
  wants(place: string, root: ContentId): boolean {
    const name = `${place} ${root}`
    return this.#known.has(name) && !this.#kept.has(name)
  }

  /** Nobody wants it any more. What is on its way comes, or is not asked for again. */
  unwant(place: string, root: ContentId): void {
    const name = `${place} ${root}`
    const at = this.#queue.findIndex(wanted => this.#nameOf(wanted) === name)
    if (at >= 0) this.#queue.splice(at, 1)
    if (this.#failed.delete(name) || at >= 0) this.#known.delete(name)
    else if (this.wants(place, root)) this.#unwanted.add(name)
  }

  /**
   * Asks the view what there is to keep, later and one after the other: several facts about one subject are one look.
   * Attack: any named key can sign releases of names it has no right to. Only what counts is ever fetched.
   */
  consider(subject: string, look: () => Promise<readonly Wanted[]>): void {
    if (this.#abort.signal.aborted || this.#looks.size >= LIMITS.fetch.mirrorQueue) return
    this.#looks.set(subject, look)
    if (!this.#isLooking) void this.#lookAround()
  }

  async #lookAround(): Promise<void> {
    this.#isLooking = true
    for (const [subject, look] of this.#looks) {
      // Taken out first: a fact that comes while this one is looked at asks for another look.
      this.#looks.delete(subject)
      try {
        for (const wanted of await look()) this.want(wanted)
      } catch (error) {
        this.#components.onLookFailed?.(subject, error)
      }
      if (this.#abort.signal.aborted) break
    }
    this.#isLooking = false
    this.#components.onLooked?.()
  }

  /**
   * Somebody came: what nobody had before is asked for again, a moment later. Attack: strangers who come and go would
   * otherwise have all that is missing asked for with each of them.
   */
  retry(): void {
    this.#arrivals += 1
    this.#retryLater()
  }

  #retryLater(): void {
    if (this.#isRetrying || this.#failed.size === 0) return
    this.#isRetrying = true
    this.#components.later(LIMITS.fetch.retryMs, () => {
      this.#isRetrying = false
      this.#retryNow()
    })
  }

  #retryNow(): void {
    const again = [...this.#failed.values()]
    this.#failed.clear()
    for (const wanted of again) {
      this.#known.delete(this.#nameOf(wanted))
      this.want(wanted)
    }
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    this.#queue.length = 0
    await Promise.allSettled(this.#running)
  }

  #pump(): void {
    while (this.#running.size < LIMITS.fetch.concurrentPackages) {
      const next = this.#queue.shift()
      if (next === undefined) return
      const run = this.#keep(next).finally(() => {
        this.#running.delete(run)
        if (!this.#abort.signal.aborted) this.#pump()
      })
      this.#running.add(run)
    }
  }

  #nameOf({ registry, root }: Pick<Wanted, 'registry' | 'root'>): string {
    return `${this.#components.placeOf(registry).name} ${root}`
  }

  async #keep(wanted: Wanted): Promise<void> {
    const { placeOf, fetch, onKept, onFailed } = this.#components
    const { isKept, markKept } = placeOf(wanted.registry)
    const arrivals = this.#arrivals
    try {
      if (!(await isKept(wanted.root))) {
        const timeout = AbortSignal.timeout(LIMITS.fetch.packageTimeoutMs)
        await fetch(wanted, AbortSignal.any([timeout, this.#abort.signal]))
        await markKept(wanted.root)
      }
      if (this.#failed.size === 0) this.#patienceMs = LIMITS.fetch.retryFailedMs
      this.#unwanted.delete(this.#nameOf(wanted))
      this.#kept.add(this.#nameOf(wanted))
      onKept?.(wanted)
    } catch (error) {
      if (this.#abort.signal.aborted) return
      const name = this.#nameOf(wanted)
      const isOver = this.#unwanted.delete(name)
      if (isOver) this.#known.delete(name)
      else this.#failed.set(name, wanted)
      onFailed?.(wanted.root, error)
      if (isOver) return
      // Who came while it was asked for may have it, and nobody else may come.
      if (arrivals !== this.#arrivals) this.#retryLater()
      this.#retryInAWhile()
    }
  }

  #retryInAWhile(): void {
    if (this.#isWaiting) return
    this.#isWaiting = true
    this.#components.later(this.#patienceMs, () => {
      this.#isWaiting = false
      this.#patienceMs = Math.min(this.#patienceMs * 2, LIMITS.fetch.retryFailedMaxMs)
      this.#retryNow()
    })
  }
}
