import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import type { ContentId, FactId, RegistryId } from '../../protocol/cid.ts'
import { RegistryError, messageOf } from '../../protocol/errors.ts'
import type { Hello } from '../../protocol/hello.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { SubmitAnswer, SubmitRequest } from '../../protocol/submit-messages.ts'
import { assertProtocols } from './assert-host.ts'
import { assertConfig } from './assertions.ts'
import type { SwarmComponents, SwarmConfig, SwarmEvents } from './components.ts'
import { compose } from './compose.ts'
import type { Parts } from './compose.ts'
import { dial } from './dial.ts'
import { fetchTogether } from './dag-together.ts'
import type { TogetherOptions, TogetherOrder } from './dag-together.ts'
import { createFetchSession } from './fetch.ts'
import type { FetchOptions, FetchSession } from './fetch.ts'
import type { Gossip } from './gossip.ts'
import type { HeliaHost } from './helia.ts'
import { leftoverTimers } from './leftover-timers.ts'
import type { Host } from './libp2p.ts'
import type { SocketMeter, Traffic } from './meter.ts'
import type { Peers } from './peers.ts'
import { askSubmission } from './submit-client.ts'

/** One peer as people are shown it. Totals of bytes outlive the connection. */
export interface PeerInfo extends Traffic {
  readonly id: string
  readonly connected: boolean
  readonly direction: 'inbound' | 'outbound' | undefined
  readonly address: string | undefined
  readonly agent: string | undefined
  readonly version: number | undefined
  readonly registries: readonly RegistryId[]
  readonly roles: Hello['roles']
  readonly score: number
}

/** One libp2p host with everything that belongs to it. A process may hold several; they share nothing. */
export interface Swarm {
  readonly name: string
  readonly peerId: string
  readonly helia: HeliaHost
  readonly libp2p: Host
  /** @throws RegistryError PORT_IN_USE */
  start(): Promise<void>
  stop(): Promise<void>
  addresses(): readonly string[]
  peers(): readonly PeerInfo[]
  /** Of a private swarm: the key of the secret that a peer's introduction was held under. */
  heldUnder(peer: string): Uint8Array | undefined
  /** Bytes over all sockets since the start. */
  traffic(): Traffic
  /** Peers to whom new facts are told at once. */
  meshPeers(): number
  /**
   * Dials and waits for the introduction.
   * @throws RegistryError PEER_UNREACHABLE | PEER_SILENT | PEER_INCOMPATIBLE | NOT_AUTHORIZED
   */
  connect(address: string, options?: { readonly signal?: AbortSignal }): Promise<string>
  disconnect(peer: string): Promise<void>
  /**
   * Of a private swarm: looks now whether everybody who is here is still a member, and cuts who is not in the middle of
   * whatever is open. Returns how many peers were cut.
   */
  recheck(): number
  /** Strikes a peer for a fact that the gate rejected later, when what it had waited for came. */
  blame(peer: string): void
  /** Tells a fact that is durable here; returns to how many peers it was handed. */
  publishFact(registry: RegistryId, id: FactId, envelope: Uint8Array): Promise<number>
  /** Asks one peer for a name. @throws RegistryError PEER_UNREACHABLE | TIMEOUT | MALFORMED */
  askSubmission(peer: string, request: SubmitRequest, signal: AbortSignal): Promise<SubmitAnswer>
  follow(registry: RegistryId): void
  unfollow(registry: RegistryId): void
  /** Compares a registry with everybody who is here now, without waiting for the interval. */
  reconcile(registry: RegistryId): void
  /** Gets blocks, for one package; `registry` says which neighbours are asked first. */
  fetch(registry: RegistryId | undefined, options?: FetchOptions): FetchSession
  /** Gets small contents of one registry together, as far as they come that way: the blocks by their content ids. */
  fetchTogether(
    registry: RegistryId,
    orders: readonly TogetherOrder[],
    options: TogetherOptions
  ): Promise<ReadonlyMap<string, Uint8Array>>
  /** Says in the DHT, later and in turn, that this node has a content root. */
  provide(cid: CID): void
  /** Says nothing new in the DHT until the returned function is called, or for a while. */
  holdProviding(): () => void
  /** Peers that are here and say that they hold a root as a whole. */
  holders(root: ContentId): readonly string[]
  /** Counts up whenever a peer says that it holds something else than before. */
  haveChanges(): number
  findProviders(cid: CID, options?: { readonly signal?: AbortSignal }): Promise<readonly string[]>
}

/** Composes a swarm; nothing runs and no socket is open before `start()`. @throws RegistryError USAGE */
export async function createSwarm(
  config: SwarmConfig,
  components: SwarmComponents,
  events: SwarmEvents = {}
): Promise<Swarm> {
  const checked = assertConfig(config, components)
  const parts = await compose({ config, checked, components, events })
  return swarmOf(config, components, parts)
}

function swarmOf(config: SwarmConfig, components: SwarmComponents, parts: Parts): Swarm {
  const { host, helia, peers, gossip, meter, sync, routing, tuning, remembered, have, shown, further, company } = parts
  const { blocks, clock, log } = components
  return {
    name: config.name,
    peerId: host.peerId.toString(),
    helia,
    libp2p: host,
    start: async () => await start(config, components, parts),
    stop: async () => await stop(parts),
    addresses: () => host.getMultiaddrs().map(address => address.toString()),
    peers: () => peerInfos(peers, gossip, meter),
    heldUnder: peer => peers.get(peer)?.under,
    traffic: () => meter.total(),
    meshPeers: () => gossip.meshPeers,
    connect: async (address, { signal } = {}) => {
      const target = parseTarget(address)
      return await dial(host, target, {
        membership: components.membership,
        signal: signal ?? AbortSignal.timeout(LIMITS.connections.dialTimeoutMs)
      })
    },
    disconnect: async peer => {
      remembered.forget(peer)
      await Promise.all(host.getConnections().map(async each => await closeIf(each, peer)))
    },
    recheck: () => parts.members?.standing.recheck() ?? 0,
    blame: peer => peers.blame(peer, 'invalid-facts'),
    publishFact: async (registry, id, envelope) => await gossip.publish(registry, id, envelope),
    askSubmission: async (peer, request, signal) =>
      await askSubmission({ connection: peers.connection(peer), clock }, request, signal),
    follow: registry => {
      gossip.follow(registry)
      sync.follow(registry)
    },
    unfollow: registry => {
      gossip.unfollow(registry)
      sync.unfollow(registry)
    },
    reconcile: registry => sync.readFromAll(registry),
    fetch: (registry, options) => {
      const own = { helia, blocks, routing, peers, clock, log, tuning, have: have.table, shown, further, company }
      const throttle = components.throttles?.download
      return createFetchSession({ ...own, throttle, neighbours: () => neighbours(peers, gossip, registry) }, options)
    },
    fetchTogether: async (registry, orders, options) => {
      const own = { peers, clock, log, tuning, shown, have: have.table, throttle: components.throttles?.download }
      return await fetchTogether({ ...own, neighbours: () => neighbours(peers, gossip, registry) }, orders, options)
    },
    provide: cid => (components.isLeech === true ? undefined : routing.provide(cid)),
    holdProviding: () => routing.hold(),
    holders: root => have.table.holders(root),
    haveChanges: () => have.table.changes,
    findProviders: async (cid, { signal } = {}) =>
      await routing.findProviders(cid, signal ?? AbortSignal.timeout(LIMITS.dht.lookupMs))
  }
}

/** In order: what is counted, the host and its stores, then what uses them. */
async function start(
  config: SwarmConfig,
  components: SwarmComponents,
  { helia, quota, peerCache, members, gossip, sync, have, routing, dialer, remembered, rejoiner }: Parts
): Promise<void> {
  await quota.load()
  await peerCache.load()
  await remembered.load()
  try {
    await helia.start()
  } catch (cause) {
    await helia.stop()
    const text = messageOf(cause)
    if (!text.includes('EADDRINUSE')) throw cause
    throw new RegistryError('PORT_IN_USE', `swarm ${config.name} cannot listen on ${config.listen.join(', ')}`, {
      cause,
      next: 'stop the other program, or choose another port with --listen'
    })
  }
  try {
    assertProtocols(helia.libp2p.getProtocols(), config)
  } catch (error) {
    await helia.stop()
    throw error
  }
  gossip.start()
  for (const registry of components.registries()) {
    gossip.follow(registry)
    sync.follow(registry)
  }
  sync.start()
  have.teller.start()
  routing.start()
  members?.standing.start()
  members?.line.start()
  dialer.start()
  rejoiner.start()
}

/** In reverse, all of it, whatever fails. */
async function stop({
  host,
  helia,
  members,
  gossip,
  sync,
  have,
  dialer,
  routing,
  peerCache,
  remembered,
  rejoiner,
  company
}: Parts): Promise<void> {
  const failures: unknown[] = []
  const clearTimers = leftoverTimers(host)
  const steps = [
    async () => company.stop(),
    async () => await rejoiner.stop(),
    async () => await dialer.stop(),
    async () => await members?.line.stop(),
    async () => members?.standing.stop(),
    async () => await have.teller.stop(),
    async () => have.table.stop(),
    async () => await sync.stop(),
    async () => gossip.stop(),
    async () => await routing.stop(),
    async () => void (await helia.stop()),
    async () => await host.stop(),
    async () => clearTimers(),
    async () => await remembered.stop(),
    async () => await peerCache.close()
  ]
  for (const step of steps) {
    try {
      await step()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'the network did not stop cleanly')
}

function parseTarget(address: string): Multiaddr {
  try {
    return multiaddr(address)
  } catch (cause) {
    throw new RegistryError('USAGE', `${JSON.stringify(address.slice(0, 200))} is not a multiaddr`, {
      cause,
      next: 'write it like /ip4/127.0.0.1/tcp/4101/p2p/12D3…'
    })
  }
}

async function closeIf(connection: Connection, peer: string): Promise<void> {
  if (connection.remotePeer.toString() !== peer) return
  try {
    await connection.close()
  } catch (cause) {
    // The other side was quicker: libp2p then rejects with the event of the close, which is no error of anybody's.
    connection.abort(new RegistryError('CANCELLED', 'disconnected', { cause }))
  }
}

/** Who may have a registry's bytes: first those who say that they follow it, then everybody else who is here. */
function neighbours(peers: Peers, gossip: Gossip, registry: RegistryId | undefined): readonly string[] {
  const all = peers.all().map(({ id }) => id)
  if (registry === undefined) return all
  const likely = new Set([...peers.following(registry).map(({ id }) => id), ...gossip.subscribers(registry)])
  // Whoever follows it and keeps the bytes of others first, then whoever follows it.
  const rank = (id: string): number =>
    likely.has(id) ? (peers.get(id)?.hello.roles.includes('mirror') === true ? 0 : 1) : 2
  return all.toSorted((a, b) => rank(a) - rank(b))
}

function peerInfos(peers: Peers, gossip: Gossip, meter: SocketMeter): readonly PeerInfo[] {
  const ids = new Set([...peers.all().map(({ id }) => id), ...meter.peers()])
  return [...ids].map(id => {
    const known = peers.get(id)
    const connection = peers.connection(id)
    return {
      id,
      connected: connection !== undefined,
      direction: connection?.direction,
      address: connection?.remoteAddr.toString(),
      agent: known?.hello.agent,
      version: known?.version,
      registries: known?.hello.registries ?? [],
      roles: known?.hello.roles ?? [],
      score: known === undefined ? 0 : gossip.score(id),
      ...meter.of(id)
    }
  })
}
