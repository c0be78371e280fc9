import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import type { Scope } from '../../../protocol/role.ts'
import { fits, positionsIn } from './cut.ts'
import type { Position } from './cut.ts'
import { placeOf, setAsideIn, withFacts } from './place.ts'
import type { Place, PlaceGate } from './place.ts'

/** What finding out what stays of a key needs. */
export interface Recogniser {
  readonly gate: PlaceGate
  /** All facts of an author that are known here, those outside the set too. */
  readonly factsBy: (registry: RegistryId, author: Principal) => Promise<readonly VerifiedFact[]>
}

interface Asked {
  readonly key: Principal
  readonly scope: Scope
  /** Recognises only what `keep` names. */
  readonly isCompromised: boolean
  readonly keep: readonly FactId[]
}

/**
 * Where a key stays recognised once its roles are revoked: at all that is known of it, or at what a person vouches for.
 *
 * Attack: a named key's facts come in whatever they are worth, so a member who is to be put out signs about thousands of
 * names until no revocation can list them. Where one can't, only what counts is recognised; nobody misses the rest.
 * @throws RegistryError USAGE when `keep` names no fact of the key
 */
export async function recognised(
  { gate, factsBy }: Recogniser,
  { registry, subject }: Pick<Place, 'registry' | 'subject'>,
  { key, scope, isCompromised, keep }: Asked
): Promise<readonly Position[]> {
  const known = await factsBy(registry, key)
  if (isCompromised) return positionsIn(vouchedFor(known, key, keep), scope, subject)
  const all = positionsIn(known, scope, subject)
  if (fits(all)) return all
  const counting: Position[] = []
  for (const about of new Set(all.map(position => position.subject))) {
    const place = await placeOf(gate, registry, about)
    counting.push(...countingIn(place, key))
  }
  return counting
}

function vouchedFor(known: readonly VerifiedFact[], key: Principal, keep: readonly FactId[]): readonly VerifiedFact[] {
  const kept = known.filter(({ id }) => keep.includes(id))
  const unknown = keep.find(id => !kept.some(fact => fact.id === id))
  if (unknown === undefined) return kept
  throw new RegistryError('USAGE', `${key} has signed no fact ${unknown} that is known here`, {
    next: 'name facts of that key: ggen-node show NAME --json has them'
  })
}

/** Facts of a key about one subject that count. */
function countingIn(whole: Place, key: Principal): readonly Position[] {
  let place = whole
  // Ends: each turn leaves facts out. A fold names some of those that do not count, the lowest ids, and no more.
  for (;;) {
    const aside = asideIn(place)
    const rest = place.facts.filter(({ id, body }) => body.author !== key || !aside.has(id))
    if (rest.length === place.facts.length) break
    place = withFacts(place, rest)
  }
  return place.facts.map(({ body }) => body).filter(({ author, registry }) => author === key && registry !== null)
}

function asideIn(place: Place): ReadonlySet<FactId> {
  return new Set(setAsideIn(place).map(({ fact }) => fact))
}
