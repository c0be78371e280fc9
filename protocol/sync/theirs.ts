import { isRegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { SyncRefusal, SyncReply, SyncRequest } from './messages.ts'
import { respond } from './negentropy.ts'
import { abandon, hasNoRoom } from './sessions.ts'
import { editPeer, keyOf } from './state.ts'
import type { Draft, SyncVerdict, TheirSession } from './state.ts'
import { enqueue, mayCompare } from './turns.ts'

/** A request in a session that the peer opened. Each is answered by one message, `done` by none. */
export function onRequest(draft: Draft, peer: string, message: SyncRequest): void {
  if (!draft.peers.has(peer)) return
  if (message.type === 'open') return onOpen(draft, peer, message)
  const session = draft.peers.get(peer)?.theirs.get(message.session)
  if (session === undefined) {
    if (message.type !== 'done') refuse(draft, peer, message.session, 'unknown-session')
    return
  }
  put(draft, peer, message.session, { ...session, heardAt: draft.now })
  const at = { peer, registry: session.registry, session: message.session, side: 'theirs' } as const
  switch (message.type) {
    case 'compare':
      return compare(draft, peer, message.session, message.ranges)
    case 'want':
      if (!takePlace(draft, peer, message.session)) return
      draft.effects.push({ type: 'load', ids: message.ids, ...at })
      return
    case 'push':
      if (!takePlace(draft, peer, message.session)) return
      draft.effects.push({ type: 'admit', facts: message.facts, ...at })
      return
    case 'done':
      return onDone(draft, peer, message, session)
  }
}

function onOpen(
  draft: Draft,
  peer: string,
  { session, registry, ranges }: Extract<SyncRequest, { type: 'open' }>
): void {
  const known = draft.peers.get(peer)
  if (known === undefined) return
  if (!draft.followed.has(registry) || draft.sets(registry) === undefined)
    return refuse(draft, peer, session, 'unknown-registry')
  const own = draft.sessions.get(keyOf(peer, registry))
  if (own !== undefined) {
    // Two that crossed: the one of the lower peer id stands. One that is past its beginning stands in any case.
    const isCrossed = own.phase === 'compare' && own.rounds === 0
    if (!isCrossed || draft.self < peer) return refuse(draft, peer, session, 'busy')
    abandon(draft, own)
  }
  const others = [...known.theirs].filter(([number, theirs]) => number !== session && theirs.registry !== registry)
  if (others.length >= LIMITS.sync.sessionsPerPeer) return refuse(draft, peer, session, 'busy')
  editPeer(draft, peer, () => ({
    theirs: new Map([...others, [session, { registry, heardAt: draft.now, accepted: 0 }]])
  }))
  compare(draft, peer, session, ranges)
}

function compare(draft: Draft, peer: string, session: number, ranges: Uint8Array): void {
  const known = draft.peers.get(peer)
  const registry = known?.theirs.get(session)?.registry
  const set = registry === undefined ? undefined : draft.sets(registry)
  if (known === undefined || set === undefined) return refuse(draft, peer, session, 'unknown-registry')
  if (!mayCompare(draft, peer, known)) return refuse(draft, peer, session, 'busy')
  let answer
  try {
    answer = respond(set, ranges)
  } catch (error) {
    if (!isRegistryError(error)) throw error
    draft.effects.push({ type: 'blame', peer, reason: 'malformed-message' }, { type: 'close', peer, side: 'theirs' })
    return forgetAll(draft, peer)
  }
  send(draft, peer, { type: 'ranges', session, ranges: answer })
}

/** One page is in memory for each place; who finds none comes back later. */
function takePlace(draft: Draft, peer: string, session: number): boolean {
  if (draft.serving >= LIMITS.sync.servedInFlight) {
    refuse(draft, peer, session, 'busy')
    return false
  }
  draft.serving += 1
  return true
}

export function onServed(draft: Draft, peer: string, session: number, facts: readonly Uint8Array[]): void {
  draft.serving -= 1
  send(draft, peer, { type: 'facts', session, facts })
}

export function onJudged(draft: Draft, peer: string, session: number, verdicts: readonly SyncVerdict[]): void {
  draft.serving -= 1
  for (const { verdict } of verdicts)
    if (verdict === 'reject') draft.effects.push({ type: 'blame', peer, reason: 'invalid-facts' })
  const theirs = draft.peers.get(peer)?.theirs.get(session)
  const accepted = verdicts.filter(({ verdict }) => verdict === 'accept').length
  if (theirs !== undefined) {
    put(draft, peer, session, { ...theirs, heardAt: draft.now, accepted: theirs.accepted + accepted })
  }
  send(draft, peer, { type: 'taken', session, more: !verdicts.some(hasNoRoom) })
}

function onDone(
  draft: Draft,
  peer: string,
  { session, end }: Extract<SyncRequest, { type: 'done' }>,
  { registry, accepted }: TheirSession
): void {
  editPeer(draft, peer, ({ theirs }) => ({ theirs: new Map([...theirs].filter(([number]) => number !== session)) }))
  // It has more for us than it pushes. Meanwhile others may bring some of it, and we know whom we ask for what.
  if (end === 'behind') return enqueue(draft, peer, registry, draft.now + draft.tuning.soonMs)
  if (end !== 'complete') return
  editPeer(draft, peer, ({ reconciledAt }) => ({ reconciledAt: new Map(reconciledAt).set(registry, draft.now) }))
  // Whatever made us want to compare has been compared.
  draft.turns.delete(keyOf(peer, registry))
  draft.effects.push({ type: 'reconciled', peer, registry, facts: accepted, missing: 0 })
}

export function forgetAll(draft: Draft, peer: string): void {
  editPeer(draft, peer, () => ({ theirs: new Map() }))
}

function put(draft: Draft, peer: string, session: number, changed: TheirSession): void {
  editPeer(draft, peer, ({ theirs }) => ({ theirs: new Map(theirs).set(session, changed) }))
}

function refuse(draft: Draft, peer: string, session: number, reason: SyncRefusal): void {
  editPeer(draft, peer, ({ theirs }) => ({ theirs: new Map([...theirs].filter(([number]) => number !== session)) }))
  send(draft, peer, { type: 'refused', session, reason })
}

function send(draft: Draft, peer: string, message: SyncReply): void {
  if (draft.peers.has(peer)) draft.effects.push({ type: 'send', peer, message })
}
