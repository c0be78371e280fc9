import { roleSince } from './authority.ts'
import type { Authority } from './authority.ts'
import { equalBytes } from './bytes.ts'
import { readChains } from './chains.ts'
import type { Fork, VerifiedFact } from './chains.ts'
import type { FactId } from './cid.ts'
import type { Principal } from './did.ts'
import type { FactType } from './fact.ts'
import { ecosystemOf } from './package-name.ts'
import type { PackageName } from './package-name.ts'
import { encodeContent } from './payload.ts'
import type { CitedAuthority, Payload, ReleaseContent, Release } from './payload.ts'
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
  return {
    name,
    claim,
    versions: foldVersions(name, releases, standing, author => chains.isForked(author)),
    setAside: setAside.toSorted((a, b) => (a.fact < b.fact ? -1 : 1)),
    forks: chains.forks
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
    if (since !== undefined) return [{ fact, since }]
    aside(fact, known ? 'role-not-held' : 'unknown-authority')
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

function foldVersions(
  name: PackageName,
  releases: readonly Typed<'release'>[],
  yanks: readonly Typed<'yank'>[],
  isForked: (author: Principal) => boolean
): readonly VersionView[] {
  const byVersion = Map.groupBy(releases, fact => fact.payload.value.version)
  const { compare } = orderingOf(ecosystemOf(name))
  return [...byVersion]
    .map(([version, facts]) => ({
      version,
      contents: distinctContents(facts, isForked),
      yanks: yanks
        .filter(fact => fact.payload.value.version === version)
        .map(({ id, body, payload }) => ({ fact: id, by: body.author, reason: payload.value.reason }))
        .toSorted((a, b) => (a.fact < b.fact ? -1 : 1))
    }))
    .toSorted((a, b) => compare(b.version, a.version))
}

/** The same content said twice is no conflict: the lowest fact id speaks for it. */
function distinctContents(
  facts: readonly Typed<'release'>[],
  isForked: (author: Principal) => boolean
): readonly ContentView[] {
  const seen: Uint8Array[] = []
  const contents: ContentView[] = []
  for (const { id, body, payload } of facts.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    const content = contentOf(payload.value)
    const bytes = encodeContent(content)
    if (seen.some(other => equalBytes(other, bytes))) continue
    seen.push(bytes)
    contents.push({
      ...content,
      fact: id,
      by: body.author,
      time: body.time,
      marks: isForked(body.author) ? ['forked-author'] : []
    })
  }
  return contents
}

function contentOf({ manifest, root, size, digests }: Release): ReleaseContent {
  return { manifest, root, size, digests }
}

function ofType<T extends FactType>(facts: readonly VerifiedFact[], type: T): readonly Typed<T>[] {
  return facts.filter((fact): fact is Typed<T> => fact.payload.type === type)
}
