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

/** Keeps the configured peers connected: libp2p dials its bootstrap list once and then lets it be. */
export class Dialer {
  readonly #components: DialerComponents
  readonly #peers: readonly BootstrapPeer[]
  readonly #failures = new Map<string, { readonly count: number; readonly text: string }>()
  readonly #abort = new AbortController()
  #cancel: () => void = () => {}
  #round: Promise<void> = Promise.resolve()
  #isDialling = false

  constructor(peers: readonly BootstrapPeer[], components: DialerComponents) {
    this.#peers = peers
    this.#components = components
  }

  start(): void {
    if (this.#peers.length > 0) this.#round = this.#dialAll()
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    this.#cancel()
    await this.#round
  }

  /** Why those who are not here are not, in words. */
  troubles(): readonly string[] {
    return [...this.#failures.values()].map(({ text }) => text)
  }

  /** Dials whoever is not here without waiting for the next time; what is under way is not begun again. */
  async dialNow(): Promise<void> {
    if (this.#peers.length === 0 || this.#abort.signal.aborted) return
    if (!this.#isDialling) {
      this.#cancel()
      this.#round = this.#dialAll()
    }
    await this.#round
  }

  async #dialAll(): Promise<void> {
    this.#isDialling = true
    await Promise.all(this.#peers.map(async peer => await this.#dial(peer)))
    this.#isDialling = false
    if (this.#abort.signal.aborted) return
    // As long as the most unlucky one has to wait, but never longer than the bound: two minutes after a cable is back.
    const { redialMaxMs, redialsInARow } = LIMITS.connections
    const failures = Math.max(0, ...this.#peers.map(({ id }) => this.#failures.get(id)?.count ?? 0))
    const doublings = Math.min(Math.max(0, failures - redialsInARow), 16)
    const ms = Math.min(this.#components.tuning.redialMs * 2 ** doublings, redialMaxMs)
    this.#cancel = this.#components.clock.after(ms, () => {
      this.#round = this.#dialAll()
    })
  }

  async #dial(peer: BootstrapPeer): Promise<void> {
    const { isConnected, dial, log } = this.#components
    if (isConnected(peer.id)) return void this.#failures.delete(peer.id)
    try {
      await dial(peer, this.#abort.signal)
      this.#failures.delete(peer.id)
    } catch (error) {
      const count = (this.#failures.get(peer.id)?.count ?? 0) + 1
      this.#failures.set(peer.id, { count, text: messageOf(error) })
      log.info('bootstrap peer not reached', { peer: peer.id, error: messageOf(error) })
    }
  }
}
