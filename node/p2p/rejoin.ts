import { multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import { messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { shortPeer } from '../../protocol/peer-text.ts'
import { ipOf, isPrivateIp, needsDns } from './address.ts'
import type { Clock, Log } from './components.ts'
import { deadline } from './deadline.ts'
import type { RememberedPeers } from './remembered.ts'

export interface RejoinComponents {
  readonly clock: Clock
  readonly log: Log
  readonly remembered: RememberedPeers
  readonly isConnected: (peer: string) => boolean
  /** How many peers are here. */
  readonly peers: () => number
  readonly dial: (addresses: Multiaddr[], signal: AbortSignal) => Promise<void>
}

type Candidate = readonly [id: string, addresses: readonly Multiaddr[]]

interface Pause {
  readonly failures: number
  readonly until: number
}

/**
 * Dials those that nobody has configured: peers found on the local network, and, with too few peers, those that were
 * here before. A few at a time, and whoever does not answer is left alone for longer and longer.
 */
export class Rejoiner {
  readonly #components: RejoinComponents
  /** Found on the local network, the newest last. */
  readonly #neighbours = new Map<string, readonly Multiaddr[]>()
  readonly #pauses = new Map<string, Pause>()
  readonly #abort = new AbortController()
  /** What is under way, by peer; it never fails. */
  readonly #dials = new Map<string, Promise<void>>()
  #cancel: () => void = () => {}
  #isStarted = false
  #failed = 0
  /** Somebody was found who is dialled in a moment. */
  #isSoon = false

  constructor(components: RejoinComponents) {
    this.#components = components
  }

  start(): void {
    this.#isStarted = true
    this.#next(LIMITS.reach.remembered.afterMs)
  }

  async stop(): Promise<void> {
    this.#isStarted = false
    this.#abort.abort()
    this.#cancel()
    await Promise.all(this.#dials.values())
  }

  /** Somebody on the local network says where it is. Attack: whoever sends such a packet chooses what is dialled. */
  onNeighbour(id: string, addresses: readonly Multiaddr[]): void {
    const near = addresses.filter(address => !needsDns(address) && isPrivateIp(ipOf(address) ?? ''))
    if (near.length === 0) return
    const isNew = !this.#neighbours.delete(id)
    this.#neighbours.set(id, near.slice(0, LIMITS.reach.remembered.addressesPerPeer))
    if (this.#neighbours.size > LIMITS.reach.remembered.neighbours) {
      const oldest = this.#neighbours.keys().next().value
      if (oldest !== undefined) this.#neighbours.delete(oldest)
    }
    if (!isNew || !this.#isStarted || this.#isSoon) return
    this.#isSoon = true
    this.#next(LIMITS.reach.remembered.afterMs)
  }

  /** How many dials have failed. */
  get failed(): number {
    return this.#failed
  }

  /** Who does not answer just now. */
  troubles(): readonly string[] {
    return [...this.#dials.keys()].map(
      peer => `${shortPeer(peer)}, known from before, is dialled, and has not answered yet`
    )
  }

  /**
   * The same without waiting for the next time, and whoever did not answer is not left alone. What is under way is not begun
   * again; resolves when all of it is over.
   */
  async dialNow(): Promise<void> {
    if (this.#isStarted) await this.#dialSome({ isUrgent: true })
  }

  #next(ms: number): void {
    this.#cancel()
    this.#cancel = this.#components.clock.after(ms, () => {
      this.#isSoon = false
      this.#next(LIMITS.reach.remembered.everyMs)
      void this.#dialSome()
    })
  }

  async #dialSome({ isUrgent = false } = {}): Promise<void> {
    for (const [id, addresses] of this.#candidates(isUrgent)) {
      const dial = this.#dial(id, addresses).finally(() => {
        this.#dials.delete(id)
        if (this.#pauses.has(id)) this.#failed += 1
      })
      this.#dials.set(id, dial)
    }
    await Promise.all(this.#dials.values())
  }

  #candidates(isUrgent: boolean): readonly Candidate[] {
    const { remembered, isConnected, peers, clock } = this.#components
    const { fewPeers, enoughPeers } = LIMITS.reach.remembered
    const near: readonly Candidate[] = peers() < enoughPeers ? [...this.#neighbours].toReversed() : []
    const known = peers() < fewPeers ? remembered.all() : []
    const before = known.map(({ id, addresses }): Candidate => [id, addresses.map(text => multiaddr(text))])
    const isDue = ([id]: Candidate): boolean =>
      !isConnected(id) && !this.#dials.has(id) && (isUrgent || (this.#pauses.get(id)?.until ?? 0) <= clock.now())
    // Attack: packets that announce ever new neighbours. Every other place is kept for those that were here before.
    // Whoever cannot wait asks again soon: those first who were not just asked in vain.
    const failures = ([id]: Candidate): number => (isUrgent ? (this.#pauses.get(id)?.failures ?? 0) : 0)
    const due = (these: readonly Candidate[]): readonly Candidate[] =>
      these.filter(isDue).toSorted((a, b) => failures(a) - failures(b))
    const inTurn = alternating(due(near), due(before))
    // One that is known in both ways is in the map once, with the addresses of both.
    const byId = new Map<string, readonly Multiaddr[]>()
    for (const [id, addresses] of inTurn) byId.set(id, [...(byId.get(id) ?? []), ...addresses])
    return [...byId].slice(0, Math.max(0, LIMITS.reach.remembered.dialsAtOnce - this.#dials.size))
  }

  async #dial(id: string, addresses: readonly Multiaddr[]): Promise<void> {
    const { clock, dial, log } = this.#components
    const { dialMs, pauseMs, pauseMaxMs } = LIMITS.reach.remembered
    const time = deadline(clock, dialMs, this.#abort.signal)
    try {
      await dial(
        addresses.map(address => address.encapsulate(`/p2p/${id}`)),
        time.signal
      )
      this.#pauses.delete(id)
    } catch (error) {
      const failures = (this.#pauses.get(id)?.failures ?? 0) + 1
      const ms = Math.min(pauseMs * 2 ** Math.min(failures - 1, 16), pauseMaxMs)
      this.#pauses.set(id, { failures, until: clock.now() + ms })
      this.#boundPauses()
      log.debug('a peer from before was not reached', { peer: id, error: messageOf(error) })
    } finally {
      time.clear()
    }
  }

  #boundPauses(): void {
    const { peers, neighbours } = LIMITS.reach.remembered
    if (this.#pauses.size <= peers + neighbours) return
    const oldest = this.#pauses.keys().next().value
    if (oldest !== undefined) this.#pauses.delete(oldest)
  }
}

/** One of these, one of those, and what is left of the longer list. */
function alternating<T>(these: readonly T[], those: readonly T[]): readonly T[] {
  const longer = Math.max(these.length, those.length)
  return Array.from({ length: longer }, (_, i) => [...these.slice(i, i + 1), ...those.slice(i, i + 1)]).flat()
}
