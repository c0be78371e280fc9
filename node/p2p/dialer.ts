import { messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { BootstrapPeer } from './assertions.ts'
import type { Clock, Log, SwarmTuning } from './components.ts'

export interface DialerComponents {
  readonly clock: Clock
  readonly log: Log
  readonly tuning: SwarmTuning
  readonly isConnected: (peer: string) => boolean
  readonly dial: (peer: BootstrapPeer, signal: AbortSignal) => Promise<void>
}

/** A configured peer, and what has become of dialling it. */
interface Kept {
  readonly peer: BootstrapPeer
  failures: number
  trouble: string | undefined
  /** The dial that is under way; it never fails. */
  running: Promise<void> | undefined
  cancel: () => void
}

/**
 * Keeps the configured peers connected: libp2p dials its bootstrap list once and then lets it be.
 *
 * Each is dialled by itself: one that takes every connection and says nothing, or whose packets go nowhere, keeps nobody else
 * from being dialled again.
 */
export class Dialer {
  readonly #components: DialerComponents
  readonly #kept: readonly Kept[]
  readonly #abort = new AbortController()
  #failed = 0

  constructor(peers: readonly BootstrapPeer[], components: DialerComponents) {
    this.#kept = peers.map(peer => ({
      peer,
      failures: 0,
      trouble: undefined,
      running: undefined,
      cancel: () => undefined
    }))
    this.#components = components
  }

  start(): void {
    for (const kept of this.#kept) void this.#begin(kept)
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    for (const { cancel } of this.#kept) cancel()
    await Promise.all(this.#kept.flatMap(({ running }) => running ?? []))
  }

  /** How many dials have failed. */
  get failed(): number {
    return this.#failed
  }

  /** Why those who are not here are not, in words. */
  troubles(): readonly string[] {
    const { isConnected } = this.#components
    return this.#kept.flatMap(({ peer, running, trouble }) => {
      const isWaitedFor = running !== undefined && !isConnected(peer.id)
      return trouble ?? (isWaitedFor ? `${peer.address.toString()} is dialled, and has not answered yet` : [])
    })
  }

  /**
   * Dials whoever is not here without waiting for the next time; what is under way is not begun again. Resolves when all of it
   * is over: whoever waits for one of them looks who is here.
   */
  async dialNow(): Promise<void> {
    if (this.#abort.signal.aborted) return
    await Promise.all(this.#kept.map(kept => this.#begin(kept)))
  }

  #begin(kept: Kept): Promise<void> {
    kept.running ??= this.#dial(kept).finally(() => {
      kept.running = undefined
      if (kept.trouble !== undefined) this.#failed += 1
      this.#next(kept)
    })
    return kept.running
  }

  #next(kept: Kept): void {
    kept.cancel()
    if (this.#abort.signal.aborted) return
    // Never longer than the bound: two minutes after a cable is back.
    const { redialMaxMs, redialsInARow } = LIMITS.connections
    const doublings = Math.min(Math.max(0, kept.failures - redialsInARow), 16)
    const ms = Math.min(this.#components.tuning.redialMs * 2 ** doublings, redialMaxMs)
    kept.cancel = this.#components.clock.after(ms, () => void this.#begin(kept))
  }

  async #dial(kept: Kept): Promise<void> {
    const { isConnected, dial, log } = this.#components
    const { peer } = kept
    try {
      if (!isConnected(peer.id)) await dial(peer, this.#abort.signal)
      kept.failures = 0
      kept.trouble = undefined
    } catch (error) {
      kept.failures += 1
      kept.trouble = messageOf(error)
      log.info('bootstrap peer not reached', { peer: peer.id, error: kept.trouble })
    }
  }
}
