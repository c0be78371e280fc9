import type { CID } from 'multiformats/cid'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { RegistryError, isRegistryError } from '../protocol/errors.ts'
import { importFolder } from '../storage/content/import-folder.ts'
import { readManifest } from '../storage/content/read-manifest.ts'
import { unpackTo } from '../storage/content/export-folder.ts'
import type { Records } from '../storage/records.ts'
import type { VerifiedBlocks } from '../storage/verified-blocks.ts'
import { fetchContent } from './content-fetch.ts'
import type { DiskGuard } from './disk-guard.ts'
import type { LateSwarm } from './network.ts'
import type { InstallComponents } from './services/install.ts'
import type { ContentSource } from './services/publish.ts'

/** Reads folders for `publish`: blocks are durable before it returns. */
export function contentSource(blocks: VerifiedBlocks, records: Records, disk: DiskGuard): ContentSource {
  return {
    readManifest,
    async importFolder(folder, { signal }) {
      disk.assertWritable()
      const imported = await importFolder(folder, blocks, { signal })
      await blocks.flush(imported.blocks)
      await records.markKept(imported.root)
      return imported
    }
  }
}

/** What is to be brought here. */
export interface WantedContent {
  readonly registry: RegistryId
  readonly root: ContentId
  readonly size: number
}

/** Brings content onto this disk, from peers where it is not here. */
export async function fetchInto(
  blocks: VerifiedBlocks,
  late: LateSwarm,
  wanted: WantedContent,
  signal: AbortSignal
): Promise<{ readonly fetched: number }> {
  const { swarm } = late
  const remote =
    swarm === undefined
      ? undefined
      : { open: (registry: RegistryId | undefined, abort: AbortSignal) => swarm.fetch(registry, { signal: abort }) }
  return fetchContent({ local: blocks, remote }, wanted, signal)
}

interface UnpackerComponents {
  readonly blocks: VerifiedBlocks
  readonly records: Records
  readonly late: LateSwarm
  readonly provide: (root: ContentId) => void
}

/** Fetches, verifies, unpacks beside the target and renames. */
export function unpacker({ blocks, records, late, provide }: UnpackerComponents): InstallComponents['unpack'] {
  const busy = new Map<string, Promise<unknown>>()
  return ({ registry, root, target, size, digests, executables }, signal) => {
    const run = async (): Promise<{ readonly fetched: number }> => {
      const { fetched } = await fetchInto(blocks, late, { registry, root, size }, signal)
      await records.markKept(root)
      await unpackTo(root, blocks, target, { declaredSize: size, executables, expectDigests: digests, signal })
      provide(root)
      return { fetched }
    }
    // Two commands that install into one folder take turns: unpacking clears what an earlier one left unfinished there.
    const turn = (busy.get(target) ?? Promise.resolve()).then(run, run)
    busy.set(target, turn)
    return turn.finally(() => {
      if (busy.get(target) === turn) busy.delete(target)
    })
  }
}

/** The content root of a folder as it is now; `unreadable` when it holds what no package may hold. */
export async function rootOfFolder(folder: string, signal: AbortSignal): Promise<ContentId | 'unreadable' | undefined> {
  try {
    const { root } = await importFolder(folder, { put: (cid: CID) => cid }, { signal })
    return root
  } catch (error) {
    if (!isRegistryError(error)) throw error
    if (error.code === 'UNKNOWN_FILE') return undefined
    if (error.code === 'HOSTILE_PATH' || error.code === 'LIMIT_EXCEEDED') return 'unreadable'
    throw new RegistryError(error.code, error.message, { cause: error })
  }
}
