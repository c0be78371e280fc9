import type { FactId, RegistryId } from '../cid.ts'
import { LIMITS } from '../limits.ts'
import { askedKey, editPeer, keyOf } from './state.ts'
import type { Draft, NeedIds, Session, SyncVerdict } from './state.ts'
import { enqueue } from './turns.ts'

/** How a session of ours ends, and whether there is another one soon. */
export type Ending = 'complete' | 'behind' | 'turn-over' | 'no-room' | 'busy' | 'refused' | 'passed-over'

export function finish(draft: Draft, session: Session, ending: Ending): void {
  const { peer, registry, number, accepted, pushed, missing, unsettled } = session
  // Who refused has forgotten the session already.
  if (ending !== 'refused' && ending !== 'busy') {
    const how = ending === 'complete' || ending === 'behind' ? ending : 'early'
    draft.effects.push({ type: 'send', peer, message: { type: 'done', session: number, end: how } })
  }
  end(draft, session)
  switch (ending) {
    case 'complete':
      draft.effects.push({ type: 'reconciled', peer, registry, facts: accepted, missing })
      editPeer(draft, peer, ({ reconciledAt }) => ({ reconciledAt: new Map(reconciledAt).set(registry, draft.now) }))
      // What waits at the gate may find what it waits for; without progress it would only wait again.
      if (unsettled && accepted > 0) enqueue(draft, peer, registry, draft.now + LIMITS.sync.retryMs)
      return
    case 'turn-over':
      return enqueue(draft, peer, registry)
    case 'no-room':
      // A full disk stays full for a while, on either side: without progress the interval is soon enough.
      if (accepted + pushed > 0) enqueue(draft, peer, registry, draft.now + LIMITS.sync.retryMs)
      return
    case 'busy':
      return enqueue(draft, peer, registry, draft.now + LIMITS.sync.retryMs)
    case 'behind':
    case 'refused':
    case 'passed-over':
      return
  }
}

/** Takes a session of ours out: everything that was asked of the peer is free for others. */
export function end(draft: Draft, session: Session): void {
  const { peer, registry } = session
  draft.sessions.delete(keyOf(peer, registry))
  if (session.phase === 'snapshot') {
    releaseSnapshot(draft, session)
    draft.effects.push({ type: 'stop-snapshot', peer, registry })
  }
  release(draft, registry, session.wanted)
}

/** Ends a session whose answer is still under way. */
export function abandon(draft: Draft, session: Session): void {
  if (session.deadline !== Infinity) {
    editPeer(draft, session.peer, ({ abandoned }) => ({
      abandoned: new Set([...abandoned, session.number].slice(-LIMITS.sync.abandoned))
    }))
  }
  end(draft, session)
}

/** Our stream to a peer is gone: so are all sessions on it. Those that had begun go on before long. */
export function breakOff(draft: Draft, peer: string): void {
  for (const session of draft.sessions.values()) {
    if (session.peer !== peer) continue
    end(draft, session)
    if (session.rounds > 0) enqueue(draft, peer, session.registry, draft.now + LIMITS.sync.retryMs)
  }
  editPeer(draft, peer, () => ({ abandoned: new Set() }))
}

/** Peers that did not answer in time. Their stream is closed, so nothing late can come on it. */
export function endOverdue(draft: Draft): void {
  const overdue = [...draft.sessions.values()].filter(({ deadline }) => deadline <= draft.now)
  for (const peer of new Set(overdue.map(session => session.peer))) {
    breakOff(draft, peer)
    draft.effects.push({ type: 'close', peer, side: 'own' })
  }
}

export function lied(
  draft: Draft,
  session: Session,
  reason: 'malformed-message' | 'invalid-facts' = 'malformed-message'
): void {
  const { peer } = session
  draft.effects.push({ type: 'blame', peer, reason }, { type: 'close', peer, side: 'own' })
  breakOff(draft, peer)
}

/** Facts that are here now are asked of nobody. */
export function forgetNeeds(draft: Draft, registry: RegistryId, ids: ReadonlySet<FactId>): void {
  for (const session of draft.sessions.values()) {
    if (session.registry !== registry) continue
    const without = (all: readonly FactId[]): readonly FactId[] => all.filter(id => !ids.has(id))
    const ranges = (all: readonly NeedIds[]): readonly NeedIds[] =>
      all.map(range => ({ ...range, ids: without(range.ids) }))
    const { needs, named, found } = session
    const left = { needs: without(needs), named: ranges(named), found: ranges(found) }
    draft.sessions.set(keyOf(session.peer, registry), { ...session, ...left })
  }
  draft.woken.add(registry)
}

/** Frees ids; sessions that waited for them go on at the end of the step. */
export function release(draft: Draft, registry: RegistryId, ids: readonly FactId[]): void {
  for (const id of ids) draft.asked.delete(askedKey(registry, id))
  if (ids.length > 0) draft.woken.add(registry)
}

export function find(draft: Draft, peer: string, number: number): Session | undefined {
  return [...draft.sessions.values()].find(session => session.peer === peer && session.number === number)
}

export function put(draft: Draft, session: Session, change: Partial<Session>): Session {
  const changed = { ...session, deadline: Infinity, ...change }
  draft.sessions.set(keyOf(session.peer, session.registry), changed)
  return changed
}

export function releaseSnapshot(draft: Draft, { peer, registry }: Session): void {
  const snapshot = draft.snapshots.get(registry)
  if (snapshot?.peer === peer) draft.snapshots.set(registry, { ...snapshot, peer: undefined })
}

/** Is it the node that takes no more for now, whatever the fact? */
export function hasNoRoom({ verdict, reason }: SyncVerdict): boolean {
  return verdict === 'ignore' && reason !== 'seen' && reason !== 'revoked'
}
