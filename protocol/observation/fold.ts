import type { Authority } from '../authority.ts'
import { compareText } from '../bytes.ts'
import type { VerifiedFact } from '../chains.ts'
import type { FactId } from '../cid.ts'
import type { Principal } from '../did.ts'
import { LIMITS } from '../limits.ts'
import type { PackageName } from '../package-name.ts'
import { OBSERVING_ROLES } from '../role.ts'
import { roleSince } from '../roles.ts'
import type { Observation } from './payload.ts'

export type ObservationFault = 'no-effect' | 'role-not-held' | 'unknown-authority'

/** Who says when he first saw one release. */
export interface ObservationView {
  readonly release: FactId
  /** Of each key the one time that stands, in the order of the keys. */
  readonly seen: readonly { readonly by: Principal; readonly time: number }[]
}

export type ObservationFact = VerifiedFact & {
  readonly payload: { readonly type: 'observation'; readonly value: Observation }
}

/** A release that counts, and everybody who signed it. */
export interface ObservedRelease {
  readonly fact: VerifiedFact
  readonly signers: ReadonlySet<Principal>
}

interface Voice {
  readonly by: Principal
  readonly time: number
  /** When its key was given the role, in the order of the authority. */
  readonly since: number
}

type Aside = (fact: VerifiedFact, reason: ObservationFault) => void

/**
 * Folds who says when he first saw the releases of a package. Pure; equal facts give an equal view.
 *
 * Invariants:
 * 1. A key has one voice about a release: whoever contradicts himself is taken at the latest time he ever said. Attack: a stolen
 *    key that says afterwards that it saw a release long ago.
 * 2. Nobody who signed a release has a voice about it.
 * 3. Nothing was seen before its author says that he made it. Attack: a sighting from before the release.
 */
export function foldObservations(
  name: PackageName,
  authority: Authority,
  facts: readonly ObservationFact[],
  { releases, aside }: { readonly releases: readonly ObservedRelease[]; readonly aside: Aside }
): readonly ObservationView[] {
  if (facts.length === 0) return []
  const known = new Map(releases.map(release => [release.fact.id, release]))
  const voices = new Map<FactId, Map<Principal, Voice>>()
  for (const fact of facts) {
    const since = sinceOf(name, authority, fact)
    if (typeof since === 'string') aside(fact, since)
    else if (!hear(fact, since, { known, voices })) aside(fact, 'no-effect')
  }
  return bounded(releases, voices)
}

function sinceOf(on: PackageName, authority: Authority, fact: ObservationFact): number | ObservationFault {
  const { head } = fact.payload.value
  if (!authority.order.has(head)) return 'unknown-authority'
  const since = roleSince(authority, { key: fact.body.author, on, head, roles: OBSERVING_ROLES, fact })
  return since ?? 'role-not-held'
}

interface Hearing {
  readonly known: ReadonlyMap<FactId, ObservedRelease>
  readonly voices: Map<FactId, Map<Principal, Voice>>
}

/** Whether it says anything of a release that counts here. */
function hear({ body, payload }: ObservationFact, since: number, { known, voices }: Hearing): boolean {
  const by = body.author
  let isHeard = false
  for (const { release, time: said } of payload.value.seen) {
    const about = known.get(release)
    if (about === undefined || about.signers.has(by)) continue
    isHeard = true
    const of = voices.get(release) ?? new Map<Principal, Voice>()
    voices.set(release, of)
    const before = of.get(by)
    const time = Math.max(said, about.fact.body.time, before?.time ?? 0)
    of.set(by, { by, time, since: Math.min(since, before?.since ?? since) })
  }
  return isHeard
}

/** Attack: rows without end. The bounds are over the content, so that they fall at the same place everywhere. */
function bounded(
  releases: readonly ObservedRelease[],
  voices: ReadonlyMap<FactId, ReadonlyMap<Principal, Voice>>
): readonly ObservationView[] {
  const { observers, perRow } = LIMITS.observation
  const latest = releases.toSorted((a, b) => b.fact.body.time - a.fact.body.time || compareText(a.fact.id, b.fact.id))
  const views: ObservationView[] = []
  let left: number = perRow
  for (const { fact } of latest) {
    const said = [...(voices.get(fact.id)?.values() ?? [])]
    const heard = said.toSorted((a, b) => a.since - b.since || compareText(a.by, b.by)).slice(0, observers)
    if (heard.length === 0) continue
    left -= heard.length
    if (left < 0) break
    const seen = heard.map(({ by, time }) => ({ by, time })).toSorted((a, b) => compareText(a.by, b.by))
    views.push({ release: fact.id, seen })
  }
  return views.toSorted((a, b) => compareText(a.release, b.release))
}

export function isObservation(fact: VerifiedFact): fact is ObservationFact {
  return fact.payload.type === 'observation'
}
