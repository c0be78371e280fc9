import type { BackupRecord } from '../protocol/backup.ts'
import type { RegistryId } from '../protocol/cid.ts'
import { RegistryError, messageOf } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { peerIdOf } from '../attestation/keys.ts'
import { privateKeys, privateNames } from '../protocol/membership/names.ts'
import { parseAlias } from '../protocol/reference.ts'
import type { FactStore } from '../storage/fact-store.ts'
import type { Home } from '../storage/home.ts'
import { removeKey } from '../storage/key-files.ts'
import type { KeyValue } from '../storage/key-value.ts'
import { keyName, SwarmRecords } from '../storage/swarm-records.ts'
import type { Changes } from './changes.ts'
import type { Config, SwarmSettings } from './config.ts'
import { PUBLIC_SWARM } from './config-schema.ts'
import type { DiskGuard } from './disk-guard.ts'
import { loadSwarmSecret } from './identity.ts'
import type { KeySigner } from './identity.ts'
import type { Network } from './network.ts'
import type { Registries } from './registries.ts'
import type { Clock } from './runtime/clock.ts'
import type { Log } from './runtime/log.ts'
import type { Gate } from './services/admit.ts'
import { MembersOfSwarm } from './services/swarm/members.ts'
import type { HostSigner } from './services/swarm/signer.ts'
import type { SwarmSecrets } from './services/swarm/swarm-store.ts'
import type { Spaces } from './spaces.ts'
import type { Swarms } from './swarms.ts'
import { isOutdated, wallsOf } from './swarm-walls.ts'
import type { RunsUnder } from './swarm-walls.ts'

export interface PrivateSwarmsInit {
  readonly home: Home
  readonly config: Config
}

export interface PrivateSwarmsComponents {
  readonly kv: KeyValue
  readonly registries: Registries
  readonly spaces: Spaces
  readonly swarms: Swarms
  readonly facts: FactStore
  readonly gate: Gate
  readonly disk: DiskGuard
  readonly signer: KeySigner
  readonly clock: Clock
  readonly log: Log
  readonly changes: Changes
}

/** What is kept of a private swarm. */
export type SwarmRecord = Awaited<ReturnType<SwarmRecords['read']>>

/** One private swarm of this node. */
export interface PrivateSwarm {
  readonly name: string
  readonly registry: RegistryId
  readonly store: SwarmRecords
  readonly members: MembersOfSwarm
  /** Why its host does not run, when it does not. */
  readonly failure: string | undefined
}

interface Entry extends PrivateSwarm {
  failure: string | undefined
  /** Under which secrets its host runs. */
  running: RunsUnder | undefined
  readonly abort: AbortController
  /** Facts came in, and a look at everything is due that has not begun. */
  isStale: boolean
  /** Host work, one after the other. */
  last: Promise<void>
  peerId: string
}

/**
 * The private swarms of this node: what is kept of them, who is a member, and their hosts.
 *
 * Invariants:
 * 1. A host runs under the newest secret that is known: when another one came, it starts again under its names.
 * 2. A host that can't start keeps nobody else from starting; why is shown.
 * 3. The record comes before the registry is followed, and goes after it: a crash between the two leaves a record of
 *    nothing, which the next start clears, and never a private registry that the public host speaks of.
 */
export class PrivateSwarms {
  readonly #init: PrivateSwarmsInit
  readonly #components: PrivateSwarmsComponents
  readonly #entries = new Map<string, Entry>()
  readonly #compared = new Map<RegistryId, number>()
  #network: Network | undefined

  constructor(init: PrivateSwarmsInit, components: PrivateSwarmsComponents) {
    this.#init = init
    this.#components = components
  }

  /** Opens what is kept. The registries are open, and no host runs yet. */
  async load(): Promise<void> {
    const { kv, registries } = this.#components
    for (const name of await SwarmRecords.names(kv)) {
      const followed = registries.all.find(({ swarm }) => swarm === name)
      if (followed === undefined) await this.#forget(name)
      else await this.#openOrWarn(name, followed.id)
    }
  }

  /** Starts all hosts. */
  async start(network: Network): Promise<void> {
    this.#network = network
    for (const entry of this.#entries.values()) await this.#startHost(entry)
  }

  /** Ends what runs beside the hosts; the network stops those. */
  async stop(): Promise<void> {
    this.#network = undefined
    for (const { abort, last } of this.#entries.values()) {
      abort.abort()
      await last
    }
  }

  get all(): readonly PrivateSwarm[] {
    return [...this.#entries.values()]
  }

  get isNetworked(): boolean {
    return this.#network !== undefined
  }

  /** The private swarm of a registry. @throws RegistryError USAGE when it is public */
  of(registry: RegistryId): PrivateSwarm {
    const entry = [...this.#entries.values()].find(each => each.registry === registry)
    if (entry !== undefined) return entry
    const alias = this.#components.registries.all.find(({ id }) => id === registry)?.alias ?? registry
    throw new RegistryError('USAGE', `${alias} is no private registry of this node`, {
      tried: [`private here: ${this.all.map(({ name }) => name).join(', ') || 'none'}`],
      next: 'make one with ggen-node swarm create NAME, or join one with ggen-node join TOKEN'
    })
  }

  /** What is kept of a private swarm; undefined for the public one. */
  async recordOf(name: string): Promise<SwarmRecord | undefined> {
    return this.#entries.get(name)?.store.read()
  }

  /** Facts about the registry itself came in: who is a member may have changed. */
  noticed(registry: RegistryId): void {
    for (const entry of this.#entries.values()) {
      // A snapshot brings a thousand facts, and one look at all hosts is enough for what came before it.
      if (entry.registry !== registry || entry.isStale) continue
      entry.isStale = true
      this.#inTurn(entry, () => {
        entry.isStale = false
        return entry.members.recheck()
      })
    }
  }

  /** A registry was compared with somebody to the end. */
  compared(registry: RegistryId): void {
    this.#compared.set(registry, this.#components.clock.now())
  }

  /** Writes down a new swarm, before its registry is followed. @throws RegistryError ALREADY_EXISTS | LIMIT_EXCEEDED */
  async record(
    name: string,
    { secrets, vouched, listen }: { secrets: SwarmSecrets; vouched: readonly string[]; listen: readonly string[] }
  ): Promise<void> {
    const { kv, registries, spaces } = this.#components
    // Before anything is written: what has no good name is found by nobody who clears up.
    assertSwarmName(name)
    if (name === PUBLIC_SWARM || registries.all.some(({ alias, swarm }) => alias === name || swarm === name)) {
      throw new RegistryError('ALREADY_EXISTS', `a registry or swarm ${name} is there already`, {
        next: 'choose another name with --alias'
      })
    }
    if ((await SwarmRecords.names(kv)).length >= LIMITS.membership.swarms) {
      throw new RegistryError('LIMIT_EXCEEDED', `a node is in at most ${LIMITS.membership.swarms} private swarms`)
    }
    const store = this.#storeOf(name)
    await store.putVouched(vouched)
    await store.putListen(listen)
    await store.putSecrets(secrets)
    await spaces.add(name)
  }

  /**
   * Opens a swarm that was written down and whose registry is followed, and starts its host where there is a network. A
   * host calls members as soon as it starts: a guest must be told before, or they hear of a key that nobody let in.
   */
  async open(name: string, registry: RegistryId, guest?: HostSigner): Promise<PrivateSwarm> {
    const entry = this.#entries.get(name) ?? (await this.#open(name, registry))
    if (guest !== undefined) entry.members.enterAs(guest)
    if (this.#network !== undefined && entry.running === undefined) await this.#startHost(entry)
    // What was proposed must get through the outer wall before anybody is called.
    this.#inTurn(entry, () => this.#restart(entry))
    await entry.last
    return entry
  }

  /** Stops a host. With `forget` nothing is left that would let this node in again. */
  async close(name: string, { forget }: { readonly forget: boolean }): Promise<void> {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    this.#entries.delete(name)
    entry.abort.abort()
    await entry.last
    await this.#network?.close(name)
    if (forget) await this.#forget(name)
  }

  /** Puts a swarm back that a backup holds. Without its sealed secret only the facts are there. */
  async restore(record: Extract<BackupRecord, { type: 'private' }>, secret: Uint8Array | undefined): Promise<void> {
    const { registries, spaces } = this.#components
    const { id, alias, isDefault, swarm, epoch, psk, addresses } = record
    if (secret === undefined) await spaces.add(swarm)
    else
      await this.record(swarm, {
        secrets: { secret, epoch, psk, previous: null, record: null },
        vouched: addresses,
        listen: []
      })
    await registries.add(id, { alias, isDefault, swarm })
  }

  async #openOrWarn(name: string, registry: RegistryId): Promise<void> {
    try {
      await this.#open(name, registry)
    } catch (error) {
      this.#components.log.error({ swarm: name, error }, 'what is kept of a private swarm cannot be read')
    }
  }

  async #open(name: string, registry: RegistryId): Promise<Entry> {
    const { facts, gate, disk, signer, clock, log, swarms } = this.#components
    const peerId = peerIdOf(await loadSwarmSecret(this.#init.home, name))
    const store = this.#storeOf(name)
    const connected = (): readonly string[] =>
      (swarms.named(name)?.peers() ?? []).filter(peer => peer.connected).map(({ id }) => id)
    const { bootstrap, allowPeers } = this.#settings(name)
    const configured = new Set([
      ...allowPeers,
      ...bootstrap.map(address => address.slice(address.lastIndexOf('/') + 1))
    ])
    const members = await MembersOfSwarm.open({
      registry,
      peer: peerId,
      signer,
      // What hosts show comes from peers, like all that they send.
      gate: { state: of => gate.state(of), admitMany: disk.guardPeers(gate).admitMany },
      store,
      envelope: id => facts.get(registry, id),
      announce: ({ id, bytes }) => {
        // Nobody listens: reconciliation tells it to whoever comes.
        swarms
          .named(name)
          ?.publishFact(registry, id, bytes)
          .catch((error: unknown) => log.debug({ error }, 'a fact could not be gossiped'))
      },
      comparedAt: () => this.#compared.get(registry),
      isConfigured: peer => configured.has(peer),
      connected,
      clock,
      log
    })
    const abort = new AbortController()
    const entry: Entry = {
      name,
      registry,
      store,
      members,
      failure: undefined,
      running: undefined,
      isStale: false,
      abort,
      last: Promise.resolve(),
      peerId
    }
    this.#entries.set(name, entry)
    members.start(abort.signal)
    members.onChange(() => {
      this.#components.changes.emit()
      if (isOutdated(entry.running, entry.members.keys)) this.#inTurn(entry, () => this.#restart(entry))
    })
    return entry
  }

  async #restart(entry: Entry): Promise<void> {
    if (this.#network === undefined || !isOutdated(entry.running, entry.members.keys)) return
    await this.#network.close(entry.name)
    entry.running = undefined
    await this.#startHost(entry)
  }

  async #startHost(entry: Entry): Promise<void> {
    const { name, members } = entry
    const secrets = members.keys.current
    const listen = await this.#listenOf(entry)
    const walls = wallsOf(members.keys)
    const psks = walls.map(secret => privateKeys(secret).psk)
    const host = { names: privateNames(secrets.secret), psks, membership: members }
    const settings = await this.#hostSettings(entry)
    const tryWith = async (addresses: readonly string[]): Promise<void> => {
      await this.#network?.openPrivate(name, { ...host, settings: { ...settings, listen: addresses } })
    }
    entry.running = { secret: secrets.secret, walls }
    try {
      await tryWith(listen).catch(async (error: unknown) => {
        // Its port was free when it was last here. Somebody who must be reached at one address writes it down.
        if (!isPortInUse(error) || this.#settings(name).listen.length > 0) throw error
        await tryWith(listen.map(address => address.replace(/\/tcp\/\d+/, '/tcp/0')))
      })
      entry.failure = undefined
      await this.#rememberPort(entry, listen)
    } catch (error) {
      entry.running = undefined
      entry.failure = messageOf(error)
      this.#components.log.error({ swarm: name, error }, 'the host of a private swarm could not start')
    }
    this.#components.changes.emit()
  }

  /** What the operator wrote down for this swarm, if anything. */
  #settings(name: string): SwarmSettings {
    // Members find each other on the local network and carry each other's bytes: nobody else can ask them to.
    const none = { name, listen: [], bootstrap: [], mdns: true, relay: true, allowPeers: [] }
    return this.#init.config.swarms.slice(1).find(swarm => swarm.name === name) ?? none
  }

  async #hostSettings({ name, store }: Entry): Promise<SwarmSettings> {
    const settings = this.#settings(name)
    const { vouched } = await store.read()
    return { ...settings, bootstrap: [...new Set([...settings.bootstrap, ...vouched])] }
  }

  /**
   * As configured, else where it listened last, else like the public host on a port of its own. A node that does not
   * listen in public listens nowhere.
   */
  async #listenOf({ name, store }: Entry): Promise<readonly string[]> {
    const [publicSettings] = this.#init.config.swarms
    const like = publicSettings?.listen ?? []
    if (like.length === 0) return []
    const configured = this.#settings(name).listen
    if (configured.length > 0) return configured
    const last = await store.listen()
    return last.length > 0 ? last : like.map(address => address.replace(/\/tcp\/\d+/, '/tcp/0'))
  }

  /** So that the addresses in tokens, and what members remember, are good after a restart. */
  async #rememberPort({ name, store }: Entry, listen: readonly string[]): Promise<void> {
    const actual = this.#components.swarms.named(name)?.addresses() ?? []
    const port = actual.map(address => /\/tcp\/(\d+)/.exec(address)?.[1]).find(found => found !== undefined)
    if (port === undefined || listen.length === 0) return
    const remembered = listen.map(address => address.replace(/\/tcp\/0(?=\/|$)/, `/tcp/${port}`))
    if (remembered.join() !== (await store.listen()).join()) await store.putListen(remembered)
  }

  #inTurn(entry: Entry, task: () => Promise<void>): void {
    entry.last = entry.last.then(async () => {
      if (entry.abort.signal.aborted) return
      await task().catch((error: unknown) => {
        this.#components.log.error({ swarm: entry.name, error }, 'a private swarm could not be looked after')
      })
    })
  }

  async #forget(name: string): Promise<void> {
    await this.#storeOf(name).forget()
    const { keys } = this.#init.home.paths
    for (const key of [keyName(name), `swarm-${name}`]) await removeKey(keys, key).catch(() => undefined)
  }

  #storeOf(name: string): SwarmRecords {
    return new SwarmRecords(this.#components.kv, { keys: this.#init.home.paths.keys, name })
  }
}

/** The name of a swarm is an alias, and part of the names of its key files. @throws RegistryError INVALID_REFERENCE | USAGE */
function assertSwarmName(name: string): void {
  parseAlias(name)
  const most = LIMITS.keys.nameChars - keyName('').length
  if (name.length <= most) return
  throw new RegistryError(
    'USAGE',
    `the alias of a private registry has at most ${most} characters, and this one has ${name.length}`,
    {
      next: 'choose a shorter one with --alias'
    }
  )
}

function isPortInUse(error: unknown): boolean {
  return error instanceof RegistryError && error.code === 'PORT_IN_USE'
}
