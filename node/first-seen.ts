import type { FactId, RegistryId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'
import { knownSince } from '../protocol/observation/age.ts'
import type { KnownSince, OwnSighting } from '../protocol/observation/age.ts'
import type { ObservationView } from '../protocol/observation/fold.ts'
import type { FactStore } from '../storage/fact-store.ts'
import type { Clock } from './runtime/clock.ts'
import type { Sources } from './sources.ts'

export interface Seeing {
  readonly clock: Pick<Clock, 'now'>
  readonly facts: Pick<FactStore, 'seenAt'>
  readonly sources: Sources
}

/**
 * When releases came here. What came with a registry that nobody here had seen before is no news of this hour:
 * everybody who follows a registry would have to wait otherwise. The first look ends when the registry was compared to the
 * end with somebody. Attack: a peer that never comes to an end, so that whatever it tells is part of the first look: that
 * lasts for an hour at most. Attack: a clock that was a year ahead when the registry came, after which all that comes in a year came before the
 * end of that hour: nothing comes before the first fact.
 */
export async function ownSightings(
  { clock, facts, sources }: Seeing,
  registry: RegistryId,
  ids: readonly FactId[]
): Promise<readonly OwnSighting[]> {
  const [genesis, ...seen] = await facts.seenAt(registry, [registry as string as FactId, ...ids])
  const looked = sources.lookedAt(registry)
  const isFirstLook = (time: number | undefined): boolean =>
    time === undefined ||
    (genesis !== undefined &&
      time >= genesis - LIMITS.clockSkewMs &&
      time <= genesis + LIMITS.policy.firstLookMs &&
      (looked === undefined || time <= looked))
  return ids.map((_, i) => {
    const time = seen[i]
    const since = time ?? looked ?? genesis ?? clock.now()
    return { time: since, basis: isFirstLook(time) ? 'first-look' : 'first-seen' }
  })
}

/** Since when releases of a package are known, by what was seen here and what others say in its registry. */
export async function firstSeen(
  seeing: Seeing,
  registry: RegistryId,
  ids: readonly FactId[],
  observations: readonly ObservationView[]
): Promise<readonly KnownSince[]> {
  const own = await ownSightings(seeing, registry, ids)
  const wanted = new Set(ids)
  const told = new Map(observations.filter(({ release }) => wanted.has(release)).map(one => [one.release, one.seen]))
  return own.map((sighting, i) => {
    const id = ids[i]
    const seen = id === undefined ? [] : (told.get(id) ?? [])
    return knownSince(
      sighting,
      seen.map(({ time }) => time)
    )
  })
}
