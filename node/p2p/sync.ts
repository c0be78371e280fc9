import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { initialSyncState, keyOf } from '../../protocol/sync/state.ts'
import type { SyncEffect, SyncEvent, SyncState, SyncVerdict } from '../../protocol/sync/state.ts'
import { step } from '../../protocol/sync/step.ts'
import { nextDue } from '../../protocol/sync/turns.ts'
import type { Clock, Facts, Gate, Log, SwarmEvents, SwarmTuning } from './components.ts'
import type { Peers } from './peers.ts'
import { readSnapshot } from './snapshot.ts'
import { SyncLines } from './sync-lines.ts'

export interface SyncComponents {
  readonly self: string
  readonly facts: Facts
  readonly gate: Gate
  readonly peers: Peers
  readonly clock: Clock
  readonly log: Log
  readonly events: SwarmEvents
  readonly tuning: SwarmTuning
  /** What came by a comparison and is part of the set now. */
  readonly onAdmitted: (registry: RegistryId, facts: readonly Uint8Array[]) => void
}

type Told = SyncEvent extends infer E ? (E extends SyncEvent ? Omit<E, 'now'> : never) : never
type EffectOf<T extends SyncEffect['type']> = Extract<SyncEffect, { readonly type: T }>

/** Keeps sets equal with those of others: `protocol/sync/step.ts` decides, this carries out. */
export class Sync {
  readonly lines: SyncLines
  readonly #components: SyncComponents
  readonly #abort = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #snapshots = new Map<string, AbortController>()
  #state: SyncState
  #events: Told[] = []
  #isStepping = false
  #cancelTimer: () => void = () => {}

  constructor(components: SyncComponents) {
    const { self, clock, tuning, peers, log } = components
    this.#components = components
    this.#state = initialSyncState(self, {
      now: clock.now(),
      tuning: { intervalMs: tuning.syncIntervalMs, soonMs: tuning.syncSoonMs, listenMs: tuning.syncListenMs }
    })
    this.lines = new SyncLines({
      peers,
      clock,
      log,
      onMessage: (peer, message) => this.#tell({ type: 'message', peer, message }),
      onBroken: peer => this.#tell({ type: 'broken', peer }),
      onRestarted: peer => this.#tell({ type: 'restarted', peer })
    })
  }

  start(): void {
    this.#tell({ type: 'due' })
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    this.#cancelTimer()
    this.lines.closeAll()
    for (const snapshot of this.#snapshots.values()) snapshot.abort()
    await Promise.allSettled(this.#running)
  }

  follow(registry: RegistryId): void {
    this.#tell({ type: 'followed', registry })
  }

  unfollow(registry: RegistryId): void {
    this.#tell({ type: 'unfollowed', registry })
  }

  onPeer(peer: string): void {
    const dialled = this.#components.peers.connection(peer)?.direction === 'outbound'
    this.#tell({ type: 'came', peer, dialled })
  }

  onPeerGone(peer: string): void {
    this.lines.close(peer, 'own')
    this.lines.close(peer, 'theirs')
    this.#tell({ type: 'gone', peer })
  }

  /** Compares a registry with everybody who is here, now. */
  readFromAll(registry: RegistryId): void {
    this.#tell({ type: 'read', registry })
  }

  /** The peer has something that we lack. */
  readSoon(peer: string, registry: RegistryId): void {
    this.#tell({ type: 'gap', peer, registry })
  }

  /** A fact came by another way: nobody needs to be asked for it. */
  arrived(registry: RegistryId, id: FactId): void {
    this.#tell({ type: 'arrived', registry, id })
  }

  /** Events are dealt with one after the other; what an effect causes at once comes after all effects of the step. */
  #tell(event: Told): void {
    if (this.#abort.signal.aborted) return
    this.#events.push(event)
    if (this.#isStepping) return
    this.#isStepping = true
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) this.#step(next)
    } finally {
      this.#isStepping = false
    }
    this.#setTimer()
  }

  #step(event: Told): void {
    const { clock, facts } = this.#components
    const { state, effects } = step(this.#state, { ...event, now: clock.now() }, registry => facts.set(registry))
    this.#state = state
    for (const effect of effects) this.#carryOut(effect)
  }

  #setTimer(): void {
    const { clock } = this.#components
    this.#cancelTimer()
    if (this.#abort.signal.aborted) return
    const ms = Math.min(nextDue(this.#state) - clock.now(), LIMITS.timers.delayMs)
    this.#cancelTimer = clock.after(Math.max(0, ms), () => this.#tell({ type: 'due' }))
  }

  #carryOut(effect: SyncEffect): void {
    const { peers, events } = this.#components
    switch (effect.type) {
      case 'send':
        return this.lines.send(effect.peer, effect.message)
      case 'sift':
        return this.#run(this.#sift(effect))
      case 'load':
        return this.#run(this.#load(effect))
      case 'admit':
        return this.#run(this.#admit(effect))
      case 'snapshot':
        return this.#run(this.#snapshot(effect))
      case 'stop-snapshot':
        return this.#snapshots.get(keyOf(effect.peer, effect.registry))?.abort()
      case 'close':
        return this.lines.close(effect.peer, effect.side)
      case 'blame':
        return peers.blame(effect.peer, effect.reason)
      case 'reconciled': {
        const { peer, registry, facts, missing } = effect
        return events.onReconciled?.({ peer, registry, facts, missing })
      }
    }
  }

  #run(work: Promise<void>): void {
    const task = work
      .catch((error: unknown) => this.#components.log.warn('a comparison failed', { error: messageOf(error) }))
      .finally(() => this.#running.delete(task))
    this.#running.add(task)
  }

  /** What the store cannot say is not asked for now; the interval comes back to it. */
  async #sift(effect: EffectOf<'sift'>): Promise<void> {
    let ids: readonly FactId[] = []
    try {
      const known = await this.#components.facts.known(effect.registry, effect.ids)
      ids = effect.ids.filter((_, index) => known[index] === undefined)
    } catch (error) {
      this.#components.log.warn('the store could not be asked', { error: messageOf(error) })
    }
    this.#tell({ ...atOf(effect), type: 'sifted', ids })
  }

  async #load(effect: EffectOf<'load'>): Promise<void> {
    const facts: Uint8Array[] = []
    let room = LIMITS.sync.pageBytes - LIMITS.sync.overheadBytes
    let reached = 0
    try {
      for (const id of effect.ids) {
        const fact = await this.#components.facts.get(effect.registry, id)
        if (fact !== undefined && fact.length > room) break
        reached += 1
        if (fact === undefined) continue
        room -= fact.length
        facts.push(fact)
      }
    } catch (error) {
      this.#components.log.warn('facts could not be read', { error: messageOf(error) })
      reached = effect.ids.length
    }
    this.#tell({ ...atOf(effect), type: 'loaded', facts, reached })
  }

  async #admit(effect: EffectOf<'admit'>): Promise<void> {
    const { gate, events, log, onAdmitted } = this.#components
    const { peer, registry, facts } = effect
    let verdicts: readonly SyncVerdict[]
    try {
      verdicts = await gate.admitMany(facts, { peer, registry })
      const admitted = facts.filter((_, index) => verdicts[index]?.verdict === 'accept')
      for (const _ of admitted) events.onFact?.({ registry, peer, way: 'sync' })
      if (admitted.length > 0) onAdmitted(registry, admitted)
    } catch (error) {
      log.warn('facts could not be admitted', { error: messageOf(error) })
      verdicts = facts.map(() => ({ verdict: 'ignore', reason: 'read-only' }))
    }
    this.#tell({ ...atOf(effect), type: 'admitted', verdicts })
  }

  async #snapshot(effect: EffectOf<'snapshot'>): Promise<void> {
    const { peer, registry } = effect
    const key = keyOf(peer, registry)
    const abort = new AbortController()
    this.#snapshots.set(key, abort)
    await readSnapshot(this.#components, { peer, registry }, abort.signal)
    if (this.#snapshots.get(key) === abort) this.#snapshots.delete(key)
    this.#tell({ ...atOf(effect), type: 'snapshotted' })
  }
}

function atOf({ peer, session, side }: EffectOf<'load'> | EffectOf<'sift'> | EffectOf<'admit'> | EffectOf<'snapshot'>) {
  return { peer, session, side }
}
