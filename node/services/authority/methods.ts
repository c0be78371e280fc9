import type { NamedKey } from '../publisher/named-key.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Conflicts, OpenFork } from './conflicts.ts'
import type { SignResult } from './cosign.ts'
import type { Staleness } from '../policy/staleness.ts'
import type { AdmittedFact } from './fact-files.ts'
import type { Rotated } from './roles.ts'
import type { ShownRegistry, ShownRoles } from './show.ts'
import type { Written } from './writer.ts'

/** What every call that signs takes. */
export interface SigningParams {
  /** The name of another key of the data directory. */
  readonly key?: string
  /** A new file for the facts, with those that others need to let them in. */
  readonly out?: string
}

/** What is changed: a package, else the registry of that alias or id, else the default one. */
export interface AboutParams extends SigningParams {
  readonly registry?: string
  readonly package?: string
}

/** The file that was written beside, if one was asked for. */
export interface Filed {
  readonly file: string | null
}

/** What was signed, and how it stands. */
export interface Authored extends Filed {
  readonly written: readonly Written[]
}

/** The calls about who may do what. */
export interface AuthorityMethods {
  registryShow: {
    params: { registry?: string }
    result: ShownRegistry & {
      readonly alias: string
      /** What those of its keys are shown as that a domain names. */
      readonly publishers: readonly NamedKey[]
      readonly isDefault: boolean
      /** Peers with which all of it was compared to the end. */
      readonly sources: number
      readonly singleSource: boolean
      readonly staleness: Staleness
    }
  }
  registryRemove: {
    params: { registry: string; newDefault?: string; purge: boolean }
    result: {
      readonly id: RegistryId
      readonly alias: string
      readonly purged: boolean
      readonly newDefault: string | null
    }
  }
  roleList: {
    params: { registry?: string; package?: string }
    result: ShownRoles & { readonly alias: string; readonly publishers: readonly NamedKey[] }
  }
  roleGrant: {
    params: AboutParams & { to: string; role: string; scope?: string; expires?: string; threshold?: number }
    result: Authored
  }
  roleRevoke: {
    params: AboutParams & {
      from: string
      role?: string
      scope?: string
      reason?: string
      threshold?: number
      compromised: boolean
      /** Facts that stay, with everything before them in their chains. */
      keep: readonly string[]
    }
    result: Authored
  }
  roleRotate: {
    params: SigningParams & { registry?: string; from: string; to: string }
    result: Authored & Pick<Rotated, 'skipped'>
  }
  transfer: { params: SigningParams & { package: string; to: string }; result: Authored }
  /** Signs a fact that is here, or what waits for a signature of ours in a file. */
  sign: {
    params: SigningParams & { fact?: string; file?: string; registry?: string; dryRun: boolean }
    result: SignResult & { readonly publishers: readonly NamedKey[] }
  }
  admitFile: { params: { file: string }; result: { readonly facts: readonly AdmittedFact[] } }
  conflictList: {
    params: { registry?: string }
    result: Conflicts & { readonly alias: string; readonly publishers: readonly NamedKey[] }
  }
  /** Settles `name@version` with several contents. */
  resolve: { params: SigningParams & { reference: string; keep: string }; result: Authored }
  resolveFork: { params: SigningParams & { fork: string; keep: string; registry?: string }; result: Authored }
  proofExport: {
    params: { fact: string; file: string; registry?: string }
    result: {
      readonly file: string
      readonly registry: RegistryId
      readonly fork: OpenFork
      readonly facts: readonly FactId[]
    }
  }
}
