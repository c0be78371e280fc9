import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { unpackTo } from '../storage/content/export-folder.ts'
import type { UnpackedFolder } from '../storage/content/export-folder.ts'
import { readTree, readerOf } from '../storage/content/walk-dag.ts'
import type { BlockKeeper } from './block-keeper.ts'
import { bringTogether } from './content-together.ts'
import { fetchInto } from './content.ts'
import type { FetchComponents } from './content.ts'
import { FreshBlocks } from './fresh-blocks.ts'
import type { PackageContent } from './services/project/execute.ts'

interface ContentComponents extends FetchComponents {
  readonly keeper: Pick<BlockKeeper, 'coming' | 'needed' | 'tidyAfter'>
  readonly provide: (registry: RegistryId, root: ContentId) => void
}

/** Packages' bytes for installs: what is recorded as being here is not walked again before it is unpacked. */
export function packageContent(components: ContentComponents): Omit<PackageContent, 'isRelayed'> {
  const { spaces, provide, keeper } = components
  const fresh = new FreshBlocks()
  const fetch: PackageContent['fetch'] = async (wanted, signal, trail) => {
    keeper.needed(wanted.registry, wanted.root)
    const fetched = await fetchInto(components, wanted, signal, trail)
    await spaces.of(wanted.registry).markKept(wanted.root)
    return fetched
  }
  return {
    isHere: async (root, registry) => {
      keeper.needed(registry, root)
      const { isKept, touchKept } = spaces.of(registry)
      const isHere = await isKept(root)
      // Best effort: a full disk must keep nobody from what is here already.
      if (isHere) await touchKept(root).catch(() => undefined)
      return isHere
    },
    fetch,
    async fetchTogether(wanted, signal) {
      for (const { registry, root } of wanted) keeper.needed(registry, root)
      return await bringTogether(components, wanted, { fresh, signal })
    },
    async unpack(order, signal) {
      const { registry, root, target, size, digests, executables } = order
      const { blocks, lostKept } = spaces.of(registry)
      const source = fresh.before(blocks, root, spaces.takedowns)
      // The project's journal knows until all is synced; a process that ends leaves whole packages all the same.
      const options = { declaredSize: size, executables, expectDigests: digests, signal, isDurable: false }
      const unpack = (): Promise<UnpackedFolder> => unpackTo(root, source, target, options)
      const { cids } = await unpack().catch(async (error: unknown) => {
        // The record said that all is here, and the disk has lost something since: it is fetched again, once.
        if (!isLostBlock(error)) throw error
        await lostKept(root)
        await fetch(order, signal)
        return unpack()
      })
      fresh.forget(root)
      return cids
    },
    async onPlaced(placed) {
      for (const [registry, some] of Map.groupBy(placed, one => one.registry)) {
        const times = new Map(some.map(({ root, ms }) => [root, Math.max(0, Math.round(ms))]))
        await spaces
          .of(registry)
          .placedTraces(times)
          .catch(() => undefined)
      }
      for (const { registry, root } of placed) provide(registry, root)
    },
    async filesOf(root, registry) {
      try {
        const { blocks } = spaces.of(registry)
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
