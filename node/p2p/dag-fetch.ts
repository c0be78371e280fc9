import { randomInt } from 'node:crypto'
import type { NamedPeer } from '../../protocol/dag/messages.ts'
import { DagPlan } from '../../protocol/dag/plan.ts'
import type { PlannedContent } from '../../protocol/dag/plan.ts'
import { RegistryError, messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parseUnixfsNode } from '../../protocol/unixfs-node.ts'
import { Bell } from './bell.ts'
import { BlockWriter } from './block-writer.ts'
import type { DagFetchComponents, DagFetchOptions } from './dag-fetch-options.ts'
import { DagLane } from './dag-lane.ts'
import type { LaneEnd } from './dag-lane.ts'
import { Elsewhere } from './dag-elsewhere.ts'
import { Keepers } from './dag-keepers.ts'
import { Lost } from './dag-lost.ts'
import { DagReport } from './dag-report.ts'
import type { DagFetched } from './dag-report.ts'
import { Waits } from './dag-waits.ts'

/**
 * Brings what is missing below a root over `/ggen/dag/1`: from the likeliest peer, from others as soon as it is silent for
 * longer than peers usually are, and from several at once where it is much. What nobody has, or can say in this protocol,
 * stays missing.
 * @throws RegistryError LIMIT_EXCEEDED | MALFORMED for content that could not have been published, what the store throws, and
 * the signal's reason
 */
export async function fetchDag(
  components: DagFetchComponents,
  content: PlannedContent,
  options: DagFetchOptions
): Promise<DagFetched> {
  return await new DagFetch(components, content, options).run()
}

/** One of the places in content at which somebody may begin. */
const anywhere = (): number => randomInt(2 ** 16) / 2 ** 16

class DagFetch {
  readonly #components: DagFetchComponents
  readonly #options: DagFetchOptions
  readonly #plan: DagPlan
  readonly #writer: BlockWriter
  readonly #report: DagReport
  readonly #lanes = new Map<DagLane, Promise<void>>()
  /** Who is asked no more. */
  readonly #over = new Set<string>()
  /** Who of them broke off, and did not lie; and who has answered at all. */
  readonly #broken = new Set<string>()
  readonly #answered = new Set<string>()
  readonly #lost: Lost
  /** Who had no room, or no more of it so far. */
  readonly #waits: Waits
  readonly #elsewhere: Elsewhere
  readonly #keepers: Keepers
  /** Who has sent some of it. */
  readonly #proved = new Set<string>()
  readonly #stop = new AbortController()
  /** Work was taken from somebody slower: for it one more is asked, however little it is. */
  #isStolen = false
  #failure: { readonly error: unknown } | undefined
  readonly #bell = new Bell()

  constructor(components: DagFetchComponents, content: PlannedContent, options: DagFetchOptions) {
    this.#components = components
    this.#options = options
    this.#plan = new DagPlan(content)
    this.#report = new DagReport(components.clock)
    this.#keepers = new Keepers(this.#plan, components.clock)
    const isHere = (peer: string): boolean => components.peers.connection(peer) !== undefined
    this.#lost = new Lost({ ...components, isHere })
    this.#elsewhere = new Elsewhere({
      ...components,
      watch: options.watch,
      report: this.#report,
      signal: this.#stop.signal,
      isHere,
      onNews: () => this.#bell.ring()
    })
    this.#waits = new Waits({
      clock: components.clock,
      onDue: peer => this.#onDue(peer)
    })
    this.#writer = new BlockWriter((cid, bytes) => options.local.put(cid, bytes), {
      onRoom: () => {
        for (const lane of this.#lanes.keys()) lane.resume()
      },
      onFailed: error => this.#fail(error)
    })
  }

  async run(): Promise<DagFetched> {
    const { signal } = this.#options
    signal.addEventListener('abort', this.#onAbort, { once: true })
    try {
      signal.throwIfAborted()
      await this.#readOwn()
      if (!this.#plan.isComplete && !this.#options.isHopeful()) this.#elsewhere.find(this.#plan.root)
      while (this.#failure === undefined && !this.#plan.isComplete) {
        this.#startLanes()
        if (this.#isStuck || this.#isPutOff) this.#elsewhere.find(this.#plan.root)
        if (this.#isStuck) this.#seekLost()
        if (this.#isHopeless) break
        await this.#bell.heard()
      }
    } finally {
      signal.removeEventListener('abort', this.#onAbort)
      this.#stop.abort(new RegistryError('CANCELLED', 'the fetch is over'))
      this.#waits.stop()
      for (const lane of this.#lanes.keys()) lane.fail(new RegistryError('CANCELLED', 'the fetch is over'))
      await Promise.all([...this.#lanes.values(), this.#elsewhere.settled()])
      await this.#writer.settled()
      this.#options.watch?.said?.(this.#report.others)
    }
    if (this.#failure !== undefined) throw this.#failure.error
    return this.#outcome()
  }

  /** Nobody who is here sends any of it. */
  get #isStuck(): boolean {
    return this.#waits.isEmpty && [...this.#lanes.keys()].every(({ isSlow }) => isSlow)
  }

  /**
   * Nothing has come for a while from anybody. Attack: "no room" for ever, so that nobody else is looked for. In a crowd whoever
   * is here is given longer.
   */
  get #isPutOff(): boolean {
    const { giveUpMs, lonelyMs } = LIMITS.dag
    const isInCrowd = [...this.#receiving].some(peer => this.#isHere(peer))
    return !this.#waits.isEmpty && this.#keepers.idleMs >= (isInCrowd ? lonelyMs : giveUpMs)
  }

  /** The DHT was asked too, and whoever is waited for has not said a word for long. */
  get #isHopeless(): boolean {
    const isOver = this.#elsewhere.found !== undefined && this.#elsewhere.isIdle
    return isOver && this.#isStuck && [...this.#lanes.keys()].every(({ silentMs }) => silentMs >= LIMITS.dag.giveUpMs)
  }

  #outcome(): DagFetched {
    const asked = this.#report.peers
    const { isComplete, isAllNew, fetched } = this.#plan
    return {
      stored: this.#writer.written,
      bytes: fetched,
      isAll: isAllNew,
      lacking: isComplete ? [] : asked.filter(peer => !this.#plan.hasWorkFor(peer)),
      found: this.#elsewhere.found,
      report: asked.length === 0 ? undefined : this.#report.toString(),
      answers: this.#report.answers
    }
  }

  /** Goes down the nodes that are here, so that only what is missing below them is asked for. */
  async #readOwn(): Promise<void> {
    const looked = new Set<string>()
    for (;;) {
      const fresh = this.#plan.missingNodes.filter(cid => !looked.has(cid.toString()))
      if (fresh.length === 0) return
      for (const cid of fresh) {
        looked.add(cid.toString())
        this.#options.signal.throwIfAborted()
        const bytes = await this.#options.local.read(cid)
        if (bytes === undefined) continue
        this.#plan.here(cid, parseUnixfsNode(bytes, LIMITS.content))
        this.#plan.sampled(true)
      }
    }
  }

  #startLanes(): void {
    if (!this.#mayStart()) return
    const running = new Set([...this.#lanes.keys()].map(({ peer }) => peer))
    for (const peer of this.#candidates) {
      if (!this.#mayStart()) return
      if (running.has(peer) || this.#over.has(peer) || this.#waits.has(peer) || !this.#plan.hasWorkFor(peer)) continue
      // Whoever has put us off has others to serve, who may have nobody else.
      if (this.#waits.knows(peer) && this.#isFed) continue
      this.#start(peer)
    }
  }

  #start(peer: string): void {
    const { peers, clock, shown, throttle } = this.#components
    const connection = peers.connection(peer)
    if (connection === undefined) return
    const lane = new DagLane(connection, {
      plan: this.#plan,
      writer: this.#writer,
      clock,
      shown,
      throttle,
      local: this.#options.local,
      isRacing: this.#slow > 0,
      sharing: () => this.#lanes.size - this.#slow,
      onBlock: bytes => this.#onBlock(peer, bytes),
      onProgress: () => this.#bell.ring()
    })
    this.#report.asked(peer)
    this.#options.watch?.asked()
    const unwatch = this.#watch(lane)
    const run = lane.run().finally(unwatch)
    this.#lanes.set(
      lane,
      run.then(end => this.#onLaneEnd(lane, end))
    )
  }

  #onBlock(peer: string, bytes: number): void {
    this.#keepers.brought(peer)
    this.#options.watch?.block('dag', peer, bytes)
  }

  get #candidates(): readonly string[] {
    return this.#options.candidates(this.#elsewhere.named)
  }

  get #receiving(): Set<string> {
    return this.#elsewhere.receiving
  }

  /** Somebody sends some of it. */
  get #isFed(): boolean {
    return [...this.#lanes.keys()].some(({ isSlow, blocks }) => !isSlow && blocks > 0)
  }

  get #slow(): number {
    return [...this.#lanes.keys()].filter(({ isSlow }) => isSlow).length
  }

  /**
   * One peer at a time, unless so much is left that others have enough to do. While nobody answers, one more with each
   * that is silent: with many silent ones the first that answers is found in a few waits.
   */
  #mayStart(): boolean {
    const { peersAtOnce, spreadBytes, hedgedAtOnce } = LIMITS.dag
    const good = [...this.#lanes.keys()].filter(({ isSlow }) => !isSlow)
    if (!good.some(({ hasAnswered }) => hasAnswered)) return good.length < Math.min(hedgedAtOnce, 1 + this.#slow)
    return good.length < peersAtOnce && (this.#isStolen || this.#plan.looseBytes(spreadBytes) >= spreadBytes)
  }

  #onLaneEnd(lane: DagLane, end: LaneEnd): void {
    this.#lanes.delete(lane)
    const { peers, log } = this.#components
    const { peer } = lane
    const { onProved } = this.#options
    if (lane.hasAnswered) this.#answered.add(peer)
    if (lane.blocks > 0) {
      this.#proved.add(peer)
      this.#waits.forget(peer)
      this.#lost.forget(peer)
    }
    switch (end.type) {
      case 'idle':
        // What it keeps back it has: it is asked again, as if it had had no room.
        if (lane.kept > 0) {
          this.#onBusy(lane, [])
          break
        }
        if (lane.blocks === 0 && lane.misses === 0) break
        onProved?.(peer, lane.blocks > 0)
        this.#report.said(peer, lane.blocks > 0 ? 'some' : 'no')
        // In a crowd whoever has a part of it is getting the rest.
        if (lane.blocks > 0 && this.#receiving.size > 0) this.#receiving.add(peer)
        if (lane.misses > 0 && this.#receiving.has(peer)) this.#waits.add(peer, this.#plan.fetched)
        break
      case 'busy':
        this.#report.said(peer, 'busy')
        this.#onBusy(lane, end.peers)
        break
      case 'content':
        this.#fail(end.error)
        break
      case 'failed':
        // It was left because the fetch is over.
        if (end.lie === undefined && this.#stop.signal.aborted) {
          if (lane.blocks > 0) this.#report.said(peer, 'some')
          break
        }
        if (end.lie !== undefined || !this.#comesBack(lane)) this.#over.add(peer)
        if (lane.hasAnswered || end.lie !== undefined) this.#report.said(peer, 'failed', messageOf(end.error))
        log.debug('a peer was left in the middle of a transfer', { peer, error: messageOf(end.error) })
        if (end.lie === 'lied') peers.blame(peer, end.lie, LIMITS.dag.lieStrikes)
        else if (end.lie !== undefined) peers.blame(peer, end.lie)
    }
    this.#bell.ring()
  }

  /** In a crowd everybody is slow: whoever did not lie is asked again, as if he had had no room. Whoever broke off is sought. */
  #comesBack(lane: DagLane): boolean {
    const { peer } = lane
    const isHere = this.#components.peers.connection(peer) !== undefined
    if (isHere && this.#receiving.size > 0) return this.#waits.add(peer, this.#plan.fetched)
    if (!isHere || !lane.wasTooSlow) this.#broken.add(peer)
    return false
  }

  /** Nobody sends any of it: who broke off, or is not here any more, is asked again. */
  #seekLost(): void {
    const running = new Set([...this.#lanes.keys()].map(({ peer }) => peer))
    const isLonely = !this.#candidates.some(peer => this.#isHere(peer))
    for (const peer of this.#report.peers) {
      const isGone = this.#components.peers.connection(peer) === undefined && !this.#over.has(peer)
      // Who has said nothing at all may be dead, and is waited for by whoever has nobody else.
      const isWanted = (isGone || this.#broken.has(peer)) && (isLonely || this.#answered.has(peer))
      if (!isWanted || running.has(peer) || !this.#plan.hasWorkFor(peer) || !this.#lost.isDue(peer)) continue
      const sought = this.#lost.seek(peer, this.#stop.signal).then(isBack => {
        if (isBack && this.#broken.delete(peer)) this.#over.delete(peer)
      })
      this.#elsewhere.wait(sought)
    }
  }

  #onBusy({ peer, kept }: DagLane, named: readonly NamedPeer[]): void {
    const { random = anywhere } = this.#components
    if (!this.#waits.add(peer, this.#plan.fetched)) return void this.#over.add(peer)
    if (kept > 0) this.#keepers.add(peer)
    // Many want it. Each begins somewhere else, so that they have something for each other before long.
    this.#plan.beginAt(random())
    this.#elsewhere.go(named, one => this.#over.has(one))
  }

  /** Somebody has been waited for long enough. */
  #onDue(peer: string): void {
    if (this.#receiving.has(peer)) this.#plan.forgive(peer)
    if (this.#keepers.has(peer)) {
      this.#keepers.onDue(peer, this.#isAlone)
      if (!this.#plan.hasWorkFor(peer) && !this.#waits.add(peer, this.#plan.fetched)) this.#over.add(peer)
    }
    this.#bell.ring()
  }

  /** Whether there is nobody but those who send us elsewhere. */
  get #isAlone(): boolean {
    if (!this.#elsewhere.isIdle) return false
    const mayBring = (peer: string): boolean =>
      this.#isHere(peer) && !this.#keepers.has(peer) && (this.#receiving.has(peer) || this.#plan.hasWorkFor(peer))
    return !this.#candidates.some(mayBring)
  }

  #isHere(peer: string): boolean {
    return this.#components.peers.connection(peer) !== undefined && !this.#over.has(peer)
  }

  /** Judges a lane at intervals; what a slow one was asked for is free for others from then on. */
  #watch(lane: DagLane): () => void {
    const { clock, tuning, shown } = this.#components
    let cancel: () => void
    const next = (): void => {
      // Who sends already is given the time in which lost packets are sent again: what it was asked for is much.
      const ms = lane.hasAnswered ? tuning.hedgeMs : shown.hedgeMs(tuning.hedgeMs)
      cancel = clock.after(ms, () => {
        lane.look(ms)
        if (!lane.isSlow) this.#onFast(lane)
        else if (!this.#hasWorkBeside(lane)) this.#plan.release(lane)
        next()
        this.#bell.ring()
      })
    }
    next()
    return () => cancel()
  }

  #onFast(lane: DagLane): void {
    if ((lane.bytesPerSecond ?? 0) > 0) this.#keepers.fed()
    this.#stealFrom(lane)
  }

  /** Somebody else can be asked for something that nobody is asked for: what one is slow with would only come twice. */
  #hasWorkBeside(lane: DagLane): boolean {
    const mayBring = (peer: string): boolean =>
      peer !== lane.peer && this.#isHere(peer) && !this.#waits.has(peer) && this.#plan.hasWorkFor(peer)
    return this.#receiving.size > 0 && this.#candidates.some(mayBring)
  }

  /** The last blocks are not waited for at the pace of the slowest, when somebody faster has nothing to do. */
  #stealFrom(lane: DagLane): void {
    const rate = lane.bytesPerSecond
    const { shown } = this.#components
    if (rate === undefined || this.#plan.looseBytes(1) > 0 || this.#plan.heldBy(lane, 2) < 2) return
    const running = new Set([...this.#lanes.keys()].map(({ peer }) => peer))
    const isFaster = (peer: string): boolean =>
      !running.has(peer) && this.#isHere(peer) && (shown.bytesPerSecond(peer) ?? 0) >= rate * LIMITS.dag.stealFactor
    if (![...this.#proved].some(isFaster)) return
    this.#plan.release(lane)
    this.#isStolen = true
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    this.#bell.ring()
  }

  readonly #onAbort = (): void => this.#fail(this.#options.signal.reason)
}
