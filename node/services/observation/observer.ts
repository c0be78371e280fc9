import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { PackageView } from '../../../protocol/fold.ts'
import { ofType } from '../../../protocol/fold-versions.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { OwnSighting } from '../../../protocol/observation/age.ts'
import type { ObservationView } from '../../../protocol/observation/fold.ts'
import type { Sighting } from '../../../protocol/observation/payload.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { OBSERVING_ROLES } from '../../../protocol/role.ts'
import type { Version } from '../../../protocol/version.ts'
import type { AuthoredFact, Author, Signer } from '../author.ts'
import { placeOf } from '../authority/place.ts'
import type { Place, PlaceGate } from '../authority/place.ts'
import { holdingOf, signersOf } from '../authority/powers.ts'
import type { Holding } from '../authority/powers.ts'
import type { ToldRelease } from './methods.ts'

export interface ObserverComponents {
  readonly gate: PlaceGate
  readonly author: Pick<Author, 'write'>
  readonly announce: (registry: RegistryId, fact: AuthoredFact) => void
  readonly now: () => number
  /** When facts came here. */
  readonly sightings: (registry: RegistryId, facts: readonly FactId[]) => Promise<readonly OwnSighting[]>
}

/** What is to be told of one package. */
export interface ObserverOrder {
  readonly registry: RegistryId
  readonly name: PackageName
  readonly signer: Signer
  /** Only these versions. */
  readonly isMeant?: (version: Version) => boolean
  /** Only what came here since then. */
  readonly since?: number
}

export interface Told {
  /** Whether the key may say so. Nothing is signed otherwise. */
  readonly holding: Holding
  readonly facts: readonly FactId[]
  readonly releases: readonly ToldRelease[]
}

/**
 * Tells when releases of a package came here: all that is to be told of it at once, so that many releases are one fact. Told is
 * only what was seen to come: of what was there before, nobody here knows more than that it is no younger.
 */
export async function tellOf(components: ObserverComponents, order: ObserverOrder): Promise<Told> {
  const { gate, author, announce, now } = components
  const { registry, name, signer } = order
  const place = await placeOf(gate, registry, name)
  const holding = holdingOf(place, { key: signer.principal, roles: OBSERVING_ROLES, on: name }, now())
  if (holding !== 'held') return { holding, facts: [], releases: [] }
  const releases = await looked(components, order, place)
  // A clock that was set back: what it says of that time is not told, and is when it has come.
  const told = releases.filter(({ state, time }) => state === 'told' && time <= now())
  const facts: FactId[] = []
  const sorted = told.map(({ release, time }): Sighting => ({ release, time })).toSorted(byRelease)
  for (let from = 0; from < sorted.length; from += LIMITS.observation.releases) {
    const seen = sorted.slice(from, from + LIMITS.observation.releases)
    const value = { head: place.authority.head, seen }
    const fact = await author.write(registry, name, { type: 'observation', value }, { signer })
    announce(registry, fact)
    facts.push(fact.id)
  }
  const isLate = new Set(told)
  return { holding, facts, releases: releases.filter(one => one.state !== 'told' || isLate.has(one)) }
}

function byRelease(a: Sighting, b: Sighting): number {
  return a.release < b.release ? -1 : 1
}

async function looked(
  { sightings }: Pick<ObserverComponents, 'sightings'>,
  { registry, name, signer, isMeant = () => true, since = 0 }: ObserverOrder,
  place: Place
): Promise<readonly ToldRelease[]> {
  const meant = countedIn(place.view).filter(({ version }) => isMeant(version))
  const seen = await sightings(
    registry,
    meant.map(({ fact }) => fact)
  )
  const known = knowing(place, signer.principal)
  return meant.flatMap(({ fact, version }, i): readonly ToldRelease[] => {
    const own = seen[i]
    if (own === undefined || own.time < since) return []
    const state = known(fact) ?? (own.basis === 'first-look' ? 'first-look' : 'told')
    return [{ name, version, release: fact, time: own.time, state }]
  })
}

function countedIn(view: PackageView | undefined): readonly { readonly fact: FactId; readonly version: Version }[] {
  const versions = view?.versions ?? []
  return versions.flatMap(({ version, contents }) => contents.map(({ fact }) => ({ fact, version })))
}

/** Why nothing is to be told of a release; undefined when something is. */
function knowing({ facts, view }: Place, key: Principal): (release: FactId) => 'enough' | 'own' | 'same' | undefined {
  const said = ofType(facts, 'observation').filter(({ body }) => body.author === key)
  const same = new Set(said.flatMap(({ payload }) => payload.value.seen.map(({ release }) => release)))
  const releases = new Map<FactId, VerifiedFact>(ofType(facts, 'release').map(fact => [fact.id, fact]))
  const enough = new Set((view?.observations ?? []).filter(isEnough).map(({ release }) => release))
  return id => {
    const release = releases.get(id)
    if (release !== undefined && signersOf(facts, release).has(key)) return 'own'
    if (same.has(id)) return 'same'
    return enough.has(id) ? 'enough' : undefined
  }
}

function isEnough({ seen }: ObservationView): boolean {
  return seen.length >= LIMITS.observation.observers
}
