import type { AdvisoryFault } from './advisory/fold.ts'
import type { Authority } from './authority.ts'
import type { Signature } from './authority-court.ts'
import type { ChangeFault } from './authority-fold.ts'
import { compareText } from './bytes.ts'
import type { Chains, VerifiedFact } from './chains.ts'
import type { FactId } from './cid.ts'
import { ofType } from './fold-versions.ts'
import type { QuarantineView, Typed } from './fold-versions.ts'
import { LIMITS } from './limits.ts'
import type { ObservationFault } from './observation/fold.ts'
import type { PackageName } from './package-name.ts'
import { DELEGATED_ROLES } from './role.ts'
import type { Role } from './role.ts'
import { ownersAmong, roleSince, thresholdAt } from './roles.ts'
import type { Roles } from './roles.ts'
import type { Version } from './version.ts'

/** Why a fact about a package that is in the set does not count. */
export type SetAsideReason =
  | AdvisoryFault
  | ChangeFault
  | ObservationFault
  | 'claim-not-counted'
  | 'name-taken'
  | 'no-effect'
  | 'too-many-chains'
  | 'too-many-releases'
  | 'unfoldable'
  | 'unknown-quarantine'
  | 'unknown-yank'

export type Aside = (fact: VerifiedFact, reason: SetAsideReason) => void

/** What the fold of one package has at hand. */
export interface Context {
  readonly name: PackageName
  readonly authority: Authority
  readonly chains: Chains
  readonly within: readonly VerifiedFact[]
  readonly signatures: (fact: VerifiedFact) => readonly Signature[]
  readonly aside: Aside
}

interface Published {
  readonly releases: readonly Typed<'release'>[]
  readonly yanks: readonly Typed<'yank'>[]
  /** Everything that counts, and so what a cosignature may be under. */
  readonly targets: readonly FactId[]
}

/** Releases, and which of them are yanked: a yank stands until one of those who may publish takes it back. */
export function countPublished(context: Context, roles: Roles | undefined): Published {
  const { within, aside } = context
  const mayPublish = (fact: Typed<'release' | 'yank' | 'unyank'>): boolean => {
    const { reason } = standingOf(context, roles, fact, { package: DELEGATED_ROLES, registry: DELEGATED_ROLES })
    if (reason !== undefined) aside(fact, reason)
    return reason === undefined
  }
  const releases = ofType(within, 'release').filter(mayPublish)
  const yanks = ofType(within, 'yank').filter(mayPublish)
  const unyanks = ofType(within, 'unyank').filter(mayPublish)
  const takenBack = new Set(unyanks.flatMap(fact => fact.payload.value.yanks))
  const yanked = new Set(yanks.map(({ id }) => id))
  for (const fact of unyanks) {
    const known = fact.payload.value.yanks.some(id => yanked.has(id))
    if (!known) aside(fact, 'unknown-yank')
  }
  return {
    releases,
    yanks: yanks.filter(yank => !takenBack.has(yank.id)),
    targets: [...releases, ...yanks, ...unyanks].map(({ id }) => id)
  }
}

type Level = QuarantineView['level']

/** Who stops and lets go alone; owners do by the threshold of their number. */
const STOPPING_ROLES: Readonly<Record<Level, readonly Role[]>> = {
  package: ['maintainer'],
  registry: ['maintainer', 'curator']
}

interface Stopped {
  readonly standing: ReadonlyMap<Version, readonly QuarantineView[]>
  readonly targets: readonly FactId[]
}

/**
 * Which versions are stopped. Attack: whoever took a package over lets go what the registry's curators have stopped: its own
 * people lift what they have stopped themselves, the registry's lift either.
 */
export function countQuarantines(context: Context, roles: Roles | undefined): Stopped {
  const { within, aside } = context
  const levels = new Map<FactId, Level>()
  const mayStop = (fact: Typed<'quarantine' | 'unquarantine'>): boolean => {
    const { reason, level } = standingOf(context, roles, fact, STOPPING_ROLES)
    if (level === undefined) aside(fact, reason)
    else levels.set(fact.id, level)
    return level !== undefined
  }
  const stops = ofType(within, 'quarantine').filter(mayStop)
  const lifts = ofType(within, 'unquarantine').filter(mayStop)
  const stopped = new Map(stops.map(({ id, payload }) => [id, payload.value.version]))
  const lifted = new Set<FactId>()
  for (const fact of lifts) {
    const { quarantines, version } = fact.payload.value
    const meant = quarantines.filter(one => stopped.get(one) === version)
    const isAbove = (one: FactId): boolean => levels.get(fact.id) === 'registry' || levels.get(one) === 'package'
    for (const one of meant.filter(isAbove)) lifted.add(one)
    if (meant.length === 0) aside(fact, 'unknown-quarantine')
    else if (!meant.some(isAbove)) aside(fact, 'role-not-held')
  }
  const standing = stops
    .filter(({ id }) => !lifted.has(id))
    .map(({ id, body, payload: { value } }) => {
      const view = { fact: id, by: body.author, reason: value.reason, level: levels.get(id) ?? 'package' }
      return { version: value.version, view }
    })
  const views = [...Map.groupBy(standing, ({ version }) => version)].map(
    ([version, entries]) => [version, shown(entries.map(({ view }) => view))] as const
  )
  return { standing: new Map(views), targets: [...stops, ...lifts].map(({ id }) => id) }
}

/** Attack: so many by a package's own people that the one by the registry is not seen: that comes first. */
function shown(views: readonly QuarantineView[]): readonly QuarantineView[] {
  return views
    .toSorted((a, b) => compareText(b.level, a.level) || compareText(a.fact, b.fact))
    .slice(0, LIMITS.view.quarantinesPerVersion)
}

type Standing =
  | { readonly level: Level; readonly reason?: undefined }
  | { readonly level?: undefined; readonly reason: SetAsideReason }

/** On which level somebody may say this: the registry's, where both would do. */
function standingOf(
  { name, authority, signatures }: Context,
  roles: Roles | undefined,
  fact: Typed<'quarantine' | 'release' | 'unquarantine' | 'unyank' | 'yank'>,
  alone: Readonly<Record<Level, readonly Role[]>>
): Standing {
  const { registry, package: own } = fact.payload.value.authority
  if (!authority.order.has(registry)) return { reason: 'unknown-authority' }
  // An ungranted name does not exist in the registry, whoever signs under it.
  if (roles === undefined || !roles.order.has(own)) return { reason: 'claim-not-counted' }
  if (roles.away.has(fact.id)) return { reason: 'resolved' }
  const signed = signatures(fact)
  let isSigned = false
  for (const [level, held, head] of [
    ['registry', authority, registry],
    ['package', roles, own]
  ] as const) {
    const use = { on: name, head, fact }
    if (roleSince(held, { ...use, key: fact.body.author, roles: alone[level] }) !== undefined) return { level }
    const owners = ownersAmong(held, signed, use)
    if (owners.size >= thresholdAt(held, head)) return { level }
    isSigned ||= owners.size > 0
  }
  return { reason: isSigned ? 'threshold-not-met' : 'role-not-held' }
}
