import type { ContentId, RegistryId } from '../../../protocol/cid.ts'
import type { ErrorCode } from '../../../protocol/errors.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Version } from '../../../protocol/version.ts'

/** Content roots and the bytes that their releases declare. */
export interface Amount {
  readonly roots: number
  readonly bytes: number
}

/** A mirror as it was asked for. */
export interface ShownMirror {
  /** What `mirror remove` takes. */
  readonly what: string
  readonly registry: RegistryId
  readonly alias: string | null
  readonly swarm: string
  readonly factor: number | null
  readonly quotaBytes: number | null
}

/** A content of a mirror, for people. */
export interface NamedRoot {
  readonly root: ContentId
  readonly name: PackageName
  readonly version: Version
  readonly bytes: number
}

/** Why a content did not come, and on which ways it was asked for. */
export interface FailedRoot extends NamedRoot {
  readonly registry: RegistryId
  readonly alias: string | null
  readonly code: ErrorCode
  readonly reason: string
  readonly tried: readonly string[]
  readonly next: string | null
  readonly time: number
}

export interface MirrorStatus extends ShownMirror {
  /** What it keeps or is to keep; what a quota leaves out is not in it. */
  readonly wanted: Amount
  readonly held: Amount
  readonly missing: Amount
  /** What the quota has no room for, and the first of it, the latest first. */
  readonly leftOut: Amount
  readonly leftOutRoots: readonly NamedRoot[]
  /** Who holds what is wanted, this node counted; null while no node runs. */
  readonly providers: {
    readonly min: number
    readonly median: number
    /** Contents that fewer than `factor` hold; 0 without one. */
    readonly belowFactor: number
    readonly belowFactorRoots: readonly (NamedRoot & { readonly providers: number })[]
    /** Contents about which the DHT was asked, and when it was for the one that was asked about the longest ago. */
    readonly lookedUp: number
    readonly oldestLookup: number | null
  } | null
  /** Since the longest missing content was seen to be missing; null when all is held, or no node runs. */
  readonly lagMs: number | null
  /** Whether the registry was compared to the end with a peer since the start. */
  readonly caughtUp: boolean
  /** Of what is missing, what could not be fetched when it was last tried, and the last of it, the latest first. */
  readonly failed: Amount
  readonly failedRoots: readonly FailedRoot[]
}

/** A content that is not in a file, or not taken from it. */
export interface SkippedRoot {
  readonly root: ContentId
  readonly registry: RegistryId
  readonly alias: string
  /** The first version that is known to be made of it; null where the registry names none. */
  readonly name: PackageName | null
  readonly version: Version | null
  readonly reason: string
}

/** The calls about mirrors. */
export interface MirrorMethods {
  /**
   * `what`: a registry or a package, or the id of a registry that is not followed yet, which then is; `peer` is dialled for
   * it. Asked for again it changes what a mirror is to do.
   */
  mirrorAdd: {
    params: {
      what: string
      range?: string
      quotaBytes?: number
      factor?: number
      peer?: string
      alias?: string
    }
    /** `roots`: what is to be here; `held`: what of it is. `leftOut`: contents for which the quota has no room. */
    result: ShownMirror & {
      readonly change: 'new' | 'changed' | 'same'
      readonly roots: number
      readonly held: number
      readonly leftOut: number
    }
  }
  mirrorRemove: { params: { what: string }; result: { readonly what: string; readonly roots: number } }
  mirrorList: { params: Record<string, never>; result: readonly ShownMirror[] }
  /** Of one mirror, or of all without `what`. */
  mirrorStatus: { params: { what?: string }; result: readonly MirrorStatus[] }
  /**
   * Writes all facts of a registry and the bytes that are here to a new file. `private`: also of a private one. `since`: an
   * earlier file, which whoever reads the new one has taken in.
   */
  mirrorExport: {
    params: { registry: string; file: string; private: boolean; since?: string }
    result: {
      readonly file: string
      readonly bytes: number
      readonly registry: RegistryId
      readonly facts: number
      readonly roots: number
      /** Contents of earlier files, which are not in this one. */
      readonly before: number
      /** Contents that are not here as a whole or are in quarantine, and the first of them. */
      readonly missing: number
      readonly skipped: readonly SkippedRoot[]
    }
  }
  /** Takes a registry in from a file. `id`: the registry that it must be; needed for one that is not followed here. */
  mirrorImport: {
    params: { file: string; id?: string; alias?: string }
    result: {
      readonly registry: RegistryId
      readonly alias: string
      /** It was not followed before. */
      readonly isNew: boolean
      /** Facts that were not here, and those that wait for others. */
      readonly facts: number
      readonly waiting: number
      /** Contents that came, and those that were here already. */
      readonly roots: number
      readonly known: number
      /** Contents that were not taken, and the first of them. */
      readonly left: number
      readonly skipped: readonly SkippedRoot[]
    }
  }
}
