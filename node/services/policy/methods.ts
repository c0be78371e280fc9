import type { RegistryId } from '../../../protocol/cid.ts'
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

/** The calls about what may be installed. */
export interface PolicyMethods {
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
