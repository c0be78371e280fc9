import type { RegistryId } from '../cid.ts'
import { LIMITS } from '../limits.ts'
import { isSyncRequest } from './messages.ts'
import { beginTurns, onAdmitted, onLoaded, onReply, onSifted, onSnapshotted, resume } from './own.ts'
import { breakOff, end, endOverdue, forgetNeeds } from './sessions.ts'
import { draftOf, stateOf } from './state.ts'
import type { Draft, Sets, SyncEffect, SyncEvent, SyncState } from './state.ts'
import { forgetAll, onJudged, onRequest, onServed } from './theirs.ts'
import { enqueue, enqueueAll, onDue } from './turns.ts'

/**
 * One step of reconciliation. Pure: no clock, no network, no storage; the service around it only carries out the effects,
 * in their order, and tells what came of them.
 *
 * Invariants:
 * 1. There is at most one session for a peer and registry, whoever opened it; of two that cross, the lower peer id's stands.
 * 2. An id is asked of one peer at a time, and an id that is known here is asked of nobody. What is pushed unasked is a few facts.
 * 3. Losing a peer, its stream or a session frees everything that was asked in it.
 * 4. Each request of a peer is answered by one message; each of ours has a deadline while it waits for one.
 * 5. The next page is asked for when the gate has dealt with this one, and given when the other side has taken the last.
 * 6. What the gate refused, or a peer named and did not deliver, is not asked of that peer again in the same session.
 * 7. Everything is bounded by `LIMITS.sync`, and a session that others wait for gives its place up.
 */
export function step(
  state: SyncState,
  event: SyncEvent,
  sets: Sets
): { readonly state: SyncState; readonly effects: readonly SyncEffect[] } {
  const draft = draftOf(state, event.now, sets)
  onEvent(draft, event)
  endOverdue(draft)
  resume(draft)
  onDue(draft)
  beginTurns(draft)
  return { state: stateOf(draft), effects: draft.effects }
}

function onEvent(draft: Draft, event: SyncEvent): void {
  switch (event.type) {
    case 'came':
      return onCame(draft, event.peer, event.dialled)
    case 'gone':
      return onGone(draft, event.peer)
    case 'followed':
      draft.followed.add(event.registry)
      return readFromAll(draft, event.registry)
    case 'unfollowed':
      return onUnfollowed(draft, event.registry)
    case 'read':
      return readFromAll(draft, event.registry)
    case 'gap':
      return enqueue(draft, event.peer, event.registry, draft.now + draft.tuning.soonMs)
    case 'message':
      return isSyncRequest(event.message)
        ? onRequest(draft, event.peer, event.message)
        : onReply(draft, event.peer, event.message)
    case 'restarted':
      return forgetAll(draft, event.peer)
    case 'broken':
      return breakOff(draft, event.peer)
    case 'sifted':
      return onSifted(draft, event.peer, event.session, event.ids)
    case 'loaded':
      return event.side === 'own'
        ? onLoaded(draft, event, event)
        : onServed(draft, event.peer, event.session, event.facts)
    case 'admitted':
      return event.side === 'own'
        ? onAdmitted(draft, event.peer, event.session, event.verdicts)
        : onJudged(draft, event.peer, event.session, event.verdicts)
    case 'snapshotted':
      return onSnapshotted(draft, event.peer, event.session)
    case 'arrived':
      return forgetNeeds(draft, event.registry, new Set([event.id]))
    case 'due':
      return
  }
}

function onCame(draft: Draft, peer: string, dialled: boolean): void {
  if (draft.peers.has(peer)) return
  draft.peers.set(peer, {
    listenUntil: dialled ? Infinity : draft.now + draft.tuning.listenMs,
    theirs: new Map(),
    reconciledAt: new Map(),
    abandoned: new Set(),
    servedAs: 0,
    comparisons: LIMITS.sync.comparisonsBurst,
    comparisonsAt: draft.now
  })
  if (dialled) enqueueAll(draft, peer)
}

function onGone(draft: Draft, peer: string): void {
  breakOff(draft, peer)
  draft.peers.delete(peer)
  for (const [key, turn] of draft.turns) if (turn.peer === peer) draft.turns.delete(key)
}

function onUnfollowed(draft: Draft, registry: RegistryId): void {
  draft.followed.delete(registry)
  draft.snapshots.delete(registry)
  for (const session of draft.sessions.values()) if (session.registry === registry) end(draft, session)
  for (const [key, turn] of draft.turns) if (turn.registry === registry) draft.turns.delete(key)
}

function readFromAll(draft: Draft, registry: RegistryId): void {
  for (const peer of draft.peers.keys()) enqueue(draft, peer, registry)
}
