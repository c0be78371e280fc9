import type { Ecosystem } from '../package-name.ts'
import { orderingOf } from '../version.ts'
import type { Version } from '../version.ts'
import type { OsvEvent, OsvRange } from './osv.ts'
import { comparePlace, ORDERS, placesIn, placesOf } from './place.ts'
import type { Order, Places } from './place.ts'

/** What a record says of one package. */
export interface AffectedVersions {
  readonly versions: readonly string[]
  readonly ranges: readonly OsvRange[]
}

/**
 * Whether a version is affected: the evaluation algorithm of the OSV schema. It is named, or one of the ranges holds it, in the order
 * of its ecosystem or in that of semver: a warning too many is read, one that is missing is not.
 * Ranges of commits hold nothing: no release here is known by its commit.
 */
export function isAffected(version: Version, { versions, ranges }: AffectedVersions, ecosystem: Ecosystem): boolean {
  const at = placesOf(version, ecosystem)
  const isIt = (one: string): boolean => {
    if (one === version) return true
    // Ours have nothing behind a `+`, so what is named with it is the one without it.
    const named = placesIn(one.replace(/\+.*$/s, ''), ecosystem)
    return named !== undefined && isSame(named, at)
  }
  return (
    versions.some(isIt) ||
    ranges.some(range => range.type !== 'GIT' && ORDERS.some(order => isInRange(at, { range, ecosystem, order })))
  )
}

/** Ranges with a version that nobody here can order: where they end nobody knows, so they hold what they might hold. */
export function unordered({ ranges }: AffectedVersions, ecosystem: Ecosystem): readonly OsvRange[] {
  return ranges.filter(
    ({ type, events }) => type !== 'GIT' && events.some(([kind, text]) => endOf(kind, text, ecosystem) === undefined)
  )
}

/** The lowest version that is above this one, is said to be fixed, and is not affected itself; undefined when nobody knows any. */
export function lowestFixed(version: Version, affected: AffectedVersions, ecosystem: Ecosystem): Version | undefined {
  const { compare } = orderingOf(ecosystem)
  const fixed = affected.ranges
    .filter(({ type }) => type !== 'GIT')
    .flatMap(({ events }) => events)
    .flatMap(([kind, text]) => {
      const places = kind === 'fixed' ? placesIn(text, ecosystem) : undefined
      return places === undefined ? [] : ORDERS.map(order => places[order])
    })
    // Where none of ours is, as behind 1.0.0 and before all that comes next, no version can be named.
    .flatMap(({ at, behind }) => (behind.every(far => far === 0) ? at : []))
  return fixed
    .filter(at => compare(at, version) > 0)
    .toSorted(compare)
    .find(at => !isAffected(at, affected, ecosystem))
}

/** `0` is before every version, `*` behind every one. */
type End = Places | 'first' | 'last'

interface Event {
  readonly kind: OsvEvent[0]
  readonly at: End
}

interface Within {
  readonly range: OsvRange
  readonly ecosystem: Ecosystem
  readonly order: Order
}

function isInRange(version: Places, within: Within): boolean {
  const events = orderedEvents(within)
  const compare = (at: End): number =>
    typeof at === 'object' && isSame(version, at) ? 0 : compareEnds(version, at, within.order)
  const limits = events.filter(({ kind }) => kind === 'limit')
  if (limits.length > 0 && !limits.some(({ at }) => compare(at) < 0)) return false
  let affected = false
  for (const { kind, at } of events) {
    const order = compare(at)
    if (kind === 'introduced' && order >= 0) affected = true
    else if (kind === 'fixed' && order >= 0) affected = false
    else if (kind === 'last_affected' && order > 0) affected = false
  }
  return affected
}

/**
 * In the order of their versions. An end that can't be read is none, so the range goes on to the next one. Where it begins at what can't
 * be read it begins before everything, and goes on to the last of its ends.
 */
function orderedEvents({ range, ecosystem, order }: Within): readonly Event[] {
  const known: Event[] = []
  const lost = new Set<OsvEvent[0]>()
  for (const [kind, text] of range.events) {
    const at = endOf(kind, text, ecosystem) ?? (kind === 'limit' ? 'last' : undefined)
    if (at === undefined) lost.add(kind)
    else known.push({ kind, at })
  }
  const events = known.toSorted((a, b) => compareEnds(a.at, b.at, order) || TURNS[a.kind] - TURNS[b.kind])
  if (!lost.has('introduced')) return events
  const ends = lost.size > 1 ? [] : events.filter(({ kind }) => kind === 'fixed' || kind === 'last_affected').slice(-1)
  return [{ kind: 'introduced', at: 'first' }, ...events.filter(({ kind }) => kind === 'limit'), ...ends]
}

/** At one version: a record that is fixed where it is introduced contradicts itself, and warns once too often. */
const TURNS: Readonly<Record<OsvEvent[0], number>> = { fixed: 0, introduced: 1, last_affected: 2, limit: 3 }

function endOf(kind: OsvEvent[0], text: string, ecosystem: Ecosystem): End | undefined {
  if (kind === 'introduced' && text === '0') return 'first'
  if (kind === 'limit' && text === '*') return 'last'
  return placesIn(text, ecosystem)
}

function compareEnds(a: End, b: End, order: Order): number {
  if (a === b) return 0
  if (a === 'first' || b === 'last') return -1
  if (a === 'last' || b === 'first') return 1
  return comparePlace(a[order], b[order])
}

/** One version in two spellings, in whichever order: `1.0.0-m.1` and `1.0.0-M1` of Maven. */
function isSame(a: Places, b: Places): boolean {
  return ORDERS.some(order => comparePlace(a[order], b[order]) === 0)
}
