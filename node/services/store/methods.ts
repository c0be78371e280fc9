import type { ContentId, RegistryId } from '../../../protocol/cid.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Version } from '../../../protocol/version.ts'
import type { TraceSource, TraceTimes } from '../../../protocol/trace-record.ts'

/** What the blocks of one swarm are, and take. */
export interface StoredSpace {
  readonly swarm: string
  readonly blocks: number
  readonly bytes: number
  /** What deleted blocks still take on the disk, until enough of it is there to be given back. */
  readonly deadBytes: number
  /** Content roots that are held as a whole, or were and are to come back. */
  readonly roots: number
  readonly pinned: { readonly roots: number; readonly bytes: number }
  /** Bytes that may go: what is not pinned, and blocks that nothing needs. */
  readonly reclaimableBytes: number
  readonly quotaBytes: number | null
  /** Roots of which something is missing or damaged. */
  readonly broken: readonly ContentId[]
  /** The last look through all blocks; null before the first has ended. */
  readonly scrub: ScrubReport | null
}

/** What reading and hashing every block of a space came to. */
export interface ScrubReport {
  /** When it ended. */
  readonly time: number
  readonly blocks: number
  readonly bytes: number
  readonly damaged: number
  /** Contents of which something was missing, and those of them that peers made whole again. */
  readonly broken: number
  readonly repaired: number
}

export interface CollectedSpace {
  readonly swarm: string
  /** Content roots that were let go. */
  readonly roots: number
  readonly blocks: number
  readonly bytes: number
  readonly left: { readonly blocks: number; readonly bytes: number }
}

/** A content of which something is missing, and why it did not come back. */
export interface UnrepairedRoot {
  readonly root: ContentId
  /** Whose it is; null where no registry that is followed here names it. */
  readonly registry: RegistryId | null
  readonly name: PackageName | null
  readonly version: Version | null
  readonly reason: string
}

export interface VerifiedSpace extends Omit<ScrubReport, 'time'> {
  readonly swarm: string
  /** The first few of what is still broken. */
  readonly unrepaired: readonly UnrepairedRoot[]
}

/** A pin as people see it. */
export interface ShownPin {
  /** `mirror`: what `mirror remove` takes back; `project`: what the lockfile of a folder names; it lasts as long as the lockfile. `published`: published here or restored. */
  readonly type: 'registry' | 'package' | 'root' | 'mirror' | 'project' | 'published'
  /** What `unpin` takes. */
  readonly what: string
  readonly registry: RegistryId | null
  readonly swarm: string
  /** Content roots that it stands for now, and those of them that are here. */
  readonly roots: number
  readonly held: number
}

/** How one content came to this node. */
export interface TracedContent {
  readonly root: ContentId
  /** The swarm in whose block store it is. */
  readonly swarm: string
  /** What it is a version of; null where no registry that is followed names it. */
  readonly registry: RegistryId | null
  readonly alias: string | null
  readonly name: string | null
  readonly version: string | null
  /** When the last fetch of it ended; null when none is remembered, and all of it is here. */
  readonly ended: number | null
  /** The code of the error that it ended with; null when all of it came. */
  readonly failed: string | null
  /** Most bytes first. */
  readonly sources: readonly TraceSource[]
  readonly times: TraceTimes
  /** Who else was asked, and what they said; where it failed, all that was tried. */
  readonly tried: readonly string[]
}

/** The calls about the block stores. */
export interface StoreMethods {
  /** `reference`: a package with or without a range, or a content id. */
  trace: { params: { reference: string }; result: TracedContent }
  storeStat: {
    params: Record<string, never>
    result: {
      readonly spaces: readonly StoredSpace[]
      readonly disk: { readonly freeBytes: number; readonly totalBytes: number }
      readonly readOnly: boolean
      readonly pins: number
    }
  }
  /** `all`: lets go of everything that is not pinned. */
  storeGc: {
    params: { all: boolean; dryRun: boolean }
    result: { readonly spaces: readonly CollectedSpace[]; readonly dryRun: boolean }
  }
  storeVerify: { params: Record<string, never>; result: { readonly spaces: readonly VerifiedSpace[] } }
  /** `what`: a registry, a package with or without a range, or a content id. */
  storePin: { params: { what: string }; result: ShownPin & { readonly isNew: boolean } }
  storeUnpin: { params: { what: string }; result: { readonly what: string; readonly roots: number } }
  storePins: { params: Record<string, never>; result: readonly ShownPin[] }
  /** Until the next start; the command writes it into the configuration, too. 0: none. */
  storeQuota: {
    params: { swarm: string; bytes: number }
    result: { readonly swarm: string; readonly quotaBytes: number | null; readonly usedBytes: number }
  }
}
