import { compareText } from '../../../protocol/bytes.ts'
import type { ContentId, FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { KnownSince } from '../../../protocol/observation/age.ts'
import type { ObservationView } from '../../../protocol/observation/fold.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { isLicence } from '../../../protocol/policy/licence.ts'
import type { AdvisoryFacts, AttestationFacts, ReleaseFacts } from '../../../protocol/policy/schema.ts'
import type { Version } from '../../../protocol/version.ts'
import type { Heeded } from '../attest/heeded.ts'
import type { FindPackage } from '../resolve.ts'

/** One release, by all that statements about it may name. */
export interface ReleaseId {
  readonly registry: RegistryId
  readonly name: PackageName
  readonly version: Version
  readonly root: ContentId
  readonly fact: FactId
}

/** What is known of a statement that somebody signed about a release: what an attestation is to a policy. */
export interface AttestationView {
  readonly fact: FactId
  /** `audit`, `provenance`, `sbom`, `review`, `star`, …; `unknown` for a predicate that nothing here reads. */
  readonly type: string
  readonly predicateType: string
  readonly issuer: Principal
  /** Every key whose signature over it holds; its issuer is one of them. */
  readonly signers: readonly Principal[]
  readonly registry: RegistryId
  /** Whether it is about these very bytes. One that is not never reaches a rule. */
  readonly subjectMatches: boolean
  /** Its issuer, or the registry where it was said, is followed here for such statements. */
  readonly followed: boolean
  /** It speaks for the release. */
  readonly passed: boolean
  /** `safe-to-run`, `score-4`, …. Attack: whoever speaks chooses such words, so what is known of him is never read from them. */
  readonly marks: readonly string[]
  readonly summary: string
  /** Of a review of the licence: what it was found to be, as an SPDX expression. */
  readonly concluded: string | null
  /** Somebody else brought it than who signed it: `time` is his, and says nothing of when it was signed. */
  readonly relayed: boolean
  readonly time: number
}

/** Where the facts come from that rules read. Each is asked for one release or package at a time. */
export interface PolicySources {
  readonly find: FindPackage
  /** What a registry is called here, and who sees it. */
  readonly registry: (id: RegistryId) => {
    readonly alias: string
    readonly isPrivate: boolean
    readonly staleHours: number
  }
  /**
   * The keys that this node signs with. Attack: somebody whom we let publish in a registry of ours, or who stole his key: what he
   * publishes is by another, whoever owns the registry.
   */
  readonly ownKeys: () => Promise<ReadonlySet<Principal>>
  /** Since when each of these releases of a package is known. `observations`: what its registry says of that. */
  readonly firstSeen: (
    registry: RegistryId,
    facts: readonly FactId[],
    observations: readonly ObservationView[]
  ) => Promise<readonly KnownSince[]>
  /** `find`: where packages were looked up before, in the same judgement. `named`: how much policies in force heed keys and registries. */
  readonly attestations: (release: ReleaseId, find?: FindPackage, named?: Heeded) => Promise<readonly AttestationView[]>
  readonly advisories: (release: ReleaseId, find?: FindPackage) => Promise<readonly AdvisoryFacts[]>
  readonly quarantine: (release: ReleaseId, find?: FindPackage) => Promise<ReleaseFacts['quarantine']>
  /** The domain that says that a key is its own; undefined when none does. */
  readonly domainOf: (key: Principal) => Promise<string | undefined>
}

/** What rules see of statements: those about these bytes. */
export function attestationFacts(views: readonly AttestationView[]): readonly AttestationFacts[] {
  return views
    .filter(({ subjectMatches }) => subjectMatches)
    .map(({ type, predicateType, issuer, registry, followed, passed, marks, summary }) => ({
      type,
      predicateType,
      issuer,
      registry,
      followed,
      passed,
      marks,
      summary
    }))
}

/**
 * The licence by the manifest, and by those who are followed and looked into it. Where they do not agree all of it has to be
 * satisfied: nobody's finding makes that of another harmless.
 */
export function licenceFacts(expression: string, views: readonly AttestationView[]): ReleaseFacts['licence'] {
  const found = views
    .filter(({ subjectMatches, followed }) => subjectMatches && followed)
    .flatMap(({ concluded }) => (concluded === null ? [] : [concluded]))
  const distinct = [...new Set(found)].toSorted()
  const [only] = distinct
  const concluded = distinct.length <= 1 ? (only ?? '') : distinct.map(one => `(${one})`).join(' AND ')
  const judged = concluded === '' ? expression : concluded
  return { expression, concluded, valid: judged !== '' && isLicence(judged) && distinct.every(isLicence) }
}

/** Reviews and stars count keys, never statements: one key that speaks twice has one voice. */
export function reviewFacts(views: readonly AttestationView[]): ReleaseFacts['reviews'] {
  const about = views.filter(({ subjectMatches }) => subjectMatches)
  const keysOf = (type: string): number =>
    new Set(about.filter(view => view.type === type).map(view => view.issuer)).size
  const scores = new Map<Principal, number>()
  for (const { type, issuer, marks } of about.toSorted(lastSpoken)) {
    const score = marks.map(mark => /^score-([0-5])$/.exec(mark)?.[1]).find(text => text !== undefined)
    if (type === 'review' && score !== undefined) scores.set(issuer, Number(score))
  }
  const sum = [...scores.values()].reduce((all, score) => all + score, 0)
  return { count: keysOf('review'), average: scores.size === 0 ? 0 : sum / scores.size, stars: keysOf('star') }
}

/**
 * In the order in which they were said, the same on every node: that of the list depends on which registry was followed first. Attack: an
 * old review that somebody else shows again, with a time of his own choice, or by a thief of the key in a registry of his own.
 */
function lastSpoken(a: AttestationView, b: AttestationView): number {
  return (
    Number(a.followed) - Number(b.followed) ||
    Number(b.relayed) - Number(a.relayed) ||
    a.time - b.time ||
    compareText(a.fact, b.fact)
  )
}
