import { join } from 'node:path'
import type { RegistryId } from '../protocol/cid.ts'
import { messageOf } from '../protocol/errors.ts'
import { PUBLIC_NAMES } from '../protocol/membership/names.ts'
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
import type { Desk } from './services/submit/desk.ts'
import type { Sources } from './sources.ts'

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
  /** Filled here: what was compared to the end with somebody. */
  readonly caughtUp: Set<RegistryId>
  /** Filled here: with whom. */
  readonly sources: Sources
  readonly mirror: Mirror
  readonly desk: Desk
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
  const { caughtUp, sources, changes, mirror, records, log } = components
  const swarm = await createSwarm(
    {
      ...settings,
      bootstrap: [...new Set([...settings.bootstrap, ...(await records.dialled())])],
      names: PUBLIC_NAMES,
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
      onReconciled: ({ peer, registry }) => {
        caughtUp.add(registry)
        changes.emit()
        sources.add(registry, peer).then(
          () => changes.emit(),
          (error: unknown) => log.warn({ registry, error: messageOf(error) }, 'a source could not be written down')
        )
      }
    }
  )
  await swarm.start()
  return swarm
}

function swarmComponents(components: NetworkComponents): Omit<SwarmComponents, 'privateKey' | 'datastore'> {
  const { clock, log, facts, blocks, registries, disk, gate, meter, desk } = components
  return {
    blocks,
    registries: () => registries.ids,
    gate: meter.watch(disk.guardPeers(gate)),
    facts: factsOf(facts),
    desk: {
      curates: () => desk.curatesAny(registries.ids),
      submit: (envelope, source) => desk.submit(envelope, source),
      ask: (registry, id, source) => desk.ask(registry, id, source)
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

/** The facts of what is open here: peers may ask about a registry that is being opened, or was closed meanwhile. */
function factsOf(facts: FactStore): SwarmComponents['facts'] {
  return {
    set: registry => (facts.isOpen(registry) ? facts.set(registry) : undefined),
    known: (registry, ids) => facts.known(registry, ids),
    get: (registry, id) => facts.get(registry, id),
    snapshot: registry => facts.snapshot(registry)
  }
}
