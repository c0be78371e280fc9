import { join } from 'node:path'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'
import { messageOf } from '../protocol/errors.ts'
import { PUBLIC_NAMES } from '../protocol/membership/names.ts'
import type { FactStore } from '../storage/fact-store.ts'
import type { Home } from '../storage/home.ts'
import { openNetworkStore } from '../storage/network-store.ts'
import type { Records } from '../storage/records.ts'
import type { Changes } from './changes.ts'
import type { Config, SwarmSettings } from './config.ts'
import { PUBLIC_SWARM } from './config-schema.ts'
import type { DiskGuard } from './disk-guard.ts'
import { loadSwarmSecret } from './identity.ts'
import type { NodeMeter } from './meter.ts'
import type { HeldRoots, SwarmComponents, SwarmConfig, Throttles } from './p2p/components.ts'
import { LibraryNumbers } from './p2p/library-metrics.ts'
import { swarmKeyOf } from './p2p/swarm-key.ts'
import { createSwarm } from './p2p/swarm.ts'
import { SharedThrottle } from './p2p/throttle.ts'
import type { Reach } from './reach.ts'
import type { Reachable } from './reachable.ts'
import type { Registries } from './registries.ts'
import type { Clock } from './runtime/clock.ts'
import type { Log } from './runtime/log.ts'
import type { Gate } from './services/admit.ts'
import type { Mirror } from './services/mirror.ts'
import type { Desk } from './services/submit/desk.ts'
import type { Sources } from './sources.ts'
import type { Space, Spaces } from './spaces.ts'
import { publicRegistries } from './swarms.ts'
import type { Swarms } from './swarms.ts'

export interface NetworkInit {
  readonly home: Home
  readonly config: Config
  readonly version: string
}

export interface NetworkComponents {
  readonly clock: Clock
  readonly log: Log
  readonly facts: FactStore
  readonly records: Records
  readonly spaces: Spaces
  readonly swarms: Swarms
  readonly registries: Registries
  readonly disk: DiskGuard
  readonly gate: Gate
  readonly reach: Pick<Reach, 'in' | 'sightOf'>
  readonly meter: NodeMeter
  readonly changes: Changes
  /** Filled here: what was compared to the end with somebody. */
  readonly caughtUp: Set<RegistryId>
  /** Filled here: with whom. */
  readonly sources: Sources
  readonly mirror: Mirror
  readonly desk: Desk
  /** Whether all bytes of a registry are kept here: members and neighbours are told. */
  readonly mirrors: (registry: RegistryId) => boolean
  readonly onCompared: (registry: RegistryId) => void
}

/** What a private host has of its own. */
export type PrivateHost = Pick<SwarmConfig, 'names' | 'psks'> & {
  readonly settings: SwarmSettings
  readonly membership: NonNullable<SwarmComponents['membership']>
}

/** Opens and closes the hosts of a node. */
export class Network {
  readonly #init: NetworkInit
  readonly #components: NetworkComponents
  /** One of each for all hosts: what an operator pays for is one line. */
  readonly #throttles: Throttles

  constructor(init: NetworkInit, components: NetworkComponents) {
    this.#init = init
    this.#components = components
    const throttle = (rate: number | undefined): SharedThrottle | undefined =>
      rate === undefined ? undefined : new SharedThrottle(rate, timeOf(components.clock))
    this.#throttles = { upload: throttle(init.config.upload), download: throttle(init.config.download) }
  }

  async openPublic(): Promise<void> {
    const [settings] = this.#init.config.swarms
    if (settings === undefined) throw new Error('a configuration has at least one swarm')
    const bootstrap = [...new Set([...settings.bootstrap, ...(await this.#components.records.dialled())])]
    await this.#open(PUBLIC_SWARM, { ...settings, bootstrap, names: PUBLIC_NAMES }, {})
  }

  async openPrivate(name: string, { settings, membership, names, psks = [] }: PrivateHost): Promise<void> {
    await this.#open(name, { ...settings, names, ...(psks.length > 0 ? { psks } : {}) }, { membership })
  }

  async close(name: string): Promise<void> {
    const { swarms, meter } = this.#components
    await swarms.take(name)?.stop()
    meter.libraries.delete(name)
  }

  async #open(
    name: string,
    settings: Omit<SwarmConfig, 'agent' | 'roles'>,
    own: Pick<SwarmComponents, 'membership'>
  ): Promise<void> {
    const { home, version } = this.#init
    const { swarms, meter } = this.#components
    const datastore = await openNetworkStore(join(home.paths.dir, `swarm-${settings.name}`))
    try {
      const privateKey = await swarmKeyOf(await loadSwarmSecret(home, settings.name))
      const numbers = this.#init.config.http.metrics === '' ? undefined : new LibraryNumbers()
      if (numbers !== undefined) meter.libraries.set(name, numbers)
      const swarm = await createSwarm(
        { ...settings, agent: `ggen-node/${version}`, roles: this.#isMirror(name) ? ['mirror'] : [] },
        {
          ...swarmComponents(name, this.#components),
          ...own,
          throttles: this.#throttles,
          isLeech: this.#init.config.leech,
          privateKey,
          datastore,
          ...(numbers && { numbers })
        },
        this.#events()
      )
      await swarm.start()
      const stop = async (): Promise<void> => {
        try {
          await swarm.stop()
        } finally {
          await datastore.close()
        }
      }
      swarms.started(name, { ...swarm, stop })
    } catch (error) {
      // Also after a setting that was refused: this process may well try again, and the store has one owner at a time.
      await datastore.close()
      throw error
    }
  }

  #isMirror(name: string): boolean {
    const { registries, mirrors } = this.#components
    if (name === PUBLIC_SWARM) return this.#init.config.keep === 'all'
    return registries.all.some(({ id, swarm }) => swarm === name && mirrors(id))
  }

  #events(): Parameters<typeof createSwarm>[2] {
    const { caughtUp, sources, changes, mirror, log, onCompared, registries, meter } = this.#components
    return {
      onFact: ({ way }) => meter.counts.fact(way),
      onGossip: ({ verdict }) => meter.counts.gossip(verdict),
      onCut: ({ reason }) => meter.counts.cut(reason),
      onPeer: () => {
        mirror.retry()
        changes.emit()
      },
      onPeerGone: () => changes.emit(),
      onTold: () => changes.emit(),
      onReconciled: ({ peer, registry, missing }) => {
        meter.counts.compared(missing)
        // Its host is just being stopped: what is written down of a registry that was left would outlive it.
        if (!registries.ids.includes(registry)) return
        caughtUp.add(registry)
        onCompared(registry)
        changes.emit()
        sources.add(registry, peer).then(
          () => changes.emit(),
          (error: unknown) => log.warn({ registry, error: messageOf(error) }, 'a source could not be written down')
        )
      }
    }
  }
}

/** The registries that one host may speak of. */
function registriesOf(name: string, { registries, gate }: NetworkComponents): readonly RegistryId[] {
  const own = registries.all.filter(({ swarm }) => swarm === name).map(({ id }) => id)
  return name === PUBLIC_SWARM ? publicRegistries(own, gate) : own
}

/**
 * What one host is given. Everything that answers by registry answers for its own ones only. Attack: a peer of the
 * public swarm asks for the set of a private registry whose id it has heard of.
 */
function swarmComponents(
  name: string,
  components: NetworkComponents
): Omit<SwarmComponents, 'privateKey' | 'datastore'> {
  const { clock, log, spaces, disk, gate, reach, meter, desk } = components
  const registries = (): readonly RegistryId[] => registriesOf(name, components)
  const isOurs = (registry: RegistryId): boolean => registries().includes(registry)
  return {
    blocks: spaces.named(name).blocks,
    sight: reach.sightOf(name),
    onServed: bytes => meter.counts.served(bytes),
    // Of its own space alone. Attack: the public host tells strangers, root by root, what a private swarm holds.
    held: heldIn(spaces.named(name), spaces.takedowns, reach.in(name)),
    registries,
    gate: meter.watch(disk.guardPeers(gate)),
    facts: factsOf(components.facts, isOurs),
    desk: {
      curates: () => desk.curatesAny(registries()),
      submit: (envelope, source) => desk.submit(envelope, { ...source, carries: isOurs }),
      ask: (registry, id, source) => desk.ask(registry, id, { ...source, carries: isOurs })
    },
    clock: timeOf(clock),
    log: {
      debug: (message, fields = {}) => log.debug(fields, message),
      info: (message, fields = {}) => log.info(fields, message),
      warn: (message, fields = {}) => log.warn(fields, message)
    }
  }
}

function timeOf(clock: Clock): SwarmComponents['clock'] {
  return {
    now: () => clock.now(),
    after: (ms, task) => {
      const cancel = new AbortController()
      clock.after(ms, task, cancel.signal)
      return () => cancel.abort()
    }
  }
}

type Stops = Pick<Reachable, 'isStopped' | 'isKnownStopped' | 'onStopped'>

/** What a space holds as a whole, but for what an operator withholds and what is in quarantine: nobody is given that. */
function heldIn(space: Space, takedowns: Spaces['takedowns'], stops: Stops): HeldRoots {
  const isWithheld = async (root: ContentId): Promise<boolean> =>
    takedowns.isTakenDown(root) || (await stops.isStopped(root, AbortSignal.timeout(LIMITS.gateway.lookMs)))
  return {
    isWithheld,
    async *list() {
      let isRead = true
      for await (const root of space.kept()) {
        // A registry that takes long to read does not hold this up: what turns out to be stopped is told afterwards.
        const isIn = isRead ? isWithheld(root).catch(() => (isRead = false)) : takedowns.isTakenDown(root)
        if (!(await isIn)) yield root
      }
    },
    onChange: listener => {
      const stopKept = space.onKept((root, isKept) => {
        if (!isKept || !stops.isKnownStopped(root)) listener(root, isKept)
      })
      const stopStopped = stops.onStopped((root, isShown) => {
        const isHere = space.isKept(root).catch(() => false)
        void isHere.then(is => (is && !takedowns.isTakenDown(root) ? listener(root, isShown) : undefined))
      })
      return () => {
        stopKept()
        stopStopped()
      }
    }
  }
}

/** The facts of what is open here: peers may ask about a registry that is being opened, or was closed meanwhile. */
function factsOf(facts: FactStore, isOurs: (registry: RegistryId) => boolean): SwarmComponents['facts'] {
  return {
    set: registry => (isOurs(registry) && facts.isOpen(registry) ? facts.set(registry) : undefined),
    known: async (registry, ids) => (isOurs(registry) ? facts.known(registry, ids) : ids.map(() => undefined)),
    get: async (registry, id) => (isOurs(registry) ? facts.get(registry, id) : undefined),
    async *snapshot(registry) {
      if (isOurs(registry)) yield* facts.snapshot(registry)
    }
  }
}
