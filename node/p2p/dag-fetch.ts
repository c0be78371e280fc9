import type { CID } from 'multiformats/cid'
import { DagPlan } from '../../protocol/dag/plan.ts'
import type { PlannedContent } from '../../protocol/dag/plan.ts'
import { RegistryError, messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parseUnixfsNode } from '../../protocol/unixfs-node.ts'
import { Bell } from './bell.ts'
import { BlockWriter } from './block-writer.ts'
import type { Clock, Log, SwarmTuning } from './components.ts'
import { DagLane } from './dag-lane.ts'
import type { LaneEnd, LocalStore } from './dag-lane.ts'
import type { Peers } from './peers.ts'

export interface DagFetchComponents {
  readonly peers: Pick<Peers, 'connection' | 'blame'>
  readonly clock: Clock
  readonly log: Log
  readonly tuning: SwarmTuning
  /** Who may be asked, the likeliest first. */
  candidates(): readonly string[]
}

/** What peers brought: every block of it was verified and is stored, and nothing else was. */
export interface DagFetched {
  readonly stored: readonly CID[]
  readonly bytes: number
  /** Peers that were asked and had not got all of what is missing still. */
  readonly lacking: readonly string[]
}

/**
 * Brings what is missing below a root over `/ggen/dag/1`: from the likeliest peer, from a second one as soon as the first
 * is slow, and from several at once where it is much. What nobody has, or can say in this protocol, stays missing.
 * @throws RegistryError LIMIT_EXCEEDED | MALFORMED for content that could not have been published, what the store throws, and
 * the signal's reason
 */
export async function fetchDag(
  components: DagFetchComponents,
  content: PlannedContent,
  options: { readonly local: LocalStore; readonly signal: AbortSignal }
): Promise<DagFetched> {
  return await new DagFetch(components, content, options).run()
}

class DagFetch {
  readonly #components: DagFetchComponents
  readonly #local: LocalStore
  readonly #signal: AbortSignal
  readonly #plan: DagPlan
  readonly #writer: BlockWriter
  readonly #lanes = new Map<DagLane, Promise<void>>()
  readonly #asked = new Set<string>()
  /** Who is asked no more. */
  readonly #over = new Set<string>()
  /** Who had no room, until he is asked again; and others who are said to have it. */
  readonly #busy = new Map<string, () => void>()
  #busyTries = 0
  #recommended: readonly string[] = []
  #failure: { readonly error: unknown } | undefined
  readonly #bell = new Bell()

  constructor(
    components: DagFetchComponents,
    content: PlannedContent,
    { local, signal }: { readonly local: LocalStore; readonly signal: AbortSignal }
  ) {
    this.#components = components
    this.#local = local
    this.#signal = signal
    this.#plan = new DagPlan(content)
    this.#writer = new BlockWriter((cid, bytes) => local.put(cid, bytes), {
      onRoom: () => {
        for (const lane of this.#lanes.keys()) lane.resume()
      },
      onFailed: error => this.#fail(error)
    })
  }

  async run(): Promise<DagFetched> {
    this.#signal.addEventListener('abort', this.#onAbort, { once: true })
    let stopLooking: () => void = () => undefined
    try {
      this.#signal.throwIfAborted()
      await this.#readOwn()
      stopLooking = this.#look()
      while (this.#failure === undefined && !this.#plan.isComplete) {
        this.#startLanes()
        if (this.#lanes.size === 0 && this.#busy.size === 0) break
        await this.#bell.heard()
      }
    } finally {
      stopLooking()
      this.#signal.removeEventListener('abort', this.#onAbort)
      for (const cancel of this.#busy.values()) cancel()
      for (const lane of this.#lanes.keys()) lane.fail(new RegistryError('CANCELLED', 'the fetch is over'))
      await Promise.all(this.#lanes.values())
      await this.#writer.settled()
    }
    if (this.#failure !== undefined) throw this.#failure.error
    const lacking = this.#plan.isComplete ? [] : [...this.#asked].filter(peer => !this.#plan.hasWorkFor(peer))
    return { stored: this.#writer.written, bytes: this.#plan.fetched, lacking }
  }

  /** Goes down the nodes that are here, so that only what is missing below them is asked for. */
  async #readOwn(): Promise<void> {
    const looked = new Set<string>()
    for (;;) {
      const fresh = this.#plan.missingNodes.filter(cid => !looked.has(cid.toString()))
      if (fresh.length === 0) return
      for (const cid of fresh) {
        looked.add(cid.toString())
        this.#signal.throwIfAborted()
        const bytes = await this.#local.read(cid)
        if (bytes === undefined) continue
        this.#plan.here(cid, parseUnixfsNode(bytes, LIMITS.content))
        this.#plan.sampled(true)
      }
    }
  }

  #startLanes(): void {
    const { peers } = this.#components
    const running = new Set([...this.#lanes.keys()].map(({ peer }) => peer))
    for (const peer of this.#candidates()) {
      if (!this.#mayStart()) return
      if (running.has(peer) || this.#over.has(peer) || this.#busy.has(peer) || !this.#plan.hasWorkFor(peer)) continue
      const connection = peers.connection(peer)
      if (connection === undefined) continue
      const lane = new DagLane(connection, {
        plan: this.#plan,
        writer: this.#writer,
        clock: this.#components.clock,
        local: this.#local,
        onProgress: () => this.#bell.ring()
      })
      this.#asked.add(peer)
      this.#lanes.set(
        lane,
        lane.run().then(end => this.#onLaneEnd(lane, end))
      )
    }
  }

  /** One peer at a time, unless it is slow, or so much is left that others have enough to do. */
  #mayStart(): boolean {
    const { peersAtOnce, spreadBytes } = LIMITS.dag
    const good = [...this.#lanes.keys()].filter(({ isSlow }) => !isSlow).length
    if (good === 0) return true
    return good < peersAtOnce && this.#plan.looseBytes(spreadBytes) >= spreadBytes
  }

  /** Everybody who is connected: to hear that somebody has nothing takes no longer than a round trip. */
  #candidates(): readonly string[] {
    return [...new Set([...this.#recommended, ...this.#components.candidates()])]
  }

  #onLaneEnd(lane: DagLane, end: LaneEnd): void {
    this.#lanes.delete(lane)
    const { peers, log, clock } = this.#components
    const { peer } = lane
    switch (end.type) {
      case 'idle':
        break
      case 'busy':
        if (this.#busyTries++ >= LIMITS.dag.busyTries) this.#over.add(peer)
        else {
          this.#recommended = end.peers
          const again = (): void => {
            this.#busy.delete(peer)
            this.#bell.ring()
          }
          this.#busy.set(peer, clock.after(LIMITS.dag.busyMs, again))
        }
        break
      case 'content':
        this.#fail(end.error)
        break
      case 'failed':
        this.#over.add(peer)
        log.debug('a peer was left in the middle of a transfer', { peer, error: messageOf(end.error) })
        if (end.lie === 'lied') peers.blame(peer, end.lie, LIMITS.dag.lieStrikes)
        else if (end.lie !== undefined) peers.blame(peer, end.lie)
    }
    this.#bell.ring()
  }

  /** Judges the lanes at intervals; what a slow one was asked for is free for others from then on. */
  #look(): () => void {
    const { clock, tuning } = this.#components
    let cancel: () => void
    const tick = (): void => {
      for (const lane of this.#lanes.keys()) {
        lane.look(tuning.hedgeMs)
        if (lane.isSlow) this.#plan.release(lane)
      }
      this.#bell.ring()
      cancel = clock.after(tuning.hedgeMs, tick)
    }
    cancel = clock.after(tuning.hedgeMs, tick)
    return () => cancel()
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    this.#bell.ring()
  }

  readonly #onAbort = (): void => this.#fail(this.#signal.reason)
}
