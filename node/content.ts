import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { importFolder } from '../storage/content/import-folder.ts'
import { readManifest } from '../storage/content/read-manifest.ts'
import { unpackTo } from '../storage/content/export-folder.ts'
import type { UnpackedFolder } from '../storage/content/export-folder.ts'
import { readTree, readerOf } from '../storage/content/walk-dag.ts'
import type { Records } from '../storage/records.ts'
import type { VerifiedBlocks } from '../storage/verified-blocks.ts'
import { fetchContent } from './content-fetch.ts'
import type { DiskGuard } from './disk-guard.ts'
import type { LateSwarm } from './network.ts'
import type { PackageContent } from './services/project/execute.ts'
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

interface ContentComponents {
  readonly blocks: VerifiedBlocks
  readonly records: Records
  readonly late: LateSwarm
  readonly provide: (root: ContentId) => void
}

/** Packages' bytes for installs: what is recorded as being here is not walked again before it is unpacked. */
export function packageContent({ blocks, records, late, provide }: ContentComponents): Omit<PackageContent, 'meter'> {
  const fetch: PackageContent['fetch'] = async (wanted, signal) => {
    const fetched = await fetchInto(blocks, late, wanted, signal)
    await records.markKept(wanted.root)
    return fetched
  }
  return {
    isHere: root => records.isKept(root),
    fetch,
    async unpack(order, signal) {
      const { root, target, size, digests, executables } = order
      // The project's journal knows until all is synced; a process that ends leaves whole packages all the same.
      const options = { declaredSize: size, executables, expectDigests: digests, signal, isDurable: false }
      const unpack = (): Promise<UnpackedFolder> => unpackTo(root, blocks, target, options)
      const { cids } = await unpack().catch(async (error: unknown) => {
        // The record said that all is here, and the disk has lost something since: it is fetched again, once.
        if (!isLostBlock(error)) throw error
        await records.forgetKept(root)
        await fetch(order, signal)
        return unpack()
      })
      provide(root)
      return cids
    },
    async filesOf(root) {
      try {
        const { files } = await readTree(readerOf(blocks, {}), root)
        return new Map(files.map(({ path, cid }) => [path, cid.toString()]))
      } catch {
        // Names of files for a message: without them it is shorter.
        return undefined
      }
    }
  }
}

function isLostBlock(error: unknown): boolean {
  return (
    (isRegistryError(error) && error.code === 'CORRUPT_BLOCK') ||
    (error instanceof Error && error.name === 'NotFoundError')
  )
}
