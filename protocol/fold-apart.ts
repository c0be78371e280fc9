import { compareText } from './bytes.ts'
import type { VerifiedFact } from './chains.ts'
import type { FactId } from './cid.ts'
import type { Principal } from './did.ts'
import { isRegistryError, RegistryError } from './errors.ts'
import type { FactType } from './fact.ts'
import { LIMITS } from './limits.ts'

/** What facts add up to, and those of them that this program cannot fold. */
export interface Apart<T> {
  readonly made: T
  /** By fact id. */
  readonly unfoldable: readonly UnfoldableFact[]
}

/** A fact that was set aside because the fold throws with it. */
export interface UnfoldableFact {
  readonly fact: FactId
  readonly type: FactType
  readonly reason: 'unfoldable'
}

/**
 * Folds, and sets aside what the fold throws with: a fault of this program that a fact finds costs that fact, and not all that is said
 * about its subject. No such fact is known.
 *
 * Invariants:
 * 1. What is set aside follows from the facts and from `before`, which must not depend on the order of arrival. So equal sets go on
 *    giving equal views, in every node that has the fault.
 * 2. Of facts that throw together only the last by `before` is blamed. Attack: somebody who finds such a fault makes another one's
 *    word, above all one that takes something away, the one that is set aside.
 * 3. What is a matter of this machine (no memory, no room on the stack) sets nothing aside and throws: another node could say otherwise.
 *
 * Bounds: who is blamed more than `perAuthor` times loses all he says about the subject. After `rounds`, or so many facts `folded` in all,
 * it throws and nothing is written. Attack: so many such facts that every quarantine and revocation would go with them, or that to find
 * them holds up everything else, each time that one comes.
 *
 * @throws RegistryError INTERNAL beyond these bounds
 */
export function foldApart<T>(
  facts: readonly VerifiedFact[],
  before: (a: VerifiedFact, b: VerifiedFact) => number,
  fold: (facts: readonly VerifiedFact[]) => T
): Apart<T> {
  const { perAuthor, rounds, folded } = LIMITS.view.unfoldable
  let left = folded
  const bounded = (some: readonly VerifiedFact[]): T => {
    left -= some.length
    return fold(some)
  }
  const first = attempt(facts, bounded)
  if (first !== undefined) return { made: first.made, unfoldable: [] }
  const blamed = new Map<Principal, number>()
  const aside: VerifiedFact[] = []
  let kept: readonly VerifiedFact[] = facts.toSorted((a, b) => before(a, b) || compareText(a.id, b.id))
  for (let round = 0; ; round++) {
    const found = attempt(kept, bounded)
    if (found !== undefined) return { made: found.made, unfoldable: aside.map(toUnfoldable).toSorted(byFact) }
    // Not even nothing can be folded: no fact is to blame.
    if (kept.length === 0) return { made: fold(kept), unfoldable: [] }
    if (round >= rounds || left <= 0) throw beyondBounds()
    const last = lastOfLeast(kept, bounded)
    const times = (blamed.get(last.body.author) ?? 0) + 1
    blamed.set(last.body.author, times)
    const isOut = (fact: VerifiedFact): boolean =>
      fact === last || (times > perAuthor && fact.body.author === last.body.author)
    aside.push(...kept.filter(isOut))
    kept = kept.filter(fact => !isOut(fact))
  }
}

const beyond = new WeakSet<Error>()

/** Whether this is what `foldApart` threw beyond its bounds: a matter of one subject, and of nothing else. */
export function isBeyondBounds(error: unknown): boolean {
  return error instanceof Error && beyond.has(error)
}

function beyondBounds(): RegistryError {
  const error = new RegistryError(
    'INTERNAL',
    'so many facts about one subject cannot be folded that nothing would be left of it',
    {
      next: 'use a newer ggen-node: this one has a fault that facts of the registry find'
    }
  )
  beyond.add(error)
  return error
}

/** The last of some first facts that throw, where those before it do not. */
function lastOfLeast(facts: readonly VerifiedFact[], fold: (facts: readonly VerifiedFact[]) => unknown): VerifiedFact {
  let whole = 0
  let broken = facts.length
  while (broken - whole > 1) {
    const middle = Math.floor((whole + broken) / 2)
    if (attempt(facts.slice(0, middle), fold) === undefined) broken = middle
    else whole = middle
  }
  const last = facts[broken - 1]
  if (last === undefined) throw new TypeError('nothing was folded')
  return last
}

function attempt<T>(
  facts: readonly VerifiedFact[],
  fold: (facts: readonly VerifiedFact[]) => T
): { readonly made: T } | undefined {
  try {
    return { made: fold(facts) }
  } catch (error) {
    if (isMatterOfFacts(error)) return undefined
    throw error
  }
}

/**
 * Whether every node with this program would throw it at these facts. A list of what is, not of what is not: stack and memory end in a
 * RangeError, a pattern without room on the stack in a SyntaxError, and what the platform throws beside these is not known.
 */
export function isMatterOfFacts(error: unknown): boolean {
  if (isRegistryError(error)) return true
  if (!(error instanceof Error) || 'code' in error) return false
  return [Error, TypeError, ReferenceError].some(kind => error.constructor === kind)
}

function toUnfoldable({ id, body }: VerifiedFact): UnfoldableFact {
  return { fact: id, type: body.type, reason: 'unfoldable' }
}

function byFact(a: UnfoldableFact, b: UnfoldableFact): number {
  return compareText(a.fact, b.fact)
}
