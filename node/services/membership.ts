import { foldAuthority } from '../../protocol/authority.ts'
import type { Authority } from '../../protocol/authority.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { Subject } from '../../protocol/fact.ts'

/** What is known about one subject: the part that belongs to the set, and what is kept aside. */
export interface Known {
  readonly set: readonly VerifiedFact[]
  readonly cut: readonly VerifiedFact[]
}

/** Facts that change sides, by id. */
export interface Moves {
  readonly leave: readonly FactId[]
  readonly back: readonly FactId[]
}

/**
 * The part of what is known about a subject that belongs to the set: the author is named, no revocation cuts it, and its
 * predecessor belongs to the set too. Depends on the facts alone, so any order of arrival ends in the same set.
 */
export function split(
  facts: readonly VerifiedFact[],
  authority: Authority | undefined,
  isNamed: (key: Principal) => boolean = () => true
): Known {
  const inside = new Set<FactId>()
  const set: VerifiedFact[] = []
  const cut: VerifiedFact[] = []
  // By position, so that a predecessor is decided before what follows it.
  for (const fact of facts.toSorted((a, b) => a.body.seq - b.body.seq)) {
    const { author, prev, registry } = fact.body
    const isLinked = prev === null || inside.has(prev)
    if (registry !== null && !(isLinked && isNamed(author) && authority?.isCut(fact) !== true)) {
      cut.push(fact)
      continue
    }
    inside.add(fact.id)
    set.push(fact)
  }
  return { set, cut }
}

/**
 * The authority of a registry, and the part of its own facts that belongs to the set.
 *
 * What is outside the set has no say, so the fold over everything known decides what the fold over the set decides. The
 * first is what counts here: who is named may have been told by an older authority, and names are counted through only
 * after this one. The second is what the view may show.
 */
export function foldRegistry(
  registry: RegistryId,
  facts: readonly VerifiedFact[],
  isNamed?: (key: Principal) => boolean
): Known & { readonly authority: Authority | undefined; readonly shown: Authority | undefined } {
  const authority = foldAuthority(registry, facts)
  const { set, cut } = split(facts, authority, isNamed)
  if (cut.length === 0) return { set, cut, authority, shown: authority }
  const shown = foldAuthority(registry, set)
  if (isAsideAlike(set, authority, shown)) return { set, cut, authority, shown }
  // What cannot be folded may have been found among facts outside the set, of which each node has others. Then the set decides alone.
  const again = split(facts, shown, isNamed)
  const isIn = new Set(set.map(({ id }) => id))
  if (again.set.length === set.length && again.set.every(({ id }) => isIn.has(id)))
    return { set, cut, authority: shown, shown }
  throw new RegistryError(
    'INTERNAL',
    'what cannot be folded decides who may do what, and each node would say otherwise',
    {
      next: 'use a newer ggen-node: this one has a fault that a fact of the registry finds'
    }
  )
}

/** Whether of the set the same was set aside because it cannot be folded, with what is outside it and without. */
function isAsideAlike(set: readonly VerifiedFact[], all: Authority | undefined, shown: Authority | undefined): boolean {
  const [one, other] = [all, shown].map(authority => new Set(authority?.unfoldable ?? []))
  return set.every(({ id }) => one?.has(id) === other?.has(id))
}

/** What changes sides when `before` becomes `after`. Facts that are in neither are new. */
export function movesBetween(before: Known, after: Known): Moves {
  const were = new Set(before.set.map(({ id }) => id))
  const wereCut = new Set(before.cut.map(({ id }) => id))
  return {
    leave: after.cut.filter(({ id }) => were.has(id)).map(({ id }) => id),
    back: after.set.filter(({ id }) => wereCut.has(id)).map(({ id }) => id)
  }
}

/** What the closure of names reads. */
export interface NameReader {
  /** What an author's facts name, in the set or not. */
  namesBy(
    author: Principal
  ): Promise<readonly { readonly id: FactId; readonly subject: Subject; readonly keys: readonly Principal[] }[]>
  known(subject: Subject): Promise<Known>
}

/**
 * Every key that facts of the set name, beginning with the genesis. Attack: a key that was revoked names another one, and
 * that one names the first again. Counting who is named how often would keep both; following the names from the genesis
 * on does not.
 */
export async function namedFrom(authority: Authority, reader: NameReader): Promise<ReadonlySet<Principal>> {
  const { genesis, revokedKeys } = authority
  const named = new Set([...genesis.roots, genesis.recovery])
  const inSet = async (subject: Subject): Promise<ReadonlySet<FactId>> => {
    const { set, cut } = await reader.known(subject)
    return new Set(split([...set, ...cut], authority).set.map(({ id }) => id))
  }
  for (const author of named) {
    const said = await reader.namesBy(author)
    // Only what a revoked key said can be cut: of all others nothing is read.
    if (!revokedKeys.has(author)) {
      for (const { keys } of said) for (const key of keys) named.add(key)
      continue
    }
    // Attack: ten thousand grants about one subject, which must not be read as often.
    for (const [subject, about] of Map.groupBy(said, fact => fact.subject)) {
      const inside = await inSet(subject)
      for (const { id, keys } of about) if (inside.has(id)) for (const key of keys) named.add(key)
    }
  }
  return named
}
