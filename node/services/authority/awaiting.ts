import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { Subject } from '../../../protocol/fact.ts'
import { placeOf } from './place.ts'
import type { PlaceGate } from './place.ts'
import { standingOf } from './powers.ts'

/** A fact that does not count before more owners have signed it. */
export interface Awaiting {
  readonly fact: FactId
  readonly needed: number
  readonly missing: number
  /** Who could sign. */
  readonly open: readonly Principal[]
}

/** The first of several facts about one subject that waits for signatures; null when none does. */
export async function awaitedOf(
  gate: PlaceGate,
  registry: RegistryId,
  { subject, ids }: { readonly subject: Subject; readonly ids: readonly FactId[] }
): Promise<Awaiting | null> {
  const place = await placeOf(gate, registry, subject)
  for (const id of ids) {
    const fact = place.facts.find(known => known.id === id)
    if (fact === undefined) continue
    const { counts, needed, missing, open } = standingOf(place, fact)
    if (!counts && missing > 0) return { fact: id, needed, missing, open }
  }
  return null
}
