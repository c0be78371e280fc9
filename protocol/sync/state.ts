import type { FactId, RegistryId } from '../cid.ts'
import { LIMITS } from '../limits.ts'
import type { Bound, ItemSet } from './item-set.ts'
import type { SyncMessage } from './messages.ts'
import type { HaveRange } from './negentropy.ts'

/** The set of a registry that is kept here. */
export type Sets = (registry: RegistryId) => ItemSet | undefined

/** Whose session something belongs to: one that we opened, or one that the peer opened. */
export type Side = 'own' | 'theirs'

/** What is read of the gate's answer to a fact. */
export interface SyncVerdict {
  readonly verdict: 'accept' | 'pending' | 'ignore' | 'reject'
  readonly reason?: string
}

interface At {
  readonly peer: string
  /** The number of the session, as its opener counts. */
  readonly session: number
  readonly side: Side
}

/** What happened, and when: milliseconds of a clock that does not go back. */
export type SyncEvent = { readonly now: number } & (
  | { readonly type: 'came'; readonly peer: string; readonly dialled: boolean }
  | { readonly type: 'gone'; readonly peer: string }
  | { readonly type: 'followed' | 'unfollowed'; readonly registry: RegistryId }
  /** Somebody wants this registry compared with everybody who is here, now. */
  | { readonly type: 'read'; readonly registry: RegistryId }
  /** Gossip showed that the peer has something that we lack. */
  | { readonly type: 'gap'; readonly peer: string; readonly registry: RegistryId }
  | { readonly type: 'message'; readonly peer: string; readonly message: SyncMessage }
  /** The peer's stream to us is a new one: what it had opened on another is void. */
  | { readonly type: 'restarted'; readonly peer: string }
  /** Our stream to the peer is gone. */
  | { readonly type: 'broken'; readonly peer: string }
  /** Answer to `sift`: those of the ids that are unknown here. */
  | ({ readonly type: 'sifted'; readonly ids: readonly FactId[] } & At)
  /** Answer to `load`: the facts of the first `reached` ids, as far as they are here and to be given away. */
  | ({ readonly type: 'loaded'; readonly facts: readonly Uint8Array[]; readonly reached: number } & At)
  /** Answer to `admit`: one verdict for each fact. */
  | ({ readonly type: 'admitted'; readonly verdicts: readonly SyncVerdict[] } & At)
  /** Answer to `snapshot`: it ended, well or not. */
  | ({ readonly type: 'snapshotted' } & At)
  /** A fact became part of the set, by whatever way. */
  | { readonly type: 'arrived'; readonly registry: RegistryId; readonly id: FactId }
  | { readonly type: 'due' }
)

/** What is to be done. Each `sift`, `load`, `admit` and `snapshot` is answered by exactly one event. */
export type SyncEffect =
  | { readonly type: 'send'; readonly peer: string; readonly message: SyncMessage }
  | ({ readonly type: 'sift'; readonly registry: RegistryId; readonly ids: readonly FactId[] } & At)
  | ({ readonly type: 'load'; readonly registry: RegistryId; readonly ids: readonly FactId[] } & At)
  | ({ readonly type: 'admit'; readonly registry: RegistryId; readonly facts: readonly Uint8Array[] } & At)
  | ({ readonly type: 'snapshot'; readonly registry: RegistryId } & At)
  | { readonly type: 'stop-snapshot'; readonly peer: string; readonly registry: RegistryId }
  /** Close our stream to the peer (`own`) or its stream to us (`theirs`). */
  | { readonly type: 'close'; readonly peer: string; readonly side: Side }
  | { readonly type: 'blame'; readonly peer: string; readonly reason: 'malformed-message' | 'invalid-facts' }
  /** Compared to the end; `facts` came by it, `missing` ids were named and not delivered. */
  | {
      readonly type: 'reconciled'
      readonly peer: string
      readonly registry: RegistryId
      readonly facts: number
      readonly missing: number
    }

/**
 * What a session of ours is doing:
 *
 *   snapshot              a newcomer reads the peer's whole set
 *   compare               waits for `ranges`
 *   sift                  waits to be told which ids are unknown here
 *   want, admit           waits for facts, then for the gate
 *   load, push            waits for the store, then for `taken`
 *   blocked               all that it needs is being asked of others
 */
export type Phase = 'snapshot' | 'compare' | 'sift' | 'want' | 'admit' | 'load' | 'push' | 'blocked'

/** Ids that the peer has in one part of the order and we lack. */
export interface NeedIds {
  readonly from: Bound
  readonly ids: readonly FactId[]
}

/** One comparison that we opened. */
export interface Session {
  readonly number: number
  readonly peer: string
  readonly registry: RegistryId
  readonly phase: Phase
  readonly since: number
  /** When the peer must have answered; Infinity while the next thing to happen is ours. */
  readonly deadline: number
  readonly rounds: number
  /** What to send to compare the rest. */
  readonly next: Uint8Array | undefined
  /**
   * True while differences are only gathered. They are dealt with in the order of the set, for earlier facts are what later
   * ones wait for, and one comparison may find the later ones first.
   */
  readonly isGathering: boolean
  /** What the last comparison named and may be known here, and what the ones before found. */
  readonly named: readonly NeedIds[]
  readonly found: readonly NeedIds[]
  readonly needs: readonly FactId[]
  /** Of the needs, those that the peer was asked for, then those that it delivered. */
  readonly wanted: readonly FactId[]
  readonly haves: readonly HaveRange[]
  /** The peer lacks more than is pushed: it is told so at the end. */
  readonly isBehind: boolean
  /** Ids of the page that is being pushed. */
  readonly pushes: readonly FactId[]
  readonly passedOver: ReadonlySet<FactId>
  readonly emptyAnswers: number
  readonly accepted: number
  /** Pages that the other side took. */
  readonly pushed: number
  readonly missing: number
  /** Something waits at the gate for something else, which another session may bring. */
  readonly unsettled: boolean
}

/** One comparison that the peer opened. */
export interface TheirSession {
  readonly registry: RegistryId
  readonly heardAt: number
  readonly accepted: number
}

export interface PeerState {
  /** Until then we wait for the peer to open. */
  readonly listenUntil: number
  readonly theirs: ReadonlyMap<number, TheirSession>
  /** When a registry was last compared to the end, whoever opened. */
  readonly reconciledAt: ReadonlyMap<RegistryId, number>
  /** Sessions of ours that were given up while an answer was under way. */
  readonly abandoned: ReadonlySet<number>
  /** Its place among those that wait: the lowest is served first. */
  readonly servedAs: number
  readonly comparisons: number
  readonly comparisonsAt: number
}

/** A comparison that waits for its turn, or for its time. */
export interface Turn {
  readonly peer: string
  readonly registry: RegistryId
  readonly at: number
}

/** How a registry that is empty here is being filled. */
export interface Snapshot {
  readonly peer: string | undefined
  readonly since: number
  readonly tries: number
}

export interface SyncTuning {
  readonly intervalMs: number
  readonly soonMs: number
  readonly listenMs: number
}

export interface SyncState {
  readonly self: string
  /** Of the last step: what was due by then has been dealt with. */
  readonly now: number
  readonly tuning: SyncTuning
  readonly followed: ReadonlySet<RegistryId>
  readonly peers: ReadonlyMap<string, PeerState>
  /** By `keyOf(peer, registry)`. */
  readonly sessions: ReadonlyMap<string, Session>
  readonly turns: ReadonlyMap<string, Turn>
  readonly snapshots: ReadonlyMap<RegistryId, Snapshot>
  /** By registry and id: of whom it is asked. */
  readonly asked: ReadonlyMap<string, string>
  /** Pages under way between the store or the gate and others. */
  readonly serving: number
  readonly count: number
  readonly intervalAt: number
}

/** @param self our own peer id, which decides whose session stands when two cross */
export function initialSyncState(
  self: string,
  { now, tuning = {} }: { readonly now: number; readonly tuning?: Partial<SyncTuning> }
): SyncState {
  const { intervalMs, soonMs, listenMs } = LIMITS.sync
  const inForce = { intervalMs, soonMs, listenMs, ...tuning }
  return {
    self,
    now,
    tuning: inForce,
    followed: new Set(),
    peers: new Map(),
    sessions: new Map(),
    turns: new Map(),
    snapshots: new Map(),
    asked: new Map(),
    serving: 0,
    count: 0,
    intervalAt: now + inForce.intervalMs
  }
}

/** A state that one step may change, and what comes of it. */
export interface Draft {
  readonly self: string
  readonly tuning: SyncTuning
  readonly followed: Set<RegistryId>
  readonly peers: Map<string, PeerState>
  readonly sessions: Map<string, Session>
  readonly turns: Map<string, Turn>
  readonly snapshots: Map<RegistryId, Snapshot>
  readonly asked: Map<string, string>
  serving: number
  count: number
  intervalAt: number
  readonly now: number
  readonly sets: Sets
  readonly effects: SyncEffect[]
  /** Registries of which ids became free. */
  readonly woken: Set<RegistryId>
}

export function draftOf(state: SyncState, now: number, sets: Sets): Draft {
  return {
    ...state,
    followed: new Set(state.followed),
    peers: new Map(state.peers),
    sessions: new Map(state.sessions),
    turns: new Map(state.turns),
    snapshots: new Map(state.snapshots),
    asked: new Map(state.asked),
    now,
    sets,
    effects: [],
    woken: new Set()
  }
}

export function stateOf({ sets: _sets, effects: _effects, woken: _woken, ...state }: Draft): SyncState {
  return state
}

export function keyOf(peer: string, registry: RegistryId): string {
  return `${peer} ${registry}`
}

export function askedKey(registry: RegistryId, id: FactId): string {
  return `${registry} ${id}`
}

/** Changes what is known of a peer, if it is here. */
export function editPeer(draft: Draft, peer: string, change: (known: PeerState) => Partial<PeerState>): void {
  const known = draft.peers.get(peer)
  if (known !== undefined) draft.peers.set(peer, { ...known, ...change(known) })
}
