import { identify } from '@libp2p/identify'
import type { ComponentLogger, Libp2p, PrivateKey, ServiceMap } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { mdns } from '@libp2p/mdns'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'
import type { Libp2pOptions, ServiceFactoryMap } from 'libp2p'
import { LIMITS } from '../../protocol/limits.ts'
import type { CheckedConfig } from './assertions.ts'
import type { Datastore, SwarmConfig, SwarmTuning } from './components.ts'
import { dht } from './dht.ts'
import { connectionGater } from './gater.ts'
import type { GaterComponents } from './gater.ts'
import { gossipService } from './gossip.ts'
import type { GossipSub } from './gossip.ts'
import { HelloGate } from './hello.ts'
import type { HelloComponents } from './hello.ts'
import { muxer } from './muxer.ts'

/** What runs on every host. */
export interface Services extends ServiceMap {
  readonly hello: HelloGate
  readonly identify: ReturnType<ReturnType<typeof identify>>
  readonly ping: ReturnType<ReturnType<typeof ping>>
  readonly dht: ReturnType<ReturnType<typeof dht>>
  readonly pubsub: GossipSub
}

export type Host = Libp2p<Services>

export interface HostComponents {
  readonly config: SwarmConfig
  readonly checked: CheckedConfig
  readonly tuning: SwarmTuning
  readonly privateKey: PrivateKey
  readonly datastore: Datastore
  readonly logger: ComponentLogger
  readonly gater: GaterComponents
  readonly hello: HelloComponents
}

/** A libp2p host that is not started yet, with the bounds of docs/spec/limits.md and no default of the public network. */
export async function createHost(components: HostComponents): Promise<Host> {
  const { config, checked, privateKey, datastore, logger } = components
  return await createLibp2p<Services>({
    start: false,
    privateKey,
    datastore,
    logger,
    nodeInfo: { name: 'ggen-node', version: '1', userAgent: config.agent },
    addresses: { listen: checked.listen.map(address => address.toString()) },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [muxer()],
    connectionGater: connectionGater(components.gater),
    connectionManager: connectionLimits(components.tuning),
    peerDiscovery: config.mdns ? [mdns({ serviceTag: config.names.mdnsTag })] : [],
    services: services(components)
  })
}

function services({ config, checked, gater, hello }: HostComponents): ServiceFactoryMap<Services> {
  const { streams, peers } = LIMITS
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
    ping: ping({ maxInboundStreams: streams.ping, maxOutboundStreams: streams.ping }),
    dht: dht(config.names.kadProtocol, checked.internet),
    pubsub: gossipService(gater.allowPeers)
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
    inboundStreamProtocolNegotiationTimeout: connections.negotiationTimeoutMs,
    outboundStreamProtocolNegotiationTimeout: connections.negotiationTimeoutMs,
    maxDialQueueLength: connections.dialQueue,
    maxParallelDials: connections.parallelDials,
    // No resolver: a /dnsaddr that a stranger names is never looked up.
    resolvers: {}
  }
}
