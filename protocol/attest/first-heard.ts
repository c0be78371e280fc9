import { compareText } from '../bytes.ts'
import type { VerifiedFact } from '../chains.ts'
import type { FactId } from '../cid.ts'
import { isRegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { Role } from '../role.ts'
import type { Attestation } from './payload.ts'
import { AUDIT_TYPE, summarise } from './predicates.ts'
import { REFERENCE_TYPE, referredIn } from './referred.ts'
import type { Statement } from './statement.ts'
import type { Summary } from './summary.ts'

type Attested = VerifiedFact & { readonly payload: { readonly type: 'attestation'; readonly value: Attestation } }

/** An attestation that its author may say, and what he may say it by. */
export interface Heard {
  readonly fact: Attested
  readonly roles: readonly Role[]
  /** How early its author was given the first of them, in the order of the authority. */
  readonly since: number
}

/**
 * Which attestations of a digest a row holds where there are more than it has room for. A matter of the facts alone.
 *
 * Attack: a thousand statements whose ids are ground until they are lower than that of the audit which failed. So each author has his
 * own share, of which what he found to be bad is the last to go; and shares are taken in turns, of those who look first, then of those who
 * were named earlier: neither what somebody says nor whom he names afterwards pushes out what another said.
 *
 * `seen`: of whoever reads about one release, what no row can know. What cannot be meant goes first.
 */
export function firstHeard(said: readonly Heard[], seen: Seen = UNSEEN): ReadonlySet<FactId> {
  const { perAuthor, perRow } = LIMITS.attestations
  if (said.length <= perAuthor) return new Set(said.map(({ fact }) => fact.id))
  const turns = new Map<FactId, number>()
  const shares = Map.groupBy(said, ({ fact }) => fact.body.author)
  for (const share of shares.values())
    for (const [turn, { fact }] of lastToGo(share, seen).entries()) turns.set(fact.id, turn)
  const turnOf = ({ fact }: Heard): number => turns.get(fact.id) ?? 0
  const sorted = said
    .filter(one => turnOf(one) < perAuthor)
    .toSorted(
      (a, b) =>
        classOf(a) - classOf(b) || turnOf(a) - turnOf(b) || a.since - b.since || compareText(a.fact.id, b.fact.id)
    )
  return new Set(sorted.slice(0, perRow).map(({ fact }) => fact.id))
}

/** Those who look, those who publish and keep, those who were let in. */
const CLASSES: readonly (readonly Role[])[] = [
  ['owner', 'curator', 'auditor'],
  ['maintainer', 'publisher', 'mirror']
]

function classOf({ roles }: Heard): number {
  const found = CLASSES.findIndex(some => roles.some(role => some.includes(role)))
  return found < 0 ? CLASSES.length : found
}

/**
 * What one author said, that which is kept first in front.
 *
 * Attack: a thief of an auditor's key who says so much that what the auditor found goes. So what its author found and has not taken back
 * comes first: a thief who says that it is bad as well hides nothing by it, nor by taking that back; then the earliest, because he comes
 * later, or says falsely when. Of all that is no finding the latest comes first.
 */
function lastToGo(share: readonly Heard[], { isMeant, contentSays }: Seen): readonly Heard[] {
  const takenBack = takenBackIn(share, isMeant)
  const weights = new Map(
    share.map(one => {
      const weight = takenBack.has(one.fact.id) ? 0 : weightOf(one.fact, contentSays)
      return [one, isMeant(one.fact) ? weight : -1]
    })
  )
  return share.toSorted((a, b) => {
    const weight = weights.get(a) ?? 0
    const later = b.fact.body.time - a.fact.body.time
    return (weights.get(b) ?? 0) - weight || (weight > 0 ? -later : later) || compareText(a.fact.id, b.fact.id)
  })
}

/** All that lies, in its chain, before an audit that passed. */
function takenBackIn(share: readonly Heard[], isMeant: IsMeant): ReadonlySet<FactId> {
  const before = new Map(share.map(({ fact }) => [fact.id, fact.body.prev]))
  const found = new Set<FactId>()
  for (const { fact } of share) {
    if (!isOwn(fact) || auditIn(fact)?.result !== 'pass' || !isMeant(fact)) continue
    // What lies before one that was found was found with it.
    for (let at = fact.body.prev; at !== null && !found.has(at); at = before.get(at) ?? null) found.add(at)
  }
  return found
}

export type IsMeant = (fact: Attested) => boolean

/** What an audit that is content of its own says. */
export type ContentSays = 'fail' | 'other' | 'unread'

/** What a reader knows beside the facts. */
export interface Seen {
  /** Whether a fact can be about the release now. */
  readonly isMeant: IsMeant
  readonly contentSays: (fact: Attested) => ContentSays
}

const UNSEEN: Seen = { isMeant: () => true, contentSays: () => 'unread' }

/** Whether it speaks against what it is about, or may: what is content is read elsewhere. */
export function isFinding(fact: Attested): boolean {
  return weightOf(fact) > 0
}

/** What its author found himself, what others did that he shows, what he says in content, and the rest. */
function weightOf(fact: Attested, contentSays: Seen['contentSays'] = UNSEEN.contentSays): number {
  const found = isOwn(fact) ? 3 : 2
  if (auditIn(fact)?.result === 'fail') return found
  if (!isAuditElsewhere(fact.payload.value.statement)) return 0
  const says = contentSays(fact)
  return says === 'unread' ? 1 : says === 'fail' ? found : 0
}

function isOwn({ body, payload }: Attested): boolean {
  return payload.value.keys.includes(body.author)
}

/** Attack: what is called an audit that failed, and is none for whoever reads it. */
function auditIn({ payload }: Attested): Extract<Summary, { readonly type: 'audit' }> | undefined {
  const { predicateType, predicate } = payload.value.statement
  if (predicateType !== AUDIT_TYPE) return undefined
  const summary = ifRead(() => summarise(predicateType, predicate))
  return summary?.type === 'audit' ? summary : undefined
}

function isAuditElsewhere(statement: Statement): boolean {
  return statement.predicateType === REFERENCE_TYPE && ifRead(() => referredIn(statement))?.predicateType === AUDIT_TYPE
}

function ifRead<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (isRegistryError(error)) return undefined
    throw error
  }
}
