import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { Reach } from '../../../protocol/policy/policy.ts'
import type { Authored, SigningParams } from '../authority/methods.ts'
import type { NamedKey } from '../publisher/named-key.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { ReleaseVerdict, RuleVerdict } from '../../../protocol/policy/evaluate.ts'
import type { Version } from '../../../protocol/version.ts'

/** A policy that is in force, by what can be compared. */
export interface ShownPolicy {
  readonly name: string
  /** sha2-256 in hex over what it says. */
  readonly digest: string
  readonly preset: string | null
  readonly rules: number
  /** Rules that read stars or reviews, which whoever makes keys makes as many of as he likes. */
  readonly forgeable: readonly string[]
}

export interface ShownRule extends RuleVerdict {
  /** The cheapest way past it; null where it does not refuse, or nothing is known. */
  readonly forward: string | null
}

/** What the policies say of one release. */
export interface ShownVerdict {
  /** `acme:left-pad@1.0.0` */
  readonly reference: string
  readonly registry: RegistryId
  readonly name: PackageName
  readonly version: Version
  readonly verdict: ReleaseVerdict['verdict']
  readonly rules: readonly ShownRule[]
}

export interface PolicyCheck {
  readonly policies: readonly ShownPolicy[]
  /** How many packages were judged. */
  readonly judged: number
  readonly denied: number
  /** Those about which some rule has something to say. */
  readonly packages: readonly ShownVerdict[]
}

/** A package that other policies judge otherwise. */
export interface Difference {
  readonly reference: string
  readonly now: ReleaseVerdict['verdict']
  readonly then: ReleaseVerdict['verdict']
  /** Rules that would refuse or warn. */
  readonly rules: readonly ShownRule[]
}

/** Who answers for what, and until when. */
export interface AllowParams {
  /** Rules and references by turns: `['release-age', 'acme:left-pad']`. */
  readonly allow?: readonly string[]
  readonly until?: string
  readonly reason?: string
}

/** A policy that a registry has published. */
export interface PublishedPolicy {
  readonly fact: FactId
  readonly by: Principal
  /** As it was published; empty: none from there on. */
  readonly text: string
  /** Null when this program can't read it: then nothing that it is about is installed here. */
  readonly digest: string | null
  readonly rules: number
  readonly reach: Reach
  readonly fault: string | null
}

/** An audit that would make rules hold. */
export interface SuggestedAudit {
  readonly reference: string
  readonly kind: 'delta' | 'full'
  /** The version that a delta starts from. */
  readonly from: Version | null
  /** What there is to read; of a delta that could not be measured here, the whole. */
  readonly bytes: number
  readonly isMeasured: boolean
  /** So many distinct keys that are followed. */
  readonly auditors: number
  readonly criteria: readonly string[]
  readonly rules: readonly string[]
  readonly command: string
}

/** A rule that no audit makes hold. */
export interface SuggestedExemption {
  readonly reference: string
  readonly rule: string
  readonly policy: string
  readonly message: string
  /** False: the policy is that of a registry, and only who it names makes an exemption from it. */
  readonly isLocal: boolean
}

/** With what a lockfile would pass. */
export interface Suggestion {
  readonly judged: number
  readonly denied: number
  /** The cheapest first. */
  readonly audits: readonly SuggestedAudit[]
  readonly exemptions: readonly SuggestedExemption[]
  /** All that there is to read. */
  readonly bytes: number
}

/** The calls about what may be installed. */
export interface PolicyMethods {
  /** The smallest set of audits and exemptions with which the lockfile of a project passes. */
  policySuggest: { params: { readonly project: string }; result: Suggestion }
  /** Signs the policy of a registry, in the place of the one that it has; without a file, takes it back. */
  policyPublish: { params: SigningParams & { readonly file?: string; readonly registry?: string }; result: Authored }
  /** What a registry says about how its releases are installed. Several where they were published at the same time: all hold. */
  policyShow: {
    params: { readonly registry?: string }
    result: {
      readonly alias: string
      readonly registry: RegistryId
      readonly policies: readonly PublishedPolicy[]
      /** What the keys of those are called who signed them. */
      readonly publishers: readonly NamedKey[]
    }
  }
  /** Judges what the lockfile of a project has. */
  policyCheck: { params: { readonly project: string }; result: PolicyCheck }
  /** Every rule and what it says of one release; the highest version without a range. */
  policyExplain: {
    params: { readonly reference: string; readonly project: string }
    result: ShownVerdict & { readonly policies: readonly ShownPolicy[] }
  }
  /** Judges what the lockfile has by another policy in the place of the node's. */
  policySimulate: {
    params: { readonly project: string; readonly file: string }
    result: {
      readonly policies: readonly ShownPolicy[]
      readonly judged: number
      readonly differences: readonly Difference[]
    }
  }
}
