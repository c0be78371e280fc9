import type { Severity } from '../../../protocol/advisory/severity.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Version } from '../../../protocol/version.ts'
import type { LockChange } from '../install-result.ts'
import type { Filed, SigningParams } from '../authority/methods.ts'
import type { NamedKey } from '../publisher/named-key.ts'

/** What became of one record about one package. */
export interface AddedAdvisory {
  readonly id: string
  readonly name: PackageName
  readonly fact: FactId
  /** `same`, `newer`: this key said so before, or something that was modified later; nothing was signed. */
  readonly state: 'added' | 'newer' | 'same'
  /** Ranges of commits, which match nothing, and of versions that nobody here can order, which end nothing. */
  readonly unmatched: number
}

/** What somebody tells about a package. */
export interface ShownAdvisory {
  readonly id: string
  readonly name: PackageName
  /** Where it is told. */
  readonly registry: RegistryId
  readonly alias: string
  readonly by: Principal
  readonly fact: FactId
  /** Milliseconds since 1970, as the record says. */
  readonly modified: number
  readonly withdrawn: boolean
  readonly severity: Severity
  readonly malware: boolean
  readonly summary: string
  readonly aliases: readonly string[]
  /** What it affects, in words: ranges and single versions. */
  readonly affects: readonly string[]
  /** Whether it reaches the rules about this registry's packages, or about those of the registry that was asked about. */
  readonly heard: boolean
  /** Of the version that was asked about; null where none was. */
  readonly affected: boolean | null
  readonly fixed: Version | null
}

/** What is to be told of an installed package. Codes are part of the interface: scripts read them. */
export type FindingCode = 'advisory' | 'conflict' | 'malware' | 'policy' | 'quarantine' | 'withdrawn' | 'yanked'

export interface Finding {
  /** `acme:left-pad@1.0.0` */
  readonly reference: string
  readonly registry: RegistryId
  readonly name: PackageName
  readonly version: Version
  readonly code: FindingCode
  /** The id of the advisory, or the rule of the policy; null for the others. */
  readonly about: string | null
  readonly severity: Severity | null
  readonly text: string
  /** The version that an advisory names as the lowest without the problem; null when it names none. */
  readonly fixed: Version | null
}

export interface AuditedPackage {
  readonly reference: string
  readonly registry: RegistryId
  readonly name: PackageName
  readonly version: Version
  /** What the policies in force say of it as of today. */
  readonly verdict: 'allow' | 'deny' | 'warn'
  /** The nearest version that there is, that nothing is known against, and that the policies allow; null when there is none. */
  readonly moveTo: Version | null
}

/** What is installed, held against what is known today. */
export interface ProjectAudit {
  /** How many packages were looked at. */
  readonly audited: number
  readonly denied: number
  readonly findings: readonly Finding[]
  /** Those that have findings. */
  readonly packages: readonly AuditedPackage[]
}

/** The calls about known problems. */
export interface AdvisoryMethods {
  /** Signs OSV records out of a file, or out of all `*.json` files of a folder. All are read before the first is signed. */
  advisoryAdd: {
    params: SigningParams & { path: string; registry?: string }
    result: Filed & {
      readonly registry: RegistryId
      readonly alias: string
      readonly advisories: readonly AddedAdvisory[]
      /** Records that are about nothing that can be a package here, by their ids. */
      readonly foreign: readonly string[]
    }
  }
  /** What is told about a package, a version of it, or anything at all. */
  advisoryList: {
    params: { reference?: string; registry?: string }
    result: {
      readonly advisories: readonly ShownAdvisory[]
      /** What those who warn are shown as, where a domain names them. */
      readonly publishers: readonly NamedKey[]
      readonly more: number
    }
  }
  /** Looks at what the lockfile of a project has, by the facts that are here; changes nothing. */
  auditProject: { params: { readonly project: string }; result: ProjectAudit }
  /** The same, then moves to versions that nothing is known against, as an install would: the policy judges. */
  auditFix: {
    params: { readonly project: string; readonly offline?: boolean }
    result: {
      readonly before: ProjectAudit
      readonly after: ProjectAudit
      readonly changes: readonly LockChange[]
      readonly undone: string | null
    }
  }
}
