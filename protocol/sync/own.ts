import { toHex } from '../bytes.ts'
import { factIdOfDigest } from '../cid.ts'
import type { FactId } from '../cid.ts'
import { isRegistryError } from '../errors.ts'
import { parseEnvelope } from '../fact.ts'
import { LIMITS } from '../limits.ts'
import type { SyncReply } from './messages.ts'
import { compareBounds } from './item-set.ts'
import type { Bound } from './item-set.ts'
import { initiate, learn } from './negentropy.ts'
import type { HaveRange } from './negentropy.ts'
import { breakOff, end, find, finish, forgetNeeds, hasNoRoom, lied, put, release, releaseSnapshot } from './sessions.ts'
import { askedKey, editPeer, keyOf } from './state.ts'
import type { Draft, Session, SyncVerdict } from './state.ts'
import { othersWait, takeTurn } from './turns.ts'

/** Begins what waits, as far as there is room. */
export function beginTurns(draft: Draft): void {
  while (draft.sessions.size < LIMITS.sync.sessionsInFlight) {
    const turn = takeTurn(draft)
    if (turn === undefined) return
    draft.count += 1
    const session: Session = {
      number: draft.count,
      peer: turn.peer,
      registry: turn.registry,
      phase: 'compare',
      since: draft.now,
      deadline: Infinity,
      rounds: 0,
      next: undefined,
      isGathering: true,
      named: [],
      found: [],
      needs: [],
      wanted: [],
      haves: [],
      isBehind: false,
      pushes: [],
      passedOver: new Set(),
      emptyAnswers: 0,
      accepted: 0,
      pushed: 0,
      missing: 0,
      unsettled: false
    }
    begin(draft, session)
  }
}

function begin(draft: Draft, session: Session): void {
  const { peer, registry, number } = session
  const set = draft.sets(registry)
  if (set === undefined) return
  const before = draft.snapshots.get(registry)
  const tries = (before?.tries ?? 0) + 1
  if (set.size > 0 || before?.peer !== undefined || tries > LIMITS.snapshot.tries) return open(draft, session)
  draft.snapshots.set(registry, { peer, since: draft.now, tries })
  put(draft, session, { phase: 'snapshot' })
  draft.effects.push({ type: 'snapshot', peer, registry, session: number, side: 'own' })
}

function open(draft: Draft, session: Session): void {
  const { peer, registry, number } = session
  const set = draft.sets(registry)
  if (set === undefined) return end(draft, session)
  put(draft, session, { phase: 'compare', deadline: draft.now + LIMITS.sync.answerMs })
  draft.effects.push({
    type: 'send',
    peer,
    message: { type: 'open', session: number, registry, ranges: initiate(set) }
  })
}

/** A snapshot has ended: what it brought or not, the comparison comes next. */
export function onSnapshotted(draft: Draft, peer: string, number: number): void {
  const session = find(draft, peer, number)
  if (session?.phase !== 'snapshot') return
  releaseSnapshot(draft, session)
  open(draft, session)
}

/** An answer to one of our sessions. */
export function onReply(draft: Draft, peer: string, message: SyncReply): void {
  const session = find(draft, peer, message.session)
  if (session === undefined) return onStale(draft, peer, message.session)
  const [expected, phase] = [EXPECTED[message.type], session.phase]
  if (message.type !== 'refused' && phase !== expected) return lied(draft, session)
  if (message.type === 'refused' && session.deadline === Infinity) return lied(draft, session)
  switch (message.type) {
    case 'ranges':
      return onRanges(draft, session, message.ranges)
    case 'facts':
      return onFacts(draft, session, message.facts)
    case 'taken':
      return message.more
        ? advance(draft, put(draft, session, { pushed: session.pushed + 1 }))
        : finish(draft, session, 'no-room')
    case 'refused':
      return finish(draft, session, message.reason === 'unknown-registry' ? 'refused' : 'busy')
  }
}

const EXPECTED = { ranges: 'compare', facts: 'want', taken: 'push', refused: undefined } as const

function onStale(draft: Draft, peer: string, number: number): void {
  const known = draft.peers.get(peer)
  if (known === undefined) return
  // Given up by us while the answer was under way: nobody's fault, once.
  if (!known.abandoned.has(number)) {
    draft.effects.push({ type: 'blame', peer, reason: 'malformed-message' })
    draft.effects.push({ type: 'close', peer, side: 'own' })
    return breakOff(draft, peer)
  }
  editPeer(draft, peer, () => ({ abandoned: new Set([...known.abandoned].filter(each => each !== number)) }))
}

function onRanges(draft: Draft, session: Session, ranges: Uint8Array): void {
  const { peer, registry, number } = session
  const set = draft.sets(registry)
  if (set === undefined) return finish(draft, session, 'refused')
  // Attack: fingerprints that never agree.
  if (session.rounds >= LIMITS.sync.roundsPerSession) return finish(draft, session, 'passed-over')
  let learned
  try {
    learned = learn(set, ranges)
  } catch (error) {
    if (isRegistryError(error)) return lied(draft, session)
    throw error
  }
  const named = learned.need.map(({ from, ids }) => {
    return { from, ids: ids.map(factIdOfDigest).filter(id => !session.passedOver.has(id)) }
  })
  const haves = [...session.haves, ...learned.have]
  const changed = put(draft, session, { next: learned.next, named, haves, rounds: session.rounds + 1 })
  const ids = named.flatMap(range => range.ids)
  if (ids.length === 0) return advance(draft, changed)
  put(draft, changed, { phase: 'sift' })
  draft.effects.push({ type: 'sift', peer, registry, session: number, side: 'own', ids })
}

export function onSifted(draft: Draft, peer: string, number: number, ids: readonly FactId[]): void {
  const session = find(draft, peer, number)
  if (session?.phase !== 'sift') return
  const unknown = new Set(ids)
  const found = session.named.map(range => ({ ...range, ids: range.ids.filter(id => unknown.has(id)) }))
  advance(draft, put(draft, session, { named: [], found: [...session.found, ...found] }))
}

/** The next thing to do: compare on, ask for what we lack, give what they lack, compare the rest, end. */
export function advance(draft: Draft, session: Session): void {
  // Attack: peers that say little, slowly, and each time in time, would keep everybody else from being asked.
  if (draft.now - session.since >= LIMITS.sync.sessionMs && othersWait(draft))
    return finish(draft, session, 'turn-over')
  if (!session.isGathering) return transfer(draft, session)
  const { next, found, haves } = session
  const gathered = found.reduce((sum, { ids }) => sum + ids.length, 0)
  const kept = haves.reduce((sum, { except }) => sum + except.size + 1, 0)
  if (next !== undefined && gathered + kept < LIMITS.sync.gathered) return compare(draft, session, next)
  transfer(
    draft,
    put(draft, session, {
      isGathering: false,
      found: [],
      needs: [...new Set(found.toSorted(byFrom).flatMap(({ ids }) => ids))],
      haves: haves.toSorted(byFrom)
    })
  )
}

function byFrom(a: { readonly from: Bound }, b: { readonly from: Bound }): number {
  return compareBounds(a.from, b.from)
}

function compare(draft: Draft, session: Session, ranges: Uint8Array): void {
  const { peer, number } = session
  put(draft, session, { phase: 'compare', next: undefined, deadline: draft.now + LIMITS.sync.answerMs })
  draft.effects.push({ type: 'send', peer, message: { type: 'compare', session: number, ranges } })
}

function transfer(draft: Draft, session: Session): void {
  const { peer, registry, number, next } = session
  const free = session.needs.filter(id => !draft.asked.has(askedKey(registry, id)))
  if (free.length > 0) return want(draft, session, free.slice(0, LIMITS.sync.pageFacts))
  const kept = lacksMany(draft, session) ? put(draft, session, { haves: [], isBehind: true }) : session
  const push = nextPush(draft, kept)
  if (push !== undefined) {
    put(draft, push, { phase: 'load' })
    draft.effects.push({ type: 'load', peer, registry, session: number, side: 'own', ids: push.pushes })
    return
  }
  const done = put(draft, kept, { phase: 'blocked', haves: [] })
  if (session.needs.length > 0) return
  if (next === undefined) return finish(draft, done, done.isBehind ? 'behind' : 'complete')
  compare(draft, put(draft, done, { isGathering: true }), next)
}

function want(draft: Draft, session: Session, wanted: readonly FactId[]): void {
  const { peer, registry, number } = session
  for (const id of wanted) draft.asked.set(askedKey(registry, id), peer)
  put(draft, session, { phase: 'want', wanted, deadline: draft.now + LIMITS.sync.answerMs })
  draft.effects.push({ type: 'send', peer, message: { type: 'want', session: number, ids: wanted } })
}

function onFacts(draft: Draft, session: Session, facts: readonly Uint8Array[]): void {
  const { peer, registry, number, wanted } = session
  const open = new Set(wanted)
  const delivered: FactId[] = []
  try {
    for (const fact of facts) {
      const { id } = parseEnvelope(fact)
      // What nobody asked for, or the same twice: no honest program answers so.
      if (!open.delete(id)) return lied(draft, session)
      delivered.push(id)
    }
  } catch (error) {
    if (isRegistryError(error)) return lied(draft, session, 'invalid-facts')
    throw error
  }
  release(draft, registry, [...open])
  if (delivered.length === 0) return onNothing(draft, session)
  put(draft, session, { phase: 'admit', wanted: delivered })
  draft.effects.push({ type: 'admit', peer, registry, session: number, side: 'own', facts })
}

/** Ids that were named and are not delivered are passed over here, and asked of whoever else names them. */
function onNothing(draft: Draft, session: Session): void {
  const lost = new Set(session.wanted)
  const changed = put(draft, session, {
    needs: session.needs.filter(id => !lost.has(id)),
    passedOver: new Set([...session.passedOver, ...lost]),
    emptyAnswers: session.emptyAnswers + 1,
    missing: session.missing + lost.size,
    wanted: []
  })
  const { emptyAnswers, passedOver } = LIMITS.sync
  if (changed.emptyAnswers > emptyAnswers || changed.passedOver.size > passedOver)
    return finish(draft, changed, 'passed-over')
  advance(draft, changed)
}

export function onAdmitted(draft: Draft, peer: string, number: number, verdicts: readonly SyncVerdict[]): void {
  const session = find(draft, peer, number)
  if (session?.phase !== 'admit') return
  const { registry, wanted } = session
  const done = new Set(wanted)
  const refused = wanted.filter((_, index) => isRefused(verdicts[index]))
  for (const verdict of verdicts)
    if (verdict.verdict === 'reject') draft.effects.push({ type: 'blame', peer, reason: 'invalid-facts' })
  const changed = put(draft, session, {
    needs: session.needs.filter(id => !done.has(id)),
    passedOver: refused.length === 0 ? session.passedOver : new Set([...session.passedOver, ...refused]),
    accepted: session.accepted + verdicts.filter(({ verdict }) => verdict === 'accept').length,
    unsettled: session.unsettled || verdicts.some(({ verdict }) => verdict === 'pending'),
    wanted: []
  })
  forgetNeeds(draft, registry, new Set(wanted.filter((_, index) => verdicts[index]?.verdict === 'accept')))
  const current = draft.sessions.get(keyOf(peer, registry)) ?? changed
  if (verdicts.some(hasNoRoom) || current.passedOver.size > LIMITS.sync.passedOver) {
    release(draft, registry, wanted)
    return finish(draft, current, 'no-room')
  }
  release(draft, registry, wanted)
  advance(draft, current)
}

/** Would asking again only meet the same answer? What waits at the gate is there already. */
function isRefused(verdict: SyncVerdict | undefined): boolean {
  switch (verdict?.verdict) {
    case 'accept':
      return false
    case 'ignore':
      return verdict.reason !== 'seen'
    case 'pending':
    case 'reject':
    case undefined:
      return true
  }
}

/**
 * Does the peer lack more facts than are pushed? Where two crowds meet, everybody would push all of it to everybody. Only
 * the side that lacks facts knows whom it has asked for them.
 */
function lacksMany(draft: Draft, { registry, haves, pushes }: Session): boolean {
  const set = draft.sets(registry)
  const { pushFacts } = LIMITS.sync
  let count = pushes.length
  for (const { from, to, except } of haves) {
    if (set === undefined || count > pushFacts) break
    const first = set.indexOf(from)
    const items = set.items(first, Math.min(set.indexOf(to), first + pushFacts + 1 + except.size))
    count += items.filter(({ id }) => !except.has(toHex(id))).length
  }
  return count > pushFacts
}

/** The ids of the next page of what the peer lacks, or undefined when it lacks nothing more. */
function nextPush(draft: Draft, session: Session): Session | undefined {
  if (session.pushes.length > 0) return session
  const set = draft.sets(session.registry)
  let [range, ...rest] = session.haves
  while (set !== undefined && range !== undefined) {
    const from = set.indexOf(range.from)
    const to = set.indexOf(range.to)
    // What is skipped is in a message of the peer's, so the walk is as short as that.
    const items = set.items(from, Math.min(to, from + LIMITS.sync.pageFacts + range.except.size))
    const { except } = range
    const lacking = items.filter(({ id }) => !except.has(toHex(id))).slice(0, LIMITS.sync.pageFacts)
    const last = lacking.at(-1)
    if (last !== undefined) {
      const left: HaveRange = {
        from: { time: last.time, prefix: last.id },
        to: range.to,
        except: new Set([...except, toHex(last.id)])
      }
      const pushes = lacking.map(({ id }) => factIdOfDigest(id))
      return put(draft, session, { pushes, haves: [left, ...rest] })
    }
    ;[range, ...rest] = rest
  }
  return undefined
}

export function onLoaded(
  draft: Draft,
  { peer, session: number }: { readonly peer: string; readonly session: number },
  { facts, reached }: { readonly facts: readonly Uint8Array[]; readonly reached: number }
): void {
  const session = find(draft, peer, number)
  if (session?.phase !== 'load') return
  const changed = put(draft, session, { pushes: session.pushes.slice(Math.max(1, reached)) })
  if (facts.length === 0) return advance(draft, changed)
  put(draft, changed, { phase: 'push', deadline: draft.now + LIMITS.sync.answerMs })
  draft.effects.push({ type: 'send', peer, message: { type: 'push', session: number, facts } })
}

/** Sessions that waited for ids which are free now. */
export function resume(draft: Draft): void {
  for (const session of draft.sessions.values()) {
    if (session.phase === 'blocked' && draft.woken.has(session.registry)) advance(draft, session)
  }
  draft.woken.clear()
}
