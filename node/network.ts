import { join } from 'node:path'
import { toHex } from '../protocol/bytes.ts'
import type { RegistryId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { FactStore } from '../storage/fact-store.ts'
import type { Home } from '../storage/home.ts'
import { openNetworkStore } from '../storage/network-store.ts'
import type { Records } from '../storage/records.ts'
import type { VerifiedBlocks } from '../storage/verified-blocks.ts'
import type { Changes } from './changes.ts'
import type { Config, SwarmSettings } from './config.ts'
import type { DiskGuard } from './disk-guard.ts'
import { loadSwarmSecret } from './identity.ts'
import type { NodeMeter } from './meter.ts'
import type { SwarmComponents } from './p2p/components.ts'
import { swarmKeyOf } from './p2p/swarm-key.ts'
import { createSwarm } from './p2p/swarm.ts'
import type { Swarm } from './p2p/swarm.ts'
import type { Registries } from './registries.ts'
import type { Clock } from './runtime/clock.ts'
import type { Log } from './runtime/log.ts'
import type { Gate } from './services/admit.ts'
import type { Mirror } from './services/mirror.ts'

/** The swarm that parts made before it will use once it runs. */
export interface LateSwarm {
  swarm: Swarm | undefined
}

export interface NetworkComponents {
  readonly clock: Clock
  readonly log: Log
  readonly facts: FactStore
  readonly records: Records
  readonly blocks: VerifiedBlocks
  readonly registries: Registries
  readonly disk: DiskGuard
  readonly gate: Gate
  readonly meter: NodeMeter
  readonly changes: Changes
  /** Filled here: what was read to its end from somebody. */
  readonly caughtUp: Set<RegistryId>
  readonly mirror: Mirror
}

/** Opens the swarms of the configuration. Today that is the public one; each private registry will be another. */
export async function openNetwork(
  { home, config, version }: { readonly home: Home; readonly config: Config; readonly version: string },
  components: NetworkComponents
): Promise<Swarm> {
  const [settings] = config.swarms
  if (settings === undefined) throw new Error('a configuration has at least one swarm')
  const datastore = await openNetworkStore(join(home.paths.dir, `swarm-${settings.name}`))
  try {
    const swarm = await startSwarm({ settings, config, version }, components, {
      privateKey: await swarmKeyOf(await loadSwarmSecret(home, settings.name)),
      datastore
    })
    return {
      ...swarm,
      stop: async () => {
        try {
          await swarm.stop()
        } finally {
          await datastore.close()
        }
      }
    }
  } catch (error) {
    // Also after a setting that was refused: this process may well try again, and the store has one owner at a time.
    await datastore.close()
    throw error
  }
}

interface SwarmInit {
  readonly settings: SwarmSettings
  readonly config: Config
  readonly version: string
}

async function startSwarm(
  { settings, config, version }: SwarmInit,
  components: NetworkComponents,
  own: Pick<SwarmComponents, 'privateKey' | 'datastore'>
): Promise<Swarm> {
  const { caughtUp, changes, mirror, records } = components
  const swarm = await createSwarm(
    {
      ...settings,
      bootstrap: [...new Set([...settings.bootstrap, ...(await records.dialled())])],
      kadProtocol: '/ggen/kad/1.0.0',
      agent: `ggen-node/${version}`,
      roles: config.keep === 'all' ? ['mirror'] : []
    },
    { ...swarmComponents(components), ...own },
    {
      onPeer: () => {
        mirror.retry()
        changes.emit()
      },
      onPeerGone: () => changes.emit(),
      onCaughtUp: ({ registry, toItsEnd }) => {
        // A peer that does not follow the registry, or had no time, has told nothing about it.
        if (toItsEnd) caughtUp.add(registry)
        changes.emit()
      }
    }
  )
  await swarm.start()
  return swarm
}

function swarmComponents(components: NetworkComponents): Omit<SwarmComponents, 'privateKey' | 'datastore'> {
  const { clock, log, facts, records, blocks, registries, disk, gate, meter } = components
  return {
    blocks,
    registries: () => registries.ids,
    gate: meter.watch(disk.guardPeers(gate)),
    factLog: factLogOf(facts),
    cursors: {
      get: (peer: string, registry: RegistryId) => records.cursor(registry, peer),
      set: (peer, registry, cursor) => records.putCursor(registry, peer, cursor)
    },
    clock: {
      now: () => clock.now(),
      after: (ms, task) => {
        const cancel = new AbortController()
        clock.after(ms, task, cancel.signal)
        return () => cancel.abort()
      }
    },
    log: {
      debug: (message, fields = {}) => log.debug(fields, message),
      info: (message, fields = {}) => log.info(fields, message),
      warn: (message, fields = {}) => log.warn(fields, message)
    }
  }
}

/** The set in pages, in the order of its items. Places shift with every change, so a changed set is another log. */
function factLogOf(facts: FactStore): SwarmComponents['factLog'] {
  return {
    epoch: async registry => toHex(facts.head(registry).fingerprint).slice(0, LIMITS.catchUp.epochChars),
    page: async (registry, after, bounds) => {
      const page: Uint8Array[] = []
      let bytes = 0
      let next = after
      for (const item of facts.set(registry).items(after, after + bounds.facts)) {
        const fact = await facts.getItem(registry, item)
        if (fact !== undefined && page.length > 0 && bytes + fact.length > bounds.bytes) break
        next += 1
        if (fact === undefined) continue
        page.push(fact)
        bytes += fact.length
      }
      return { facts: page, next, done: next >= facts.set(registry).size }
    },
    get: (registry, id) => facts.get(registry, id)
  }
}
