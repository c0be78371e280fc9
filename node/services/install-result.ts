import type { ContentId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import type { LeftOut, Overridden } from '../../protocol/solver/tree.ts'
import type { Version } from '../../protocol/version.ts'
import type { Warning } from './project/lock-check.ts'
import type { PackId } from './project/lock-format.ts'

export interface InstalledPackage {
  readonly id: PackId
  readonly name: string
  readonly registry: RegistryId
  /** What the registry is called, here or in the lockfile. */
  readonly alias: string
  readonly version: Version
  /** The version that was locked before; null for a package that was not. */
  readonly was: Version | null
  readonly cid: ContentId
  /** Who released it. */
  readonly author: Principal
  readonly path: string
  /** `left`: it holds somebody's edits, and this command was not about it. */
  readonly action: 'added' | 'left' | 'replaced' | 'unchanged'
  /** Peers that sent bytes for it; empty when all of it was here already. */
  readonly from: readonly string[]
  /** Bytes received at the sockets while it was fetched; what came while several were is divided among them. */
  readonly bytes: number
  readonly ms: number
  readonly unchanged: boolean
}

/** One line of what is different in the lockfile. */
export interface LockChange {
  readonly id: PackId
  readonly name: string
  readonly alias: string
  readonly from: Version | null
  readonly to: Version | null
}

/** A version that somebody who may say so advises against. */
export interface DeprecatedVersion {
  /** As in `installed`. */
  readonly name: string
  readonly version: Version
  /** What to do instead, in the words of whoever said so. */
  readonly text: string
}

export interface InstallResult {
  /** What the command was about and what it touched; dependencies before what depends on them. */
  readonly installed: readonly InstalledPackage[]
  readonly changes: readonly LockChange[]
  /** Folders that nothing needed any more. */
  readonly removed: readonly string[]
  readonly left: readonly LeftOut[]
  readonly overridden: readonly Overridden[]
  readonly warnings: readonly Warning[]
  readonly deprecated: readonly DeprecatedVersion[]
  /** How many packages the project has. */
  readonly packages: number
  readonly lockChanged: boolean
  readonly projectChanged: boolean
  readonly dryRun: boolean
  /** Packages come from several registries, or could. */
  readonly severalRegistries: boolean
  /** Where the signed receipt is, below the project; null when nothing was placed. */
  readonly receipt: string | null
  /** Nothing had to be done, and nothing was: no file was written and nobody was asked. */
  readonly upToDate: boolean
}
