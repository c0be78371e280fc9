import { foldAdvisories, isAdvisory } from './advisory/fold.ts'
import type { AdvisoryView } from './advisory/fold.ts'
import type { Authority } from './authority.ts'
import type { Signature } from './authority-court.ts'
import { foldChanges } from './authority-fold.ts'
import { growTree } from './authority-tree.ts'
import { lazily, mightiestFirst, ownersFrom, placeBy, placeOn } from './blame-order.ts'
import { compareText } from './bytes.ts'
import { encodeCbor } from './cbor.ts'
import { boundForks, boundSetAside, readChains } from './chains.ts'
import type { ShownFork, VerifiedFact } from './chains.ts'
import type { FactId } from './cid.ts'
import type { Principal } from './did.ts'
import { editsOfPackage, markOf } from './document/counted.ts'
import type { DocumentMark, Edits } from './document/counted.ts'
import type { FactType } from './fact.ts'
import { foldApart } from './fold-apart.ts'
import { countPublished, countQuarantines } from './fold-counts.ts'
import type { Aside, Context, SetAsideReason } from './fold-counts.ts'
import { foldVersions, ofType } from './fold-versions.ts'
import type { Typed, VersionView } from './fold-versions.ts'
import { toManifestRecord } from './manifest.ts'
import { foldObservations, isObservation } from './observation/fold.ts'
import type { ObservationView } from './observation/fold.ts'
import type { PackageName } from './package-name.ts'
import { citedHead } from './payload.ts'
import type { Role, Scope } from './role.ts'
import { ownersAmong, ownersAt, roleSince, rolesOf, thresholdAt } from './roles.ts'
import type { Roles } from './roles.ts'

export interface SetAside {
  readonly fact: FactId
  readonly type: FactType
  readonly reason: SetAsideReason
}

/** The grant of a name, and who may do what about it now. */
export interface ClaimView {
  readonly fact: FactId
  readonly by: Principal
  /** The head of the package's own authority: what the next fact about it cites. */
  readonly head: FactId
  /** Owners at that head, and how many of them must sign. */
  readonly keys: readonly Principal[]
  readonly threshold: number
  /** Roles given for the package alone. */
  readonly roles: readonly {
    readonly key: Principal
    readonly role: Role
    readonly scope: Scope
    readonly expires: number | null
  }[]
}

export type { SetAsideReason } from './fold-counts.ts'

/** What all facts about one package add up to. Equal facts give an equal view, whatever the order of arrival. */
export interface PackageView {
  readonly name: PackageName
  readonly claim: ClaimView | null
  /** Highest first. */
  readonly versions: readonly VersionView[]
  /** Which facts the document of its words is made of; null while nobody edited any. */
  readonly document: DocumentMark | null
  readonly setAside: readonly SetAside[]
  readonly forks: readonly ShownFork[]
  /** Known problems of its versions, as this registry tells them, by id; absent while it tells of none. */
  readonly advisories?: readonly AdvisoryView[]
  /** Who says when he first saw which release, by its id; absent while nobody does. */
  readonly observations?: readonly ObservationView[]
}

/** Folds the facts of one package under the registry's authority. Pure. */
export function foldPackage(name: PackageName, authority: Authority, facts: readonly VerifiedFact[]): PackageView {
  return foldWithEdits(name, authority, facts).view
}

interface Folded {
  readonly view: PackageView
  readonly edits: Edits
}

/** The same, and what the document of the package is made of. */
export function foldWithEdits(name: PackageName, authority: Authority, facts: readonly VerifiedFact[]): Folded {
  const { head } = authority
  const sinceOf = (key: Principal, roles: readonly Role[]): number | undefined =>
    placeBy(roles, role => roleSince(authority, { key, on: name, head, roles: [role] }))
  const owners = lazily(() => {
    // Only these give a name away.
    const isNaming = ({ body }: VerifiedFact): boolean => sinceOf(body.author, ['owner', 'curator']) !== undefined
    const claims = facts.flatMap(fact =>
      fact.payload.type === 'claim' && isNaming(fact) ? fact.payload.value.keys : []
    )
    return ownersFrom(claims, facts)
  })
  const place = (key: Principal): number | undefined => {
    const above = sinceOf(key, ['owner', 'curator'])
    if (above !== undefined) return above
    const steps = owners().get(key)
    if (steps !== undefined) return placeOn(2, steps)
    const below = sinceOf(key, ['maintainer', 'publisher'])
    return below === undefined ? undefined : placeOn(3, below)
  }
  const { made, unfoldable } = foldApart(facts, mightiestFirst(place), some => {
    const folded = foldAll(name, authority, some)
    // What cannot be written down cannot be folded either.
    encodePackageRow(folded.view)
    return folded
  })
  if (unfoldable.length === 0) return made
  const { view, edits } = made
  return { view: { ...view, setAside: boundSetAside([...view.setAside, ...unfoldable]) }, edits }
}

/** Every row is encoded to see that it can be, and then to be kept. */
const encoded = new WeakMap<PackageView, Uint8Array>()

/** A row of the view as every node must compute it: deterministic dag-cbor, so that equal sets give equal bytes. */
export function encodePackageRow(view: PackageView): Uint8Array {
  const known = encoded.get(view)
  if (known !== undefined) return known
  const versions = view.versions.map(version => ({
    ...version,
    contents: version.contents.map(content => ({ ...content, manifest: toManifestRecord(content.manifest) }))
  }))
  const row = encodeCbor({ ...view, versions })
  encoded.set(view, row)
  return row
}

function foldAll(name: PackageName, authority: Authority, facts: readonly VerifiedFact[]): Folded {
  const chains = readChains(facts)
  const setAside: SetAside[] = []
  const aside: Aside = (fact, reason) => {
    setAside.push({ fact: fact.id, type: fact.body.type, reason })
  }
  const within = facts.filter(fact => {
    if (chains.isExcess(fact)) aside(fact, 'too-many-chains')
    return !chains.isExcess(fact)
  })
  const context = { name, authority, chains, within, signatures: signaturesIn(within), aside }
  const winner = foldClaims(context)
  const roles = winner === undefined ? undefined : foldRoles(context, winner)
  const counted = countPublished(context, roles)
  const stopped = countQuarantines(context, roles)
  const away = roles?.away ?? NOTHING
  const isForked = (author: Principal): boolean => chains.isForked(author, away) || authority.isForked(author)
  const versions = foldVersions(counted.releases, counted.yanks, {
    name,
    isForked,
    quarantinesOf: version => stopped.standing.get(version) ?? [],
    tooMany: fact => aside(fact, 'too-many-releases')
  })
  sortCosigns(
    context,
    new Set([
      ...counted.targets,
      ...stopped.targets,
      ...(roles?.counted.keys() ?? []),
      ...(winner === undefined ? [] : [winner.id])
    ])
  )
  const edits = editsOfPackage(name, authority, { facts, chains, roles })
  for (const { fact, reason } of edits.setAside) {
    // Excess chains were set aside above, whatever is in them.
    if (reason !== 'too-many-chains') setAside.push({ fact, type: 'metadata', reason })
  }
  const advisories = foldAdvisories(name, authority, within.filter(isAdvisory), aside)
  const observations = foldObservations(name, authority, within.filter(isObservation), {
    releases: counted.releases.map(fact => ({ fact, signers: signersIn(context, fact) })),
    aside
  })
  const view = {
    name,
    claim: winner === undefined || roles === undefined ? null : claimView(winner, roles),
    versions,
    document: markOf(edits),
    setAside: boundSetAside(setAside),
    forks: boundForks(chains.forks, away),
    ...(advisories.length === 0 ? {} : { advisories }),
    ...(observations.length === 0 ? {} : { observations })
  }
  return { view, edits }
}

function signersIn({ signatures }: Context, fact: VerifiedFact): ReadonlySet<Principal> {
  return new Set(signatures(fact).map(({ key }) => key))
}

const NOTHING: ReadonlySet<FactId> = new Set()

function signaturesIn(facts: readonly VerifiedFact[]): (fact: VerifiedFact) => readonly Signature[] {
  const cosigns = ofType(facts, 'cosign')
  const byTarget = Map.groupBy(cosigns, ({ payload }) => payload.value.fact)
  return fact => [fact, ...(byTarget.get(fact.id) ?? [])].map(via => ({ key: via.body.author, via }))
}

/** A signature under what does not count, or does not exist, has no effect. */
function sortCosigns({ within, aside }: Context, targets: ReadonlySet<FactId>): void {
  for (const fact of ofType(within, 'cosign')) if (!targets.has(fact.payload.value.fact)) aside(fact, 'no-effect')
}

/** Two grants of one name: the key that was allowed to name earlier, then chain, then position, then fact id. */
function foldClaims(context: Context): Typed<'claim'> | undefined {
  const { within, aside } = context
  const allowed = ofType(within, 'claim').flatMap(fact => {
    const since = namedSince(context, fact)
    if (typeof since === 'number') return [{ fact, since }]
    aside(fact, since)
    return []
  })
  const sorted = allowed.toSorted((a, b) => a.since - b.since || comparePosition(a.fact, b.fact))
  const [winner, ...others] = sorted
  for (const { fact } of others) aside(fact, 'name-taken')
  return winner?.fact
}

/** How early those who gave a name were allowed to: a curator alone, owners by their threshold. */
function namedSince({ name, authority, signatures }: Context, fact: Typed<'claim'>): number | SetAsideReason {
  const { authPrev: head } = fact.payload.value
  if (!authority.order.has(head)) return 'unknown-authority'
  const use = { on: name, head, fact }
  const curating = roleSince(authority, { ...use, key: fact.body.author, roles: ['curator'] })
  const signed = signatures(fact)
  const owners = ownersAmong(authority, signed, use)
  const isByOwners = owners.size >= thresholdAt(authority, head)
  const owning = signed.flatMap(
    ({ key, via }) => roleSince(authority, { ...use, key, roles: ['owner'], fact: via }) ?? []
  )
  const since = [...(curating === undefined ? [] : [curating]), ...(isByOwners ? owning : [])]
  if (since.length > 0) return Math.min(...since)
  return owners.size > 0 ? 'threshold-not-met' : 'role-not-held'
}

function comparePosition(a: VerifiedFact, b: VerifiedFact): number {
  return compareText(a.body.chain, b.body.chain) || a.body.seq - b.body.seq || compareText(a.id, b.id)
}

/** Who may do what about the package: its own changes, below the claim that won. */
function foldRoles({ name, authority, chains, within, aside }: Context, winner: Typed<'claim'>): Roles {
  const { keys: owners, threshold } = winner.payload.value
  const byId = new Map(within.map(fact => [fact.id, fact]))
  const result = foldChanges({
    tree: growTree(winner, within),
    facts: within,
    chains,
    owners,
    threshold,
    recovery: undefined,
    decides: (keep, over, away) => {
      const side = chains.sideOf(keep, over, away)
      return side.length === 0 && isOneVersion(byId.get(keep), byId.get(over)) ? [over] : side
    },
    outranks: (signatures, { fact }) => isAbovePackage(authority, name, signatures, fact)
  })
  for (const { fact: id, reason } of result.setAside) {
    const fact = byId.get(id)
    if (fact !== undefined) aside(fact, reason)
  }
  return rolesOf(name, owners, result)
}

/** Two contents of one version. Attack: a release that is in nobody's way must not be decided away: that is what yank is for. */
function isOneVersion(a: VerifiedFact | undefined, b: VerifiedFact | undefined): boolean {
  if (a?.payload.type !== 'release' || b?.payload.type !== 'release') return false
  return a.payload.value.version === b.payload.value.version
}

/** The registry's owners and its recovery key stand above the owners of each package: somebody must when those lose theirs. */
function isAbovePackage(
  authority: Authority,
  name: PackageName,
  signatures: readonly Signature[],
  fact: VerifiedFact
): boolean {
  const head = citedHead(fact.payload)
  if (head === undefined || !authority.order.has(head)) return false
  if (signatures.some(({ key }) => key === authority.recovery)) return true
  return ownersAmong(authority, signatures, { on: name, head }).size >= thresholdAt(authority, head)
}

function claimView(fact: VerifiedFact, roles: Roles): ClaimView {
  const { head, grants } = roles
  const given = grants.filter(
    ({ key, role }) =>
      role !== 'owner' && roleSince(roles, { key, roles: [role], on: roles.subject, head }) !== undefined
  )
  return {
    fact: fact.id,
    by: fact.body.author,
    head,
    keys: ownersAt(roles, head),
    threshold: thresholdAt(roles, head),
    roles: given.map(({ key, role, scope, expires }) => ({ key, role, scope, expires }))
  }
}
