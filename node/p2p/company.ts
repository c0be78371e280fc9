import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'

/** A socket that was dialled from here. */
export interface Reached {
  /** Where it leads to. */
  readonly remoteAddr: { toString(): string }
  addEventListener(type: 'close', listener: () => void, options: { once: true }): void
}

export interface CompanyComponents {
  readonly clock: Clock
  readonly isAlone: () => boolean
  /** Whether anything has come from the other side of a socket. */
  readonly hasSpoken: (socket: Reached) => boolean
  /**
   * Whatever dials peers that are known: those now that it is not dialling already. It resolves when it dials nobody any more,
   * and never fails.
   */
  readonly dialling: readonly Dialling[]
}

interface Dialling {
  /** How many dials have failed. */
  readonly failed: number
  dialNow(): Promise<void>
  troubles?(): readonly string[]
}

/** Dials that were begun or joined together. */
interface Round {
  /** How many dials had failed before. */
  readonly failed: number
  readonly over: Promise<void>
  isOver: boolean
}

/**
 * Somebody to ask, for whoever wants bytes while nobody is here: a node that has just started, or whose peers are just
 * being dialled. A machine that is busy needs more than one dial for a handshake; one where nothing listens says so at once.
 *
 * Attack: whoever takes every connection and says nothing, or closes it, looks like a machine that is busy or far away. So
 * 1. while no socket is open a search lasts no longer than its looks, all together;
 * 2. the first word on an open socket is waited for for longer, once for each address, by whoever has nobody else: whoever was
 *    silent is not waited for again before he has said a word; whoever closed is dialled again beside him;
 * 3. after a search in vain nobody is dialled for a fetch for a while, each time for longer, until a peer is here;
 * 4. sockets on which somebody speaks are waited for at any time, and all waiting draws on one budget, which fills up again
 *    slowly.
 *
 * What counts is looks, not the time on the wall: a process that had no turn for a second has heard nobody in it.
 */
export class Company {
  readonly #components: CompanyComponents
  #arrived = Promise.withResolvers<void>()
  #search: Promise<void> | undefined
  /** Sockets on which the handshake and the introduction may be under way. */
  readonly #open = new Set<Reached>()
  /** In how many looks a socket was open, and not a word was said, since the last one: by where it leads to. */
  readonly #mute = new Map<string, number>()
  /** One of them was closed since the last search. */
  #wasClosed = false
  #searchesInVain = 0
  #restsUntil = Number.NEGATIVE_INFINITY
  #spent = { ms: 0, at: 0 }
  #isStopped = false

  constructor(components: CompanyComponents) {
    this.#components = components
  }

  /** A socket that was dialled from here is open: the handshake and the introduction are what is missing. */
  onReached(socket: Reached): void {
    this.#open.add(socket)
    const onClose = (): void => {
      this.#noteWord(socket)
      this.#wasClosed = true
      this.#open.delete(socket)
    }
    socket.addEventListener('close', onClose, { once: true })
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
    const restMs = this.#restsUntil - started
    // A clock that was set back is no reason to rest for longer.
    const isRested = restMs <= 0 || restMs > LIMITS.connections.company.vainMaxMs
    const took = await this.#introduced(LIMITS.connections.company.patienceMs - spent, isRested)
    this.#spent = { ms: spent + took.ms, at: clock.now() }
    this.#wasClosed = false
    for (const socket of this.#open) this.#noteWord(socket)
    if (isRested && this.#isSeeking) this.#rest(took.ms - took.onceMs)
  }

  /** Until a peer is here, or nobody is left who may be about to introduce himself. How long it took, and what is paid but once. */
  async #introduced(mostMs: number, mayDial: boolean): Promise<{ readonly ms: number; readonly onceMs: number }> {
    const { looks, lookMs } = LIMITS.connections.company
    const took = { ms: 0, onceMs: 0 }
    let round = mayDial ? this.#dial() : undefined
    let looksOfRound = 0
    for (let [left, dials] = [looks - 1, looks - 1]; this.#isSeeking && took.ms < mostMs;) {
      const isOver = round?.isOver !== false
      if (isOver && !this.#isAwaited && !(dials > 0 && this.#comesBack(round))) break
      const before = { at: this.#components.clock.now(), isNew: this.#isNew }
      const mostOfLook = Math.min(lookMs, mostMs - took.ms)
      const isLook = await this.#hasPassed(mostOfLook, isOver ? [] : [round?.over])
      const passed = Math.max(0, this.#components.clock.now() - before.at)
      const ms = isLook ? mostOfLook : Math.min(passed, mostOfLook)
      took.ms += ms
      if (before.isNew) took.onceMs += ms
      if (!isLook) continue
      const isFoundMute = this.#look()
      looksOfRound += 1
      // Whoever was dialled beside somebody who is mute has had that time.
      if (!this.#isAwaited && (left-- <= 0 || (isFoundMute && looksOfRound > looks))) break
      // Whoever closes is dialled again, whatever becomes of others, and not as fast as he closes.
      if (dials <= 0 || !this.#comesBack(round)) continue
      dials -= 1
      looksOfRound = 0
      round = this.#dial()
    }
    return took
  }

  #dial(): Round {
    const failed = this.#failed
    const over = Promise.all(this.#components.dialling.map(async each => await each.dialNow())).then(() => {
      round.isOver = true
    })
    const round: Round = { failed, over, isOver: false }
    return round
  }

  /** Somebody took a connection and closed it, and may be dialled again. */
  #comesBack(round: Round | undefined): boolean {
    return round !== undefined && this.#wasClosed && this.#failed > round.failed
  }

  get #failed(): number {
    return this.#components.dialling.reduce((sum, { failed }) => sum + failed, 0)
  }

  /** Somebody has said something, and may be about to introduce himself. */
  get #isSpokenTo(): boolean {
    return [...this.#open].some(socket => this.#components.hasSpoken(socket))
  }

  /** Somebody has not said anything yet, and has not been found to be silent. */
  get #isNew(): boolean {
    const { silentLooks } = LIMITS.connections.company
    const looksAt = ({ remoteAddr }: Reached): number => this.#mute.get(remoteAddr.toString()) ?? 0
    return [...this.#open].some(socket => !this.#components.hasSpoken(socket) && looksAt(socket) < silentLooks)
  }

  get #isAwaited(): boolean {
    return this.#isNew || this.#isSpokenTo
  }

  /** Remembers where nobody says anything. Whether somebody has just been found to be silent. */
  #look(): boolean {
    const { silentLooks } = LIMITS.connections.company
    let isFound = false
    const silent = [...this.#open].filter(socket => !this.#noteWord(socket))
    for (const where of new Set(silent.map(({ remoteAddr }) => remoteAddr.toString()))) {
      const before = this.#mute.get(where) ?? 0
      this.#mute.delete(where)
      this.#mute.set(where, before + 1)
      isFound ||= before + 1 === silentLooks
    }
    for (const where of this.#mute.keys()) {
      if (this.#mute.size <= LIMITS.peers.remembered) break
      this.#mute.delete(where)
    }
    return isFound
  }

  /** Whether a word was said. */
  #noteWord(socket: Reached): boolean {
    const hasSpoken = this.#components.hasSpoken(socket)
    if (hasSpoken) this.#mute.delete(socket.remoteAddr.toString())
    return hasSpoken
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
  async #hasPassed(ms: number, others: readonly (Promise<void> | undefined)[]): Promise<boolean> {
    if (!this.#isSeeking) return false
    const { promise, resolve } = Promise.withResolvers<true>()
    const cancel = this.#components.clock.after(ms, () => resolve(true))
    const passed = await Promise.race([
      promise,
      ...[this.#arrived.promise, ...others].flatMap(each => each?.then(() => false) ?? [])
    ])
    cancel()
    return passed
  }
}
