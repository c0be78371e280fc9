import type { CID } from 'multiformats/cid'
import { toLink } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { listBlocks } from '../storage/content/walk-dag.ts'
import type { FetchComponents, WantedContent } from './content.ts'
import type { FreshBlocks } from './fresh-blocks.ts'
import type { Trail } from './services/trail.ts'

type TogetherComponents = Pick<FetchComponents, 'spaces' | 'swarms' | 'keeper' | 'disk' | 'meter'>

export interface WantedTogether extends WantedContent {
  readonly trail: Trail
}

interface TogetherContext {
  /** Remembers what came, for whoever puts it in its place. */
  readonly fresh: FreshBlocks
  readonly signal: AbortSignal
}

/**
 * Brings small contents of a few registries into their stores, those of one registry together: one answer, one turn at the
 * disk, one record. Returns those that are here as a whole; why another one is not is for whoever fetches it alone to find out.
 */
export async function bringTogether(
  components: TogetherComponents,
  wanted: readonly WantedTogether[],
  context: TogetherContext
): Promise<ReadonlySet<ContentId>> {
  const whole = new Set<ContentId>()
  for (const [registry, own] of Map.groupBy(wanted, one => one.registry)) {
    try {
      for (const some of slicesOf(own))
        for (const root of await bringOf(components, registry, { wanted: some, ...context })) whole.add(root)
    } catch (error) {
      context.signal.throwIfAborted()
      if (!isRegistryError(error)) throw error
    }
  }
  return whole
}

/** What is in memory at a time: as much as one peer is asked for at once. */
function slicesOf(wanted: readonly WantedTogether[]): readonly (readonly WantedTogether[])[] {
  const { rootsTogether, togetherBytes, eagerBytes } = LIMITS.dag
  const slices: WantedTogether[][] = []
  let [roots, bytes]: [number, number] = [rootsTogether, 0]
  for (const one of wanted.filter(({ size }) => size <= eagerBytes)) {
    if (roots === rootsTogether || bytes + one.size > togetherBytes) {
      slices.push([])
      roots = bytes = 0
    }
    slices.at(-1)?.push(one)
    roots += 1
    bytes += one.size
  }
  return slices
}

async function bringOf(
  components: TogetherComponents,
  registry: RegistryId,
  { wanted, fresh, signal }: TogetherContext & { readonly wanted: readonly WantedTogether[] }
): Promise<readonly ContentId[]> {
  const { spaces, swarms, meter, keeper, disk } = components
  const swarm = swarms.of(registry)
  if (swarm === undefined) return []
  const space = spaces.of(registry)
  const { allBlocks, markAllKept } = space
  // That there is no room leaves nothing behind; a write that failed does.
  const { taken, end } = await takeRoom(components, registry, { wanted, signal })
  try {
    if (taken.length === 0) return []
    const orders = taken.map(({ root, size, trail }) => ({ root, size, watch: trail }))
    const put = (cid: CID, bytes: Uint8Array): Promise<unknown> => allBlocks.put(cid, bytes, { atOnce: true })
    const came = await swarm.fetchTogether(registry, orders, { put, signal })
    const whole: WantedTogether[] = []
    const cids = new Map<string, CID>()
    for (const one of taken) {
      const own = await blocksOf(one.root, came)
      if (own === undefined) continue
      whole.push(one)
      one.trail.stored()
      for (const cid of own) cids.set(cid.toString(), cid)
    }
    if (whole.length === 0) return []
    await allBlocks.flush([...cids.values()])
    for (const { trail } of whole) trail.flushed()
    const roots = whole.map(({ root }) => root)
    for (const root of roots) await spaces.takedowns.allow(root, signal)
    await noteTraces(components, registry, whole)
    // Bytes before references: they are durable, and only then is it said that they are here.
    await markAllKept(roots)
    for (const { trail } of whole) meter.counts.fetched(trail.received)
    fresh.remember(roots, came)
    return roots
  } catch (error) {
    disk.note(error)
    end()
    void keeper.tidyAfter(error, space)
    throw error
  } finally {
    end()
  }
}

/**
 * Those of which nothing is here (of what is here in parts only the rest is fetched), with room for all of them at once: a
 * reservation waits for those before it when there is little, and these would wait for each other.
 */
async function takeRoom(
  { spaces, keeper }: TogetherComponents,
  registry: RegistryId,
  { wanted, signal }: { readonly wanted: readonly WantedTogether[]; readonly signal: AbortSignal }
): Promise<{ readonly taken: readonly WantedTogether[]; readonly end: () => void }> {
  const { allBlocks, inUse } = spaces.of(registry)
  const taken: WantedTogether[] = []
  for (const one of wanted) {
    if (spaces.takedowns.isTakenDown(one.root) || (await allBlocks.has(toLink(one.root)))) continue
    taken.push(one)
  }
  const [first, second] = taken
  if (first === undefined || second === undefined) return { taken: [], end: () => undefined }
  // No collection takes away what has come of them.
  const holds = taken.map(({ root }) => inUse.hold(root))
  try {
    const size = taken.reduce((sum, one) => sum + one.size, 0)
    const coming = await keeper.coming({ registry, root: first.root, size }, signal)
    holds.push(() => coming.end())
    return { taken, end: () => holds.forEach(letGo => letGo()) }
  } catch (error) {
    for (const letGo of holds) letGo()
    throw error
  }
}

/** Every block below a root, if all of them came. */
async function blocksOf(root: ContentId, came: ReadonlyMap<string, Uint8Array>): Promise<readonly CID[] | undefined> {
  const found: CID[] = []
  const get = (cid: CID): Uint8Array[] => {
    const bytes = came.get(cid.toString())
    return bytes === undefined ? [] : [bytes]
  }
  try {
    for await (const cid of listBlocks(root, { get, readNow: cid => came.get(cid.toString()) })) {
      if (!came.has(cid.toString())) return undefined
      found.push(cid)
    }
    return found
  } catch (error) {
    if (isRegistryError(error)) return undefined
    throw error
  }
}

/** Best effort: a full disk must keep nobody from what is here. */
async function noteTraces(
  { spaces, disk }: TogetherComponents,
  registry: RegistryId,
  whole: readonly WantedTogether[]
): Promise<void> {
  const records = new Map(whole.map(({ root, trail }) => [root, trail.record(null)]))
  await spaces
    .of(registry)
    .putTraces(records)
    .catch((error: unknown) => disk.note(error))
}
