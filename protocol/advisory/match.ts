import semver from 'semver'
import { LIMITS } from '../limits.ts'
import type { Ecosystem } from '../package-name.ts'
import { orderingOf } from '../version.ts'
import type { Version } from '../version.ts'
import type { OsvEvent, OsvRange } from './osv.ts'

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
  if (versions.some(one => one === version || readVersion(one, ecosystem) === version)) return true
  return ranges.some(range => isInRange(version, range, ecosystem))
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
    .flatMap(([kind, at]) => (kind === 'fixed' ? (readVersion(at, ecosystem) ?? []) : []))
  return fixed
    .filter(at => compare(at, version) > 0)
    .toSorted(compare)
    .find(at => !isAffected(at, affected, ecosystem))
}

/** `0` is before every version, `*` behind every one. */
type Place = Version | 'first' | 'last'

interface Event {
  readonly kind: OsvEvent[0]
  readonly at: Place
}

function isInRange(version: Version, range: OsvRange, ecosystem: Ecosystem): boolean {
  if (range.type === 'GIT') return false
  const events = orderedEvents(range, ecosystem)
  if (events === undefined) return false
  const limits = events.filter(({ kind }) => kind === 'limit')
  if (limits.length > 0 && !limits.some(({ at }) => comparePlaces(version, at, ecosystem) < 0)) return false
  let affected = false
  for (const { kind, at } of events) {
    const order = comparePlaces(version, at, ecosystem)
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
    const at = placeOf(kind, text, ecosystem)
    if (at === undefined) return undefined
    placed.push({ kind, at })
  }
  return placed.toSorted((a, b) => comparePlaces(a.at, b.at, ecosystem) || TURNS[a.kind] - TURNS[b.kind])
}

/** At one version: a record that is fixed where it is introduced contradicts itself, and warns once too often. */
const TURNS: Readonly<Record<OsvEvent[0], number>> = { fixed: 0, introduced: 1, last_affected: 2, limit: 3 }

function placeOf(kind: OsvEvent[0], text: string, ecosystem: Ecosystem): Place | undefined {
  if (kind === 'introduced' && text === '0') return 'first'
  if (kind === 'limit' && text === '*') return 'last'
  return readVersion(text, ecosystem)
}

function comparePlaces(a: Place, b: Place, ecosystem: Ecosystem): number {
  if (a === b) return 0
  if (a === 'first' || b === 'last') return -1
  if (a === 'last' || b === 'first') return 1
  return orderingOf(ecosystem).compare(a, b)
}

/**
 * A version as somebody outside wrote it, in our spelling: without build metadata, which orders nothing, and of Go without
 * the `v`. Undefined for what the ordering does not know: `1.0`, `2024a`.
 */
export function readVersion(text: string, ecosystem: Ecosystem): Version | undefined {
  if (text.length > LIMITS.names.versionChars) return undefined
  const bare = ecosystem === 'go' ? text.replace(/^v/, '') : text
  const parsed = /^\d/.test(bare) ? semver.parse(bare) : null
  return parsed === null ? undefined : (parsed.version as Version)
}
