import { factIdFromLink, toLink } from '../cid.ts'
import type { FactId } from '../cid.ts'
import { recordOf } from '../fact.ts'
import { LIMITS } from '../limits.ts'
import { malformed, parseCount } from '../payload-shape.ts'

/** What a fact of type `observation` holds: when its author first saw releases of the package that is the subject. */
export interface Observation {
  /** The head of the registry's authority that the author saw. */
  readonly head: FactId
  /** In the order of their ids, each release once. */
  readonly seen: readonly Sighting[]
}

export interface Sighting {
  /** The fact of the release: a sighting binds its content, version, author and position with it. */
  readonly release: FactId
  /** Milliseconds since 1970 by the clock of whoever saw it. */
  readonly time: number
}

export function observationRecord({ head, seen }: Observation): unknown {
  return { head: toLink(head), seen: seen.map(({ release, time }) => ({ release: toLink(release), time })) }
}

/** `saidAt`: the time of the fact itself. @throws RegistryError MALFORMED */
export function parseObservation(raw: unknown, saidAt: number): Observation {
  const { head, seen: list } = recordOf(raw, ['head', 'seen'])
  if (!Array.isArray(list) || list.length === 0 || list.length > LIMITS.observation.releases) throw malformed('seen')
  const seen = list.map((entry): Sighting => {
    const { release, time } = recordOf(entry, ['release', 'time'])
    // Nobody has seen what is to come: by his own words a sighting lies before he tells of it.
    return { release: factIdFromLink(release), time: parseCount(time, 0, saidAt) }
  })
  if (!seen.every(({ release }, i) => i === 0 || (seen[i - 1]?.release ?? '') < release))
    throw malformed('seen: sorted and distinct')
  return { head: factIdFromLink(head), seen }
}
