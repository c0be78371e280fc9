import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import {
  decodeSyncReply,
  decodeSyncRequest,
  encodeSyncMessage,
  isSyncRequest,
  SYNC_MESSAGE_BYTES
} from '../../protocol/sync/messages.ts'
import type { SyncMessage } from '../../protocol/sync/messages.ts'
import type { ItemSet } from '../../protocol/sync/item-set.ts'
import { initialSyncState } from '../../protocol/sync/state.ts'
import type { Side, SyncEffect, SyncEvent, SyncState, SyncVerdict } from '../../protocol/sync/state.ts'
import type { step } from '../../protocol/sync/step.ts'
import { nextDue } from '../../protocol/sync/turns.ts'

type Untimed<T> = T extends unknown ? Omit<T, 'now'> : never
export type Told = Untimed<SyncEvent>

/** Where and for whom an effect is carried out. */
export interface Job {
  readonly peer: string
  readonly registry: RegistryId
  readonly session: number
  readonly side: Side
}

/** What the driver uses of the node around it. */
export interface DriverNode {
  readonly name: string
  now(): number
  /** Runs later, unless the node has gone down by then. */
  later(ms: number, label: string, run: () => Promise<void> | void): void
  /** How long the machine takes for a piece of work. */
  workMs(): number
  set(registry: RegistryId): ItemSet | undefined
  unknown(ids: readonly FactId[]): Promise<readonly FactId[]>
  load(ids: readonly FactId[]): Promise<{ readonly facts: readonly Uint8Array[]; readonly reached: number }>
  admit(facts: readonly Uint8Array[], peer: string): Promise<readonly SyncVerdict[]>
  /** Reads the peer's whole set through the gate; `isWanted` is asked before each piece. */
  snapshot(peer: string, isWanted: () => boolean, end: () => void): void
  send(peer: string, bytes: Uint8Array, isRequest: boolean): void
  close(peer: string, side: Side): void
  blame(peer: string, reason: string): void
  note(line: string): void
}

/** Carries out what the sync step decides, as node/p2p does over libp2p: nothing is decided here. */
export class SyncDriver {
  readonly #node: DriverNode
  readonly #step: typeof step
  readonly #snapshots = new Map<string, object>()
  #state: SyncState
  #dueAt = Infinity

  constructor(node: DriverNode, options: { readonly step: typeof step; readonly intervalMs: number }) {
    this.#node = node
    this.#step = options.step
    this.#state = initialSyncState(node.name, { now: node.now(), tuning: { intervalMs: options.intervalMs } })
  }

  get state(): SyncState {
    return this.#state
  }

  tell(event: Told): void {
    const { state, effects } = this.#step(this.#state, { ...event, now: this.#node.now() }, registry =>
      this.#node.set(registry)
    )
    this.#state = state
    for (const effect of effects) this.#run(effect)
    this.#wind()
  }

  /** Bytes that a peer sent. */
  hear(peer: string, bytes: Uint8Array, isRequest: boolean): void {
    let message: SyncMessage
    try {
      if (bytes.length > SYNC_MESSAGE_BYTES) throw new RangeError('a sync message is too long')
      message = isRequest ? decodeSyncRequest(bytes) : decodeSyncReply(bytes)
    } catch (error) {
      if (!isRegistryError(error)) throw error
      const side = isRequest ? 'theirs' : 'own'
      this.#node.blame(peer, 'malformed-message')
      this.#node.close(peer, side)
      return this.tell({ type: isRequest ? 'restarted' : 'broken', peer })
    }
    this.tell({ type: 'message', peer, message })
  }

  #run(effect: SyncEffect): void {
    const node = this.#node
    switch (effect.type) {
      case 'send': {
        const bytes = encodeSyncMessage(effect.message)
        if (bytes.length > SYNC_MESSAGE_BYTES) throw new RangeError('a sync message of ours is too long')
        return node.send(effect.peer, bytes, isSyncRequest(effect.message))
      }
      case 'sift':
        return this.#work(effect, async at => this.tell({ type: 'sifted', ids: await node.unknown(effect.ids), ...at }))
      case 'load':
        return this.#work(effect, async at => this.tell({ type: 'loaded', ...(await node.load(effect.ids)), ...at }))
      case 'admit':
        return this.#work(effect, async at =>
          this.tell({ type: 'admitted', verdicts: await node.admit(effect.facts, effect.peer), ...at })
        )
      case 'snapshot':
        return this.#snapshot(effect)
      case 'stop-snapshot':
        this.#snapshots.delete(effect.peer)
        return
      case 'close':
        return node.close(effect.peer, effect.side)
      case 'blame':
        return node.blame(effect.peer, effect.reason)
      case 'reconciled':
        return node.note(`reconciled with ${effect.peer}, ${effect.facts} new, ${effect.missing} missing`)
    }
  }

  #work({ type, peer, session, side, registry }: SyncEffect & Job, run: (at: Omit<Job, 'registry'>) => Promise<void>) {
    this.#node.later(this.#node.workMs(), `${type} ${registry.slice(-4)}`, () => run({ peer, session, side }))
  }

  #snapshot({ peer, session, side }: Job): void {
    const mark = {}
    this.#snapshots.set(peer, mark)
    const isWanted = (): boolean => this.#snapshots.get(peer) === mark
    this.#node.snapshot(peer, isWanted, () => {
      if (!isWanted()) return
      this.#snapshots.delete(peer)
      this.tell({ type: 'snapshotted', peer, session, side })
    })
  }

  /** One timer, for the next time that matters. */
  #wind(): void {
    const at = Math.max(nextDue(this.#state), this.#node.now() + 1)
    if (at >= this.#dueAt || at === Infinity) return
    this.#dueAt = at
    this.#node.later(at - this.#node.now(), 'due', () => {
      if (this.#dueAt !== at) return
      this.#dueAt = Infinity
      this.tell({ type: 'due' })
    })
  }
}

/** Is everything that is asked for asked in a session that goes on? What is not would be asked of nobody else. */
export function isAskedInSession({ asked, sessions }: SyncState): boolean {
  const peers = new Set([...sessions.values()].map(({ peer }) => peer))
  return [...asked.values()].every(peer => peers.has(peer))
}

/** Is what a node keeps for reconciliation within its bounds? */
export function isBounded({ sessions, peers, turns, asked, serving }: SyncState): boolean {
  const { sessionsInFlight, sessionsPerPeer, servedInFlight, pageFacts } = LIMITS.sync
  return (
    sessions.size <= sessionsInFlight &&
    turns.size <= peers.size &&
    asked.size <= sessionsInFlight * pageFacts &&
    serving <= servedInFlight &&
    [...peers.values()].every(({ theirs }) => theirs.size <= sessionsPerPeer)
  )
}
