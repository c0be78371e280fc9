import type { Ecosystem } from '../package-name.ts'
import { orderingOf } from '../version.ts'
import type { Version } from '../version.ts'
import type { OsvEvent, OsvRange } from './osv.ts'
import { comparePlace, placeIn, placeOf } from './place.ts'
import type { Place } from './place.ts'

/** What a record says of one package. */
export interface AffectedVersions {
  readonly versions: readonly string[]
  readonly ranges: readonly OsvRange[]
}

/**
 * Whether a version is affected: the evaluation algorithm of the OSV schema. It is named, or one of the ranges holds it.
 * Ranges of commits hold nothing: no release here is known by its commit. Nor does a range with a version that the ecosystem
 * here cannot order (`unordered` tells of those).
 */
export function isAffected(version: Version, { versions, ranges }: AffectedVersions, ecosystem: Ecosystem): boolean {
  const at = placeOf(version, ecosystem)
  const isIt = (one: string): boolean => {
    const named = placeIn(one, ecosystem)
    return one === version || (named !== undefined && comparePlace(named, at) === 0)
  }
  return versions.some(isIt) || ranges.some(range => isInRange(at, range, ecosystem))
}

/** Ranges of versions that nobody here can order: they are shown and match nothing. */
export function unordered({ ranges }: AffectedVersions, ecosystem: Ecosystem): readonly OsvRange[] {
  return ranges.filter(range => range.type !== 'GIT' && orderedEvents(range, ecosystem) === undefined)
}

/** The lowest version that is above this one, is said to be fixed, and is not affected itself; undefined when nobody knows any. */
export function lowestFixed(version: Version, affected: AffectedVersions, ecosystem: Ecosystem): Version | undefined {
  const { compare } = orderingOf(ecosystem)
  const fixed = affected.ranges
    .filter(({ type }) => type !== 'GIT')
    .flatMap(({ events }) => events)
    // Where none of ours is, as behind 1.0.0 and before all that comes next, no version can be named.
    .flatMap(([kind, text]) => {
      const place = kind === 'fixed' ? placeIn(text, ecosystem) : undefined
      return place?.behind.every(far => far === 0) === true ? place.at : []
    })
  return fixed
    .filter(at => compare(at, version) > 0)
    .toSorted(compare)
    .find(at => !isAffected(at, affected, ecosystem))
}

/** `0` is before every version, `*` behind every one. */
type End = Place | 'first' | 'last'

interface Event {
  readonly kind: OsvEvent[0]
  readonly at: End
}

function isInRange(version: Place, range: OsvRange, ecosystem: Ecosystem): boolean {
  if (range.type === 'GIT') return false
  const events = orderedEvents(range, ecosystem)
  if (events === undefined) return false
  const limits = events.filter(({ kind }) => kind === 'limit')
  if (limits.length > 0 && !limits.some(({ at }) => compareEnds(version, at) < 0)) return false
  let affected = false
  for (const { kind, at } of events) {
    const order = compareEnds(version, at)
    if (kind === 'introduced' && order >= 0) affected = true
    else if (kind === 'fixed' && order >= 0) affected = false
    else if (kind === 'last_affected' && order > 0) affected = false
  }
  return affected
}

/** In the order of their versions. */
function orderedEvents({ events }: OsvRange, ecosystem: Ecosystem): readonly Event[] | undefined {
  const placed: Event[] = []
  for (const [kind, text] of events) {
    const at = endOf(kind, text, ecosystem)
    if (at === undefined) return undefined
    placed.push({ kind, at })
  }
  return placed.toSorted((a, b) => compareEnds(a.at, b.at) || TURNS[a.kind] - TURNS[b.kind])
}

/** At one version: a record that is fixed where it is introduced contradicts itself, and warns once too often. */
const TURNS: Readonly<Record<OsvEvent[0], number>> = { fixed: 0, introduced: 1, last_affected: 2, limit: 3 }

function endOf(kind: OsvEvent[0], text: string, ecosystem: Ecosystem): End | undefined {
  if (kind === 'introduced' && text === '0') return 'first'
  if (kind === 'limit' && text === '*') return 'last'
  return placeIn(text, ecosystem)
}

function compareEnds(a: End, b: End): number {
  if (a === b) return 0
  if (a === 'first' || b === 'last') return -1
  if (a === 'last' || b === 'first') return 1
  return comparePlace(a, b)
}
