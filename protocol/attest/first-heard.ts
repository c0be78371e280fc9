import { compareText } from '../bytes.ts'
import type { VerifiedFact } from '../chains.ts'
import type { FactId } from '../cid.ts'
import { LIMITS } from '../limits.ts'
import type { Role } from '../role.ts'
import type { Attestation } from './payload.ts'
import { AUDIT_TYPE } from './predicates.ts'
import { REFERENCE_TYPE } from './referred.ts'
import type { Statement } from './statement.ts'

/** An attestation that its author may say, and what he may say it by. */
export interface Heard {
  readonly fact: VerifiedFact & { readonly payload: { readonly type: 'attestation'; readonly value: Attestation } }
  readonly roles: readonly Role[]
  /** How early its author was given the first of them, in the order of the authority. */
  readonly since: number
}

/**
 * Which attestations of a digest a row holds where there are more than it has room for. A matter of the facts alone.
 *
 * Attack: a thousand statements whose ids are ground until they are lower than that of the audit which failed. So each author has his
 * own share, of which what he found to be bad is the last to go, then what he said last; and shares are taken in turns, of those who look
 * first, then of those who were named earlier: neither what somebody says nor whom he names afterwards pushes out what another said.
 */
export function firstHeard(said: readonly Heard[]): ReadonlySet<FactId> {
  const { perAuthor, perRow } = LIMITS.attestations
  if (said.length <= perAuthor) return new Set(said.map(({ fact }) => fact.id))
  const turns = new Map<FactId, number>()
  const shares = Map.groupBy(said, ({ fact }) => fact.body.author)
  for (const share of shares.values())
    for (const [turn, { fact }] of share.toSorted(lastToGo).entries()) turns.set(fact.id, turn)
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

function lastToGo(a: Heard, b: Heard): number {
  return weightOf(b) - weightOf(a) || b.fact.body.time - a.fact.body.time || compareText(a.fact.id, b.fact.id)
}

/** What is content may be a failure as well. */
function weightOf({ fact }: Heard): number {
  const { statement } = fact.payload.value
  return isFailure(statement) ? 2 : statement.predicateType === REFERENCE_TYPE ? 1 : 0
}

/** An audit that failed, as far as the statement itself says so. */
export function isFailure({ predicateType, predicate }: Statement): boolean {
  return predicateType === AUDIT_TYPE && predicate['result'] === 'fail'
}
