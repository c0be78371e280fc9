import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'

export interface CompanyComponents {
  readonly clock: Clock
  readonly isAlone: () => boolean
  /** Whatever dials peers that are known: now, unless it is doing so. It never fails. */
  readonly dialling: readonly { dialNow(): Promise<void>; troubles?(): readonly string[] }[]
}

/**
 * Somebody to ask, for whoever wants bytes while nobody is here: a node that has just started, or whose peers are just
 * being dialled. A machine that is busy needs more than one dial for a handshake; one where nothing listens says so at once.
 */
export class Company {
  readonly #components: CompanyComponents
  #arrived = Promise.withResolvers<void>()
  #search: Promise<void> | undefined
  #reachedAt = Number.NEGATIVE_INFINITY
  #vainAt = Number.NEGATIVE_INFINITY
  #isStopped = false

  constructor(components: CompanyComponents) {
    this.#components = components
  }

  /** A socket that was dialled from here is open: the handshake and the introduction are what is missing. */
  onReached(): void {
    this.#reachedAt = this.#components.clock.now()
  }

  onPeer(): void {
    this.#arrived.resolve()
    this.#arrived = Promise.withResolvers()
  }

  onPeerGone(): void {}

  stop(): void {
    this.#isStopped = true
    this.#arrived.resolve()
  }

  /** What came of dialling those that are not here. */
  troubles(): readonly string[] {
    return this.#components.dialling.flatMap(each => each.troubles?.() ?? [])
  }

  /** Resolves when a peer is here, when those that are known were dialled in vain, or with the signal. Never fails. */
  async sought(signal: AbortSignal): Promise<void> {
    if (!this.#components.isAlone() || signal.aborted) return
    this.#search ??= this.#seek().finally(() => (this.#search = undefined))
    const { promise, resolve } = Promise.withResolvers<void>()
    signal.addEventListener('abort', () => resolve(), { once: true })
    await Promise.race([this.#search, promise])
  }

  async #seek(): Promise<void> {
    const { clock, dialling } = this.#components
    const { patienceMs, rounds, signMs, pauseMs, vainMs } = LIMITS.connections.company
    const started = clock.now()
    if (started - this.#vainAt < vainMs && !this.#isReached) return
    for (let tries = 1; this.#isSeeking; tries++) {
      const round = Promise.all(dialling.map(each => each.dialNow()))
      await this.#untilHere(signMs, round)
      const left = patienceMs - (clock.now() - started)
      if (this.#isSeeking && this.#isReached) await this.#untilHere(left, round)
      if (!this.#isReached || tries >= rounds || left <= pauseMs) break
      // Whoever closes at once is not dialled as fast as he closes.
      await this.#untilHere(pauseMs)
    }
    if (this.#isSeeking) this.#vainAt = clock.now()
  }

  get #isSeeking(): boolean {
    return !this.#isStopped && this.#components.isAlone()
  }

  /** Somebody's machine has taken a connection, lately. */
  get #isReached(): boolean {
    return this.#components.clock.now() - this.#reachedAt < LIMITS.connections.dialTimeoutMs
  }

  async #untilHere(ms: number, other?: Promise<unknown>): Promise<void> {
    if (!this.#isSeeking || ms <= 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const cancel = this.#components.clock.after(ms, resolve)
    await Promise.race([this.#arrived.promise, promise, ...(other === undefined ? [] : [other])])
    cancel()
  }
}
