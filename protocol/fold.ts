import { sha256 } from '@noble/hashes/sha2.js'
import { roleSince } from './authority.ts'
import type { Authority } from './authority.ts'
import { toHex } from './bytes.ts'
import { boundForks, boundSetAside, readChains } from './chains.ts'
import type { Fork, VerifiedFact } from './chains.ts'
import type { FactId } from './cid.ts'
import type { Principal } from './did.ts'
import type { FactType } from './fact.ts'
import { LIMITS } from './limits.ts'
import { ecosystemOf } from './package-name.ts'
import type { PackageName } from './package-name.ts'
import { encodeContent } from './payload.ts'
import type { CitedAuthority, Payload, ReleaseContent } from './payload.ts'
import { NAMING_ROLES, PUBLISHING_ROLES } from './role.ts'
import { orderingOf } from './version.ts'
import type { Version } from './version.ts'

/** Why a fact about a package that is in the set does not count. */
export type SetAsideReason =
  | 'claim-not-counted'
  | 'name-taken'
  | 'role-not-held'
  | 'threshold-not-met'
  | 'too-many-chains'
  | 'too-many-releases'
  | 'unknown-authority'
  | 'unknown-yank'

export interface SetAside {
  readonly fact: FactId
  readonly type: FactType
  readonly reason: SetAsideReason
}

export interface ClaimView {
  readonly fact: FactId
  readonly by: Principal
  readonly keys: readonly Principal[]
  readonly threshold: number
}

export interface ContentView extends ReleaseContent {
  readonly fact: FactId
  readonly by: Principal
  readonly time: number
  readonly marks: readonly 'forked-author'[]
}

/** One version. More than one content is a conflict: both are kept, neither is served. */
export interface VersionView {
  readonly version: Version
  readonly contents: readonly ContentView[]
  readonly yanks: readonly { readonly fact: FactId; readonly by: Principal; readonly reason: string }[]
}

/** What all facts about one package add up to. Equal facts give an equal view, whatever the order of arrival. */
export interface PackageView {
  readonly name: PackageName
  readonly claim: ClaimView | null
  /** Highest first. */
  readonly versions: readonly VersionView[]
  readonly setAside: readonly SetAside[]
  readonly forks: readonly Fork[]
}

type Typed<T extends FactType> = VerifiedFact & { readonly payload: Extract<Payload, { type: T }> }

/** Folds the facts of one package under the registry's authority. Pure. */
export function foldPackage(name: PackageName, authority: Authority, facts: readonly VerifiedFact[]): PackageView {
  const chains = readChains(facts)
  const setAside: SetAside[] = []
  const aside = (fact: VerifiedFact, reason: SetAsideReason): void => {
    setAside.push({ fact: fact.id, type: fact.body.type, reason })
  }
  const within = facts.filter(fact => {
    if (chains.isExcess(fact)) aside(fact, 'too-many-chains')
    return !chains.isExcess(fact)
  })
  const claim = foldClaims(name, authority, ofType(within, 'claim'), aside)
  const mayPublish = (fact: Typed<'release' | 'yank' | 'unyank'>): boolean => {
    const reason = publishFault(name, authority, claim, fact)
    if (reason !== undefined) aside(fact, reason)
    return reason === undefined
  }
  const releases = ofType(within, 'release').filter(mayPublish)
  const yanks = ofType(within, 'yank').filter(mayPublish)
  const unyanks = ofType(within, 'unyank').filter(mayPublish)
  const takenBack = new Set(unyanks.flatMap(fact => fact.payload.value.yanks))
  for (const fact of unyanks) {
    const known = fact.payload.value.yanks.some(id => yanks.some(yank => yank.id === id))
    if (!known) aside(fact, 'unknown-yank')
  }
  const standing = yanks.filter(yank => !takenBack.has(yank.id))
  const context = { name, isForked: (author: Principal) => chains.isForked(author), aside }
  return {
    name,
    claim,
    versions: foldVersions(releases, standing, context),
    setAside: boundSetAside(setAside),
    forks: boundForks(chains.forks)
  }
}

/** Two grants of one name: the key that was allowed to name earlier, then chain, then position, then fact id. */
function foldClaims(
  name: PackageName,
  authority: Authority,
  claims: readonly Typed<'claim'>[],
  aside: (fact: VerifiedFact, reason: SetAsideReason) => void
): ClaimView | null {
  const allowed = claims.flatMap(fact => {
    const { authPrev } = fact.payload.value
    const known = authority.order.has(authPrev)
    const since = roleSince(authority, { key: fact.body.author, roles: NAMING_ROLES, name, head: authPrev })
    // A root's own say is that of the roots together: one of several must not hand out names alone.
    const isAlone = since === 0 && authority.genesis.threshold > 1
    if (since !== undefined && !isAlone) return [{ fact, since }]
    aside(fact, isAlone ? 'threshold-not-met' : known ? 'role-not-held' : 'unknown-authority')
    return []
  })
  const sorted = allowed.toSorted((a, b) => a.since - b.since || comparePosition(a.fact, b.fact))
  const [winner, ...others] = sorted
  for (const { fact } of others) aside(fact, 'name-taken')
  if (winner === undefined) return null
  const { keys, threshold } = winner.fact.payload.value
  return { fact: winner.fact.id, by: winner.fact.body.author, keys, threshold }
}

function comparePosition(a: VerifiedFact, b: VerifiedFact): number {
  if (a.body.chain !== b.body.chain) return a.body.chain < b.body.chain ? -1 : 1
  if (a.body.seq !== b.body.seq) return a.body.seq - b.body.seq
  return a.id < b.id ? -1 : 1
}

function publishFault(
  name: PackageName,
  authority: Authority,
  claim: ClaimView | null,
  fact: Typed<'release' | 'yank' | 'unyank'>
): SetAsideReason | undefined {
  const cited: CitedAuthority = fact.payload.value.authority
  if (!authority.order.has(cited.registry)) return 'unknown-authority'
  // An ungranted name does not exist in the registry, whoever signs under it.
  if (claim === null || claim.fact !== cited.package) return 'claim-not-counted'
  const key = fact.body.author
  if (claim.keys.includes(key)) return claim.threshold > 1 ? 'threshold-not-met' : undefined
  const since = roleSince(authority, { key, roles: PUBLISHING_ROLES, name, head: cited.registry })
  return since === undefined ? 'role-not-held' : undefined
}

interface VersionContext {
  readonly name: PackageName
  readonly isForked: (author: Principal) => boolean
  readonly aside: (fact: VerifiedFact, reason: SetAsideReason) => void
}

/**
 * Highest version first, until the row is full. Attack: rows without end, which no store would take and which would so
 * keep every other fact of a batch out. The bound is over the contents, so that it falls at the same place everywhere.
 */
function foldVersions(
  releases: readonly Typed<'release'>[],
  yanks: readonly Typed<'yank'>[],
  context: VersionContext
): readonly VersionView[] {
  const byVersion = Map.groupBy(releases, fact => fact.payload.value.version)
  const yanksOf = Map.groupBy(yanks, fact => fact.payload.value.version)
  const { compare } = orderingOf(ecosystemOf(context.name))
  const views: VersionView[] = []
  let bytes = 0
  for (const [version, facts] of [...byVersion].toSorted(([a], [b]) => compare(b, a))) {
    const distinct = distinctContents(facts)
    const kept = distinct.slice(0, LIMITS.view.contentsPerVersion)
    const standing = (yanksOf.get(version) ?? []).toSorted(byId).slice(0, LIMITS.view.yanksPerVersion)
    bytes += kept.reduce((sum, fact) => sum + encodeContent(fact.payload.value).length, 0)
    bytes += standing.reduce((sum, fact) => sum + fact.body.payload.length, 0)
    const isBeyond = bytes > LIMITS.view.versionsBytes
    for (const fact of isBeyond ? facts : distinct.slice(kept.length)) context.aside(fact, 'too-many-releases')
    if (isBeyond) continue
    views.push({
      version,
      contents: kept.map(fact => toContentView(fact, context)),
      yanks: standing.map(({ id, body, payload }) => ({ fact: id, by: body.author, reason: payload.value.reason }))
    })
  }
  return views
}

/** The same content said twice is no conflict: the lowest fact id speaks for it. */
function distinctContents(facts: readonly Typed<'release'>[]): readonly Typed<'release'>[] {
  const [only] = facts
  if (only !== undefined && facts.length === 1) return [only]
  const contents = new Map<string, Typed<'release'>>()
  for (const fact of facts.toSorted(byId)) {
    const key = toHex(sha256(encodeContent(fact.payload.value)))
    if (!contents.has(key)) contents.set(key, fact)
  }
  return [...contents.values()]
}

function toContentView({ id, body, payload }: Typed<'release'>, { isForked }: VersionContext): ContentView {
  const { manifest, root, size, digests } = payload.value
  const marks = isForked(body.author) ? (['forked-author'] as const) : []
  return { manifest, root, size, digests, fact: id, by: body.author, time: body.time, marks }
}

function byId(a: VerifiedFact, b: VerifiedFact): number {
  return a.id < b.id ? -1 : 1
}

function ofType<T extends FactType>(facts: readonly VerifiedFact[], type: T): readonly Typed<T>[] {
  return facts.filter((fact): fact is Typed<T> => fact.payload.type === type)
}
