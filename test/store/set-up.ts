import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { BlockKeeper } from '../../node/block-keeper.ts'
import { Spaces } from '../../node/spaces.ts'
import { openStoreRecords } from '../../node/store-parts.ts'
import { UnsaidContents } from '../../node/unsaid.ts'
import type { ContentId, RegistryId } from '../../protocol/cid.ts'
import type { PackageView } from '../../protocol/fold.ts'
import { importFolder } from '../../storage/content/import-folder.ts'
import { listBlocks } from '../../storage/content/walk-dag.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import { memoryBlocks } from '../../storage/memory-blocks.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { Records } from '../../storage/records.ts'
import type { VerifiedBlocks } from '../../storage/verified-blocks.ts'
import { openLog } from '../../node/runtime/log.ts'
import { tempDir } from '../support/temp-dir.ts'

export const registry = 'bafyreidykglsfhoixmivffc5uwhcgshx4j465xwqntbmu43nb2dzqwfvae' as RegistryId
export const signal = new AbortController().signal

export interface StoreInit {
  readonly blocks?: VerifiedBlocks
  readonly kv?: KeyValue
  readonly packages?: readonly PackageView[]
  readonly quotaBytes?: number
  readonly keeps?: boolean
}

/** A block store in memory with everything that decides what stays in it. Time goes on by a day with each call of `later`. */
export async function storeWith({
  blocks: stored = memoryBlocks(),
  kv = memoryKeyValue(),
  packages = [],
  quotaBytes,
  keeps = false
}: StoreInit = {}) {
  let now = 1_700_000_000_000
  const clock = { now: () => now }
  const spaces = await Spaces.open({
    openBlocks: () => Promise.resolve(stored),
    deleteBlocks: () => Promise.resolve(),
    kv,
    records: new Records(kv),
    clock,
    registries: { all: [{ id: registry, swarm: 'public' }] }
  })
  const records = await openStoreRecords(kv, clock)
  const gone: ContentId[] = []
  const unsaid = new UnsaidContents({ ...records, facts: { factsOf: async () => [], cutFactsOf: async () => [] } })
  const keeper = new BlockKeeper({
    clock,
    log: await openLog({ level: 'silent' }),
    disk: { assertWritable: () => undefined, note: () => undefined },
    spaces,
    registries: { ids: [registry] },
    view: {
      async *digests() {},
      async *packages() {
        yield* packages
      }
    },
    ...records,
    projects: records.projectPins,
    unsaid,
    keeps: () => keeps,
    plan: async () => undefined,
    onLetGo: (_swarm, root) => void gone.push(root),
    quotaOf: () => quotaBytes
  })
  const space = spaces.public
  const add = async (files: Readonly<Record<string, string | Uint8Array>>, options = {}): Promise<ContentId> => {
    const folder = await tempDir('store')
    await mkdir(folder, { recursive: true })
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    const { root } = await importFolder(folder, space.allBlocks, { signal })
    await space.markKept(root, options)
    now += 86_400_000
    return root
  }
  const gc = (budgetBytes = Number.POSITIVE_INFINITY, isDry = false) =>
    keeper.collect(space, { budgetBytes, isDry, signal })
  return { ...records, unsaid, kv, spaces, space, stored, keeper, add, gc, gone, later: () => (now += 86_400_000) }
}

export async function cidsOf(root: ContentId, blocks: VerifiedBlocks): Promise<readonly CID[]> {
  const cids: CID[] = []
  for await (const cid of listBlocks(root, blocks)) cids.push(cid)
  return cids
}

/** Whether all blocks below a root are there. */
export async function isWhole(root: ContentId, blocks: VerifiedBlocks): Promise<boolean> {
  try {
    for (const cid of await cidsOf(root, blocks)) if (!(await blocks.has(cid))) return false
    return true
  } catch {
    return false
  }
}
