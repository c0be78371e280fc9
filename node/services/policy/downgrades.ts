import type { PackageView } from '../../../protocol/fold.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { KnownSince } from '../../../protocol/observation/age.ts'
import type { Candidate } from './candidate.ts'
import { othersOf } from './others.ts'
import type { AttestationView, PolicySources } from './sources.ts'

export interface Weighed {
  readonly candidate: Candidate
  /** What is said of it. */
  readonly views: readonly AttestationView[]
  /** The domain that its key is verified for. */
  readonly domain: string | undefined
}

interface Around {
  readonly view: PackageView | undefined
  readonly sources: PolicySources
  readonly now: number
}

/**
 * What earlier releases of the package had and this one has not: an old key, a statement of how it was built, a second
 * signer, a verified publisher. Who took over an account, or a machine that publishes, has the name and the role, and lacks one of these.
 */
export async function downgradesOf(weighed: Weighed, around: Around): Promise<readonly string[]> {
  const { candidate, views, domain } = weighed
  const earlier = earlierOf(candidate, around.view)
  const found = [...(await newKey(candidate, around))]
  if (!hasProvenance(candidate, views) && (await isAny(earlier, hadProvenance(around)))) found.push('no-provenance')
  if (signersOf(candidate, views).size < 2 && (await isAny(earlier, hadSigners(around)))) found.push('fewer-signers')
  const others = earlier.filter(({ by }) => by !== candidate.by)
  if (
    domain === undefined &&
    (await isAny(others, async ({ by }) => (await around.sources.domainOf(by)) !== undefined))
  )
    found.push('unverified-publisher')
  return found
}

/** The versions below this one, the nearest first. */
function earlierOf(candidate: Candidate, view: PackageView | undefined): readonly Candidate[] {
  const at = view?.versions.findIndex(({ version }) => version === candidate.version) ?? -1
  if (view === undefined || at === -1) return []
  const below = { ...view, versions: view.versions.slice(at + 1) }
  return othersOf(candidate, below).slice(0, LIMITS.policy.compared)
}

/** Said in the registry of the release, or by somebody who is followed. Attack: a stranger's, which would have others refused. */
function hasProvenance({ registry }: Candidate, views: readonly AttestationView[]): boolean {
  return views.some(
    ({ type, followed, passed, registry: where }) => type === 'provenance' && passed && (followed || where === registry)
  )
}

function hadProvenance({ sources }: Around): (other: Candidate) => Promise<boolean> {
  return async other => hasProvenance(other, await sources.attestations(other, sources.find))
}

/** What whoever makes a release says of it. Audits and the results of others who build it anew come later, if ever. */
const SAID_BY_MAKERS = ['provenance', 'source']

/**
 * Whose keys vouch for how a release came about: its author's, and those under such statements. Attack: who has stolen the key
 * of one of two people, or of the machine that builds, signs with it what both signed before.
 */
function signersOf(
  { registry, by }: Candidate,
  views: readonly AttestationView[]
): ReadonlySet<AttestationView['issuer']> {
  const vouching = views.filter(
    ({ type, subjectMatches, followed, passed, registry: where }) =>
      SAID_BY_MAKERS.includes(type) && subjectMatches && passed && (followed || where === registry)
  )
  return new Set([by, ...vouching.flatMap(({ issuer, signers }) => [issuer, ...signers])])
}

function hadSigners({ sources }: Around): (other: Candidate) => Promise<boolean> {
  return async other => signersOf(other, await sources.attestations(other, sources.find)).size >= 2
}

async function isAny<T>(list: readonly T[], is: (one: T) => Promise<boolean>): Promise<boolean> {
  for (const one of list) if (await is(one)) return true
  return false
}

/**
 * Whether another key than those before signed it. A key is old here when the first release by it was there
 * before anybody here looked, or came a while ago: so a new key beside an old one is noticed for that long, and however
 * many versions it publishes meanwhile, none of them vouches for another.
 */
async function newKey(
  { registry, by, fact }: Candidate,
  { view, sources: { firstSeen }, now }: Around
): Promise<readonly string[]> {
  const stated = view?.versions.flatMap(({ contents }) => contents) ?? []
  if (stated.every(content => content.by === by)) return []
  const [own, ...seen] = await firstSeen(
    registry,
    [fact, ...stated.map(content => content.fact)],
    view?.observations ?? []
  )
  const old = new Set(stated.filter((_, i) => isOld(seen[i], now)).map(content => content.by))
  return old.size === 0 || old.has(by) || isOld(own, now) ? [] : ['new-key']
}

function isOld(seen: KnownSince | undefined, now: number): boolean {
  return seen !== undefined && (seen.basis === 'first-look' || now - seen.time >= LIMITS.policy.oldKeyMs)
}
