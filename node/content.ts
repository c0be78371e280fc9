import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { isRegistryError } from '../protocol/errors.ts'
import type { BlockSink } from '../storage/content/blocks.ts'
import { importFolder } from '../storage/content/import-folder.ts'
import { readManifest } from '../storage/content/read-manifest.ts'
import { fetchContent } from './content-fetch.ts'
import type { BlockKeeper } from './block-keeper.ts'
import type { RemoteBlocks } from './content-fetch.ts'
import { PUBLIC_SWARM } from './config-schema.ts'
import type { DiskGuard } from './disk-guard.ts'
import { withGateways } from './gateway-race.ts'
import type { Gateways } from './gateway-source.ts'
import type { NodeMeter } from './meter.ts'
import type { Clock } from './runtime/clock.ts'
import type { ContentSource } from './services/publish.ts'
import { Trail } from './services/trail.ts'
import type { Spaces } from './spaces.ts'
import { unsaidBytes } from './unsaid-bytes.ts'
import type { UnsaidComponents } from './unsaid-bytes.ts'
import type { Swarms } from './swarms.ts'

export interface SourceComponents extends UnsaidComponents {
  readonly spaces: Spaces
  readonly disk: Pick<DiskGuard, 'assertWritable' | 'note'>
}

/** Reads folders for `publish`: blocks are durable before it returns. */
export function contentSource(components: SourceComponents): ContentSource {
  const { spaces, disk, keeper } = components
  return {
    readManifest,
    async importFolder(folder, { registry, subject, signal, onFailed }) {
      disk.assertWritable()
      const { takedowns } = spaces
      const space = spaces.of(registry)
      const { blocks, inUse } = space
      // Nothing refers to these blocks until the last of them is written: a collection must know of each.
      const write = inUse.write()
      const sink: BlockSink = {
        put: (cid, bytes, options) => {
          write.add(cid)
          return blocks.put(cid, bytes, options)
        }
      }
      try {
        const imported = await importFolder(folder, sink, { signal })
        takedowns.assertAllowed(imported.root)
        await takedowns.allow(imported.root, signal)
        await blocks.flush(imported.blocks)
        // What was published here may be nowhere else.
        const unsaid = await unsaidBytes(components, { space, root: imported.root, by: { registry, subject }, signal })
        inUse.wanted(imported.root)
        return { ...imported, unsaid }
      } catch (error) {
        disk.note(error)
        write.end()
        onFailed()
        await keeper.tidyAfter(error, space, signal)
        throw error
      } finally {
        write.end()
      }
    }
  }
}

/** What is to be brought here. */
export interface WantedContent {
  readonly registry: RegistryId
  readonly root: ContentId
  readonly size: number
  /** A peer that most likely has it. */
  readonly teller?: string | undefined
}

export interface FetchComponents {
  readonly spaces: Spaces
  readonly swarms: Swarms
  readonly keeper: Pick<BlockKeeper, 'coming' | 'tidyAfter'>
  readonly disk: Pick<DiskGuard, 'note'>
  /** Asked for what is public, where peers do not send it. */
  readonly gateways: Gateways
  readonly meter: Pick<NodeMeter, 'counts'>
  readonly clock: Pick<Clock, 'after' | 'now'>
}

/**
 * Brings content into the store of its registry's swarm, from peers of that swarm where it is not here.
 * @throws RegistryError TAKEN_DOWN | DISK_FULL | READ_ONLY | QUOTA_EXCEEDED, and as `fetchContent`
 */
export async function fetchInto(
  components: FetchComponents,
  wanted: WantedContent,
  signal: AbortSignal,
  trail = new Trail({ now: () => components.clock.now() })
): Promise<{ readonly fetched: number }> {
  const { spaces } = components
  const { takedowns } = spaces
  takedowns.assertAllowed(wanted.root)
  const remote = remoteOf(components, wanted)
  // What is withheld included: other content may need some of it.
  const space = spaces.of(wanted.registry)
  const { allBlocks, putTrace } = space
  const { keeper, disk, meter } = components
  const coming = await keeper.coming(wanted, signal)
  try {
    const fetched = await fetchContent({ local: allBlocks, remote, trail }, wanted, signal)
    meter.counts.fetched(fetched.fetched)
    await takedowns.allow(wanted.root, signal)
    // Best effort: a full disk must keep nobody from what is here.
    await putTrace(wanted.root, trail.record(null)).catch((error: unknown) => disk.note(error))
    return fetched
  } catch (error) {
    if (!signal.aborted && isRegistryError(error))
      await putTrace(wanted.root, trail.record(error.code, error.tried)).catch(() => undefined)
    meter.counts.fetched(undefined)
    disk.note(error)
    coming.end()
    // Others fetch, too: whoever was refused does not wait until the whole store was looked through.
    void keeper.tidyAfter(error, space)
    throw error
  } finally {
    coming.end()
  }
}

/**
 * Where bytes of a registry come from: the peers of its swarm, and gateways for what is public. Invariant: no gateway is asked
 * for anything of a private registry, nor of one that is not followed.
 */
function remoteOf(
  { swarms, spaces, gateways, clock }: FetchComponents,
  { registry, teller }: WantedContent
): RemoteBlocks | undefined {
  const swarm = swarms.of(registry)
  if (swarm === undefined) return undefined
  const providers = teller === undefined ? [] : [teller]
  const peers: RemoteBlocks = { open: (of, abort, watch) => swarm.fetch(of, { signal: abort, providers, watch }) }
  const isPublic = swarm.name === PUBLIC_SWARM && spaces.of(registry).name === PUBLIC_SWARM
  return isPublic && !gateways.isEmpty ? withGateways(peers, { gateways, clock }) : peers
}
