import type { RegistryId } from '../cid.ts'
import { LIMITS } from '../limits.ts'
import { editPeer, keyOf } from './state.ts'
import type { Draft, PeerState, SyncState, Turn } from './state.ts'

/** Puts a comparison among those that wait; a time that is set already stays if it is earlier. */
export function enqueue(draft: Draft, peer: string, registry: RegistryId, at: number = draft.now): void {
  if (!draft.peers.has(peer) || !draft.followed.has(registry)) return
  const key = keyOf(peer, registry)
  const before = draft.turns.get(key)
  if (before === undefined || at < before.at) draft.turns.set(key, { peer, registry, at })
}

export function enqueueAll(draft: Draft, peer: string, at: number = draft.now): void {
  for (const registry of draft.followed) enqueue(draft, peer, registry, at)
}

/** May this comparison begin? */
function isRunnable(draft: Draft, { peer, registry, at }: Turn): boolean {
  const known = draft.peers.get(peer)
  if (at > draft.now || known === undefined || draft.sessions.has(keyOf(peer, registry))) return false
  if ([...known.theirs.values()].some(theirs => theirs.registry === registry)) return false
  const own = [...draft.sessions.values()].filter(session => session.peer === peer).length
  if (own >= LIMITS.sync.sessionsPerPeerInFlight) return false
  // One snapshot at a time for a registry. Attack: one that trickles must not keep everybody else from being asked.
  const snapshot = draft.snapshots.get(registry)
  const isFilling = snapshot?.peer !== undefined && draft.now < snapshot.since + LIMITS.snapshot.aloneMs
  return !isFilling
}

export function othersWait(draft: Draft): boolean {
  return [...draft.turns.values()].some(turn => isRunnable(draft, turn))
}

/** The next one that may begin: of the peer whose last turn is the longest ago. */
export function takeTurn(draft: Draft): Turn | undefined {
  let best: Turn | undefined
  let bestAs = Infinity
  for (const turn of draft.turns.values()) {
    const as = draft.peers.get(turn.peer)?.servedAs ?? Infinity
    if (as < bestAs && isRunnable(draft, turn)) {
      best = turn
      bestAs = as
    }
  }
  if (best === undefined) return undefined
  draft.turns.delete(keyOf(best.peer, best.registry))
  draft.count += 1
  const servedAs = draft.count
  editPeer(draft, best.peer, () => ({ servedAs }))
  return best
}

/** What is due by the clock alone: the interval, and peers that were given time to speak first. */
export function onDue(draft: Draft): void {
  const { intervalMs } = draft.tuning
  const isInterval = draft.now >= draft.intervalAt
  if (isInterval) draft.intervalAt = draft.now + intervalMs
  for (const [peer, known] of draft.peers) {
    forgetIdle(draft, peer, known)
    const listened = draft.now >= known.listenUntil
    if (listened) editPeer(draft, peer, () => ({ listenUntil: Infinity }))
    if (!listened && !isInterval) continue
    for (const registry of draft.followed) {
      const since = known.reconciledAt.get(registry) ?? -Infinity
      // The other side has an interval too: one comparison serves both.
      if (draft.now - since >= intervalMs / 2) enqueue(draft, peer, registry)
    }
  }
}

/** Sessions that a peer opened and left would keep us from opening one. */
function forgetIdle(draft: Draft, peer: string, { theirs }: PeerState): void {
  const active = [...theirs].filter(([, { heardAt }]) => draft.now - heardAt < LIMITS.sync.idleMs)
  if (active.length < theirs.size) editPeer(draft, peer, () => ({ theirs: new Map(active) }))
}

/** When `due` is next to be told, at the latest. Later than the last step in any case. */
export function nextDue(state: SyncState): number {
  const times = [state.intervalAt]
  for (const { deadline } of state.sessions.values()) times.push(deadline)
  for (const { at } of state.turns.values()) times.push(at)
  for (const { listenUntil, theirs } of state.peers.values()) {
    times.push(listenUntil)
    for (const { heardAt } of theirs.values()) times.push(heardAt + LIMITS.sync.idleMs)
  }
  for (const { since } of state.snapshots.values()) times.push(since + LIMITS.snapshot.aloneMs)
  return times.reduce((first, at) => (at > state.now && at < first ? at : first), Infinity)
}

/** Takes one of the comparisons that a peer may ask of us; false when it has none left for now. */
export function mayCompare(draft: Draft, peer: string, known: PeerState): boolean {
  const { comparisonsBurst, comparisonsPerSecond } = LIMITS.sync
  const gained = ((draft.now - known.comparisonsAt) * comparisonsPerSecond) / 1_000
  const left = Math.min(comparisonsBurst, known.comparisons + Math.max(0, gained)) - 1
  if (left < 0) return false
  editPeer(draft, peer, () => ({ comparisons: left, comparisonsAt: draft.now }))
  return true
}
