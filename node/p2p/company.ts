import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'

export interface CompanyComponents {
  readonly clock: Clock
  readonly isAlone: () => boolean
  /** Whatever dials peers that are known: now, unless it is doing so. It never fails. */
  readonly dialling: readonly { dialNow(): Promise<void>; troubles?(): readonly string[] }[]
}

/** A socket that was dialled from here. */
export interface Reached {
  addEventListener(type: 'close', listener: () => void, options: { once: true }): void
}

/** Dials that were begun together. */
interface Round {
  readonly over: Promise<void>
  isOver: boolean
}

/**
 * Somebody to ask, for whoever wants bytes while nobody is here: a node that has just started, or whose peers are just
 * being dialled. A machine that is busy needs more than one dial for a handshake; one where nothing listens says so at once.
 *
 * Attack: whoever takes every connection and says nothing, or closes it, looks like a machine that is busy. So
 * 1. while no socket is open a search lasts no longer than its looks, all together;
 * 2. after a search in vain nobody is dialled for a fetch for a while, each time for longer, until a peer is here;
 * 3. sockets that are open are waited for at any time, and all waiting draws on one budget, which fills up again slowly.
 */
export class Company {
  readonly #components: CompanyComponents
  #arrived = Promise.withResolvers<void>()
  #changed = Promise.withResolvers<void>()
  #search: Promise<void> | undefined
  /** Sockets on which the handshake and the introduction may be under way. */
  readonly #open = new Set<Reached>()
  /** How many were ever open. */
  #reached = 0
  #searchesInVain = 0
  #restsUntil = Number.NEGATIVE_INFINITY
  #spent = { ms: 0, at: 0 }
  #isStopped = false

  constructor(components: CompanyComponents) {
    this.#components = components
  }

  /** A socket that was dialled from here is open: the handshake and the introduction are what is missing. */
  onReached(socket: Reached): void {
    this.#reached += 1
    this.#open.add(socket)
    const ring = (): void => {
      this.#changed.resolve()
      this.#changed = Promise.withResolvers()
    }
    const onClose = (): void => {
      this.#open.delete(socket)
      ring()
    }
    socket.addEventListener('close', onClose, { once: true })
    ring()
  }

  onPeer(): void {
    this.#searchesInVain = 0
    this.#restsUntil = Number.NEGATIVE_INFINITY
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
    const onAbort = (): void => resolve()
    signal.addEventListener('abort', onAbort, { once: true })
    await Promise.race([this.#search, promise])
    signal.removeEventListener('abort', onAbort)
  }

  async #seek(): Promise<void> {
    const { clock } = this.#components
    const started = clock.now()
    const spent = this.#spentBy(started)
    const until = started + LIMITS.connections.company.patienceMs - spent
    const restMs = this.#restsUntil - started
    // A clock that was set back is no reason to rest for longer.
    const isRested = restMs <= 0 || restMs > LIMITS.connections.company.vainMaxMs
    if (isRested) await this.#dialled(until)
    else await this.#introduced(until)
    const tookMs = Math.max(0, clock.now() - started)
    this.#spent = { ms: spent + tookMs, at: clock.now() }
    if (isRested && this.#isSeeking) this.#rest(tookMs)
  }

  async #dialled(until: number): Promise<void> {
    const { clock, dialling } = this.#components
    const { looks, lookMs } = LIMITS.connections.company
    for (let left: number = looks; this.#isSeeking && clock.now() < until;) {
      const before = this.#reached
      const over = Promise.all(dialling.map(async each => await each.dialNow())).then(() => void (round.isOver = true))
      const round: Round = { over, isOver: false }
      // In several looks: a process that had no turn for a second has seen no socket open in it.
      while (this.#isSeeking && !round.isOver && this.#reached === before && this.#open.size === 0 && left > 0)
        if (await this.#hasPassed(lookMs, [this.#changed.promise, over])) left -= 1
      await this.#introduced(until, round)
      left -= 1
      if (this.#reached === before || left <= 0 || clock.now() >= until) return
      // Whoever closes at once is not dialled as fast as he closes.
      await this.#hasPassed(lookMs)
    }
  }

  /** As long as somebody may be about to introduce himself. */
  async #introduced(until: number, round?: Round): Promise<void> {
    const { clock } = this.#components
    while (this.#isSeeking && this.#open.size > 0 && round?.isOver !== true && clock.now() < until) {
      const over = round === undefined ? [] : [round.over]
      await this.#hasPassed(until - clock.now(), [this.#changed.promise, ...over])
    }
  }

  /** Where nothing listens a search takes no time: whoever has just started the other node need not wait for long. */
  #rest(tookMs: number): void {
    const { lookMs, vainMs, vainFactor, vainMaxMs } = LIMITS.connections.company
    const ms = tookMs * vainFactor * 2 ** Math.min(this.#searchesInVain, 16)
    if (tookMs >= lookMs) this.#searchesInVain += 1
    this.#restsUntil = this.#components.clock.now() + Math.min(Math.max(vainMs, ms), vainMaxMs)
  }

  /** How much of the budget is spent still. */
  #spentBy(now: number): number {
    const { patienceMs, refillMs } = LIMITS.connections.company
    const { ms, at } = this.#spent
    return Math.min(patienceMs, Math.max(0, ms - (Math.max(0, now - at) * patienceMs) / refillMs))
  }

  get #isSeeking(): boolean {
    return !this.#isStopped && this.#components.isAlone()
  }

  /** Waits until a peer is here, one of the others happens, or the time has passed. Whether that was it. */
  async #hasPassed(ms: number, others: readonly Promise<void>[] = []): Promise<boolean> {
    if (!this.#isSeeking) return false
    const { promise, resolve } = Promise.withResolvers<true>()
    const cancel = this.#components.clock.after(ms, () => resolve(true))
    const passed = await Promise.race([
      promise,
      ...[this.#arrived.promise, ...others].map(each => each.then(() => false))
    ])
    cancel()
    return passed
  }
}
