import { diskSpace } from '../storage/disk-space.ts'
import { PUBLIC_SWARM } from './config-schema.ts'
import { formatLibraries } from './p2p/library-metrics.ts'
import type { NodeParts } from './parts.ts'
import type { Metrics } from './runtime/metrics.ts'
import type { Space } from './spaces.ts'

/** A private swarm has no name here: whoever reads numbers need not know of which registries this node is a member. */
const SWARMS = ['public', 'private'] as const
const MEMORY = ['rss', 'heap', 'external'] as const
const SPACE = ['free', 'all'] as const

interface Kind {
  readonly swarm: (typeof SWARMS)[number]
  readonly isOurs: (name: string) => boolean
}

/** What the block stores hold. */
function storeNumbers(metrics: Metrics): (parts: NodeParts, kind: Kind) => Promise<void> {
  const blocks = metrics.gauge('ggen_store_blocks', 'Blocks in the store', { swarm: SWARMS })
  const bytes = metrics.gauge('ggen_store_bytes', 'Bytes of the blocks in the store', { swarm: SWARMS })
  const contents = metrics.gauge('ggen_store_contents', 'Contents that are here as a whole', { swarm: SWARMS })
  const damaged = metrics.gauge('ggen_store_damaged_blocks', 'Blocks that the last look at all of them found damaged', {
    swarm: SWARMS
  })
  // Somebody reads this every few seconds: the list is read again only when it has changed.
  const counted = new WeakMap<Space, { readonly changes: number; readonly count: number }>()
  const countIn = async (space: Space): Promise<number> => {
    const { keptChanges } = space
    const known = counted.get(space)
    if (known?.changes === keptChanges) return known.count
    let count = 0
    for await (const _ of space.kept()) count += 1
    counted.set(space, { changes: keptChanges, count })
    return count
  }
  return async ({ spaces, scrubs }, { swarm, isOurs }) => {
    const total = { blocks: 0, bytes: 0, contents: 0, damaged: 0 }
    for (const space of spaces.all.filter(({ name }) => isOurs(name))) {
      const usage = await space.stored.usage()
      total.blocks += usage.blocks
      total.bytes += usage.bytes
      total.contents += await countIn(space)
      total.damaged += (await scrubs.last(space.name))?.damaged ?? 0
    }
    blocks.set({ swarm }, total.blocks)
    bytes.set({ swarm }, total.bytes)
    contents.set({ swarm }, total.contents)
    damaged.set({ swarm }, total.damaged)
  }
}

/** What is not counted as it happens but looked at when somebody asks: the state of the node. */
export class Numbers {
  readonly #set: (parts: NodeParts) => Promise<void>

  constructor(metrics: Metrics) {
    const peers = metrics.gauge('ggen_peers', 'Peers that are connected', { swarm: SWARMS })
    const swarms = metrics.gauge('ggen_swarms', 'Hosts that run', { swarm: SWARMS })
    const registries = metrics.gauge('ggen_registries', 'Registries that are followed', { swarm: SWARMS })
    const facts = metrics.gauge('ggen_store_facts', 'Facts in the sets of the registries', {})
    const pending = metrics.gauge('ggen_store_pending_facts', 'Facts that wait for another one', {})
    const mesh = metrics.gauge('ggen_gossip_mesh_peers', 'Peers to whom new facts are told at once', { swarm: SWARMS })
    const stored = storeNumbers(metrics)
    const kept = metrics.gauge('ggen_mirror_roots', 'Contents that the mirror holds as a whole', {})
    const wanted = metrics.gauge('ggen_mirror_wanted_roots', 'Contents that the mirror has still to fetch', {})
    const withheld = metrics.gauge('ggen_takedowns', 'Contents that the operator withholds', {})
    const disk = metrics.gauge('ggen_disk_bytes', 'Space on the disk of the data directory', { space: SPACE })
    const readOnly = metrics.gauge('ggen_store_read_only', '1 while nothing is written', {})
    const memory = metrics.gauge('ggen_memory_bytes', 'Memory of the process', { kind: MEMORY })
    const cpu = metrics.counter('ggen_cpu_seconds_total', 'Processor time of the process', {})
    const up = metrics.gauge('ggen_up_seconds', 'Since the node was started', {})
    this.#set = async parts => {
      const { registries: followed, gate } = parts
      for (const swarm of SWARMS) {
        const isOurs = (name: string): boolean => (name === PUBLIC_SWARM) === (swarm === 'public')
        const connected = parts.swarms.peers().filter(peer => peer.connected && isOurs(peer.swarm))
        peers.set({ swarm }, connected.length)
        const hosts = parts.swarms.all.filter(({ name }) => isOurs(name))
        swarms.set({ swarm }, hosts.length)
        mesh.set({ swarm }, sum(hosts.map(host => host.meshPeers())))
        await stored(parts, { swarm, isOurs })
        registries.set({ swarm }, followed.all.filter(each => isOurs(each.swarm)).length)
      }
      facts.set({}, sum(followed.ids.map(id => (parts.facts.isOpen(id) ? parts.facts.head(id).count : 0))))
      pending.set({}, sum(followed.ids.map(id => gate.pendingCount(id))))
      kept.set({}, parts.mirror.kept)
      wanted.set({}, parts.mirror.fetching)
      withheld.set({}, parts.spaces.takedowns.all.length)
      const { freeBytes, totalBytes } = await diskSpace(parts.home)
      disk.set({ space: 'free' }, freeBytes)
      disk.set({ space: 'all' }, totalBytes)
      readOnly.set({}, parts.isReadOnly() ? 1 : 0)
      const used = process.memoryUsage()
      memory.set({ kind: 'rss' }, used.rss)
      memory.set({ kind: 'heap' }, used.heapUsed)
      memory.set({ kind: 'external' }, used.external)
      const { user, system } = process.cpuUsage()
      cpu.set({}, (user + system) / 1_000_000)
      up.set({}, Math.max(0, parts.clock.now() - parts.started) / 1_000)
    }
  }

  /** Everything that is counted, the libraries' own numbers behind ours. */
  async format(parts: NodeParts): Promise<string> {
    await this.#set(parts)
    const { metrics, libraries } = parts.meter
    const hosts = await Promise.all(
      [...libraries].map(async ([name, numbers]) => {
        const kind = name === PUBLIC_SWARM ? 'public' : 'private'
        return [kind, await numbers.samples()] as const
      })
    )
    return metrics.format() + formatLibraries(hosts)
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}
