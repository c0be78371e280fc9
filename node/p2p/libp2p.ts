import type { CircuitRelayService } from '@libp2p/circuit-relay-v2'
import { dcutr } from '@libp2p/dcutr'
import { identify, identifyPush } from '@libp2p/identify'
import type { ComponentLogger, Libp2p, PeerDiscovery, PeerInfo, PrivateKey, ServiceMap } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import type { MulticastDNSComponents } from '@libp2p/mdns'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'
import type { Libp2pOptions, ServiceFactoryMap } from 'libp2p'
import { LIMITS } from '../../protocol/limits.ts'
import type { CheckedConfig } from './assertions.ts'
import { announceOwn } from './announce.ts'
import { assertHost } from './assert-host.ts'
import type { Datastore, SwarmConfig, SwarmTuning } from './components.ts'
import { dht } from './dht.ts'
import { connectionGater } from './gater.ts'
import type { GaterComponents } from './gater.ts'
import { gossipService } from './gossip.ts'
import type { GossipSub } from './gossip.ts'
import { HelloGate } from './hello.ts'
import type { HelloComponents } from './hello.ts'
import { noteOpenings, noting } from './in-turn.ts'
import type { Openings } from './in-turn.ts'
import type { LibraryNumbers } from './library-metrics.ts'
import { muxer } from './muxer.ts'
import { PskProtector } from './protector.ts'
import { quickNoise } from './quick-noise.ts'
import { ANY_RELAY, relayClient, relayServer } from './relay.ts'
import { isWebSocket, webSockets } from './websockets.ts'

/** What runs on every host. */
export interface Services extends ServiceMap {
  readonly hello: HelloGate
  readonly identify: ReturnType<ReturnType<typeof identify>>
  readonly identifyPush: ReturnType<ReturnType<typeof identifyPush>>
  readonly ping: ReturnType<ReturnType<typeof ping>>
  readonly dht: ReturnType<ReturnType<typeof dht>>
  readonly pubsub: GossipSub
  readonly announce: object
  readonly dcutr: ReturnType<ReturnType<typeof dcutr>>
  /** Of those that relay for others. */
  readonly relay?: CircuitRelayService
}

export type Host = Libp2p<Services>

export interface HostComponents {
  readonly config: SwarmConfig
  readonly checked: CheckedConfig
  readonly tuning: SwarmTuning
  readonly privateKey: PrivateKey
  readonly datastore: Datastore
  readonly logger: ComponentLogger
  readonly numbers: LibraryNumbers | undefined
  readonly gater: GaterComponents
  readonly hello: HelloComponents
  /** Somebody on the local network says that it is of this swarm. */
  readonly onNeighbour: (peer: PeerInfo) => void
}

/** A libp2p host that is not started yet, with the bounds of protocol/limits.ts and no default of the public network. */
export async function createHost(components: HostComponents): Promise<Host> {
  const { config, checked, privateKey, datastore, logger, numbers } = components
  const { psks = [] } = config
  const gater = connectionGater(components.gater)
  const openings: Openings = new Map()
  const host = await createLibp2p<Services>({
    start: false,
    privateKey,
    datastore,
    logger,
    nodeInfo: { name: 'ggen-node', version: '1', userAgent: config.agent },
    addresses: { listen: [...checked.listen.map(address => address.toString()), ...relays(config)] },
    transports: [
      noting(tcp(), openings),
      // Not noted, so never hurried: before it is open there are name, TLS and an answer to wait for.
      await webSockets(checked.listen.some(isWebSocket)),
      relayClient()
    ],
    ...(psks.length > 0 && { connectionProtector: () => new PskProtector(psks) }),
    ...(numbers !== undefined && { metrics: () => numbers.metrics }),
    connectionEncrypters: [quickNoise()],
    streamMuxers: [muxer()],
    connectionGater: gater,
    connectionManager: connectionLimits(components.tuning),
    // It cuts whoever answers late: alive.ts does this.
    connectionMonitor: { enabled: false },
    peerDiscovery: checked.mdns ? [neighbours(components)] : [],
    services: services(components)
  })
  assertHost(host, { config, gater })
  noteOpenings(host, openings)
  return host
}

/**
 * Asks the local network who is there, and answers. What goes out in the clear: the service's name, a label of 63 random
 * characters that is new with each start, this host's peer id and its addresses in private ranges.
 */
function neighbours({ config, onNeighbour }: HostComponents): (components: MulticastDNSComponents) => PeerDiscovery {
  const create = mdns({ serviceTag: config.names.mdnsTag })
  return components => {
    const service = create(components)
    service.addEventListener('peer', ({ detail }) => onNeighbour(detail))
    return service
  }
}

/** Whoever relays for others is reachable; the rest keep places at relays. */
function relays({ relay }: SwarmConfig): readonly string[] {
  return relay ? [] : Array.from({ length: LIMITS.reach.relay.used }, () => ANY_RELAY)
}

function services({ config, checked, tuning, gater, hello }: HostComponents): ServiceFactoryMap<Services> {
  const { streams, peers, reach } = LIMITS
  return {
    // First, so that its gate is there before any other service registers a handler.
    hello: host => new HelloGate(hello, host),
    // What identify tells (agent, listen addresses, protocol names) waits for the verdict like everything else; on its
    // own it would open a stream to every stranger, so it is started for those who were accepted.
    identify: identify({
      runOnConnectionOpen: false,
      maxInboundStreams: streams.identify,
      maxOutboundStreams: streams.identify,
      maxMessageSize: peers.identifyBytes
    }),
    // A place at a relay is an address that comes later than the introduction.
    identifyPush: identifyPush({
      maxInboundStreams: streams.identify,
      maxOutboundStreams: streams.identify,
      maxMessageSize: peers.identifyBytes
    }),
    ping: ping({ maxInboundStreams: streams.ping, maxOutboundStreams: streams.ping }),
    dht: dht(config.names.kadProtocol, { internet: checked.internet, bucket: tuning.kadBucket }),
    pubsub: gossipService(gater.allowPeers),
    announce: announceOwn(),
    dcutr: dcutr({
      timeout: reach.holePunch.timeoutMs,
      retries: reach.holePunch.retries,
      maxInboundStreams: reach.holePunch.streams,
      maxOutboundStreams: reach.holePunch.streams
    }),
    ...(config.relay && { relay: relayServer() })
  }
}

function connectionLimits(tuning: SwarmTuning): NonNullable<Libp2pOptions['connectionManager']> {
  const { connections } = LIMITS
  return {
    maxConnections: tuning.connections,
    maxIncomingPendingConnections: connections.pendingInbound,
    // libp2p counts a whole office as one host; the gater knows better and is asked next.
    inboundConnectionThreshold: Number.MAX_SAFE_INTEGER,
    inboundUpgradeTimeout: connections.upgradeTimeoutMs,
    dialTimeout: connections.dialTimeoutMs,
    addressDialTimeout: connections.addressDialMs,
    inboundStreamProtocolNegotiationTimeout: connections.negotiationTimeoutMs,
    outboundStreamProtocolNegotiationTimeout: connections.negotiationTimeoutMs,
    maxDialQueueLength: connections.dialQueue,
    maxParallelDials: connections.parallelDials,
    // No resolver: a /dnsaddr that a stranger names is never looked up.
    resolvers: {}
  }
}
