import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { messageOf } from '../../protocol/errors.ts'
import { FACTS_PROTOCOL } from '../../protocol/facts-messages.ts'
import { PROTOCOL_VERSIONS } from '../../protocol/hello.ts'
import type { Hello } from '../../protocol/hello.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { MEMBER_PROTOCOL } from '../../protocol/membership/member-messages.ts'
import { SUBMIT_PROTOCOL } from '../../protocol/submit-messages.ts'
import { SYNC_PROTOCOL } from '../../protocol/sync/messages.ts'
import type { CheckedConfig } from './assertions.ts'
import { Bans } from './bans.ts'
import { bitswapBlocks } from './bitswap-blocks.ts'
import type { Datastore, SwarmComponents, SwarmConfig, SwarmEvents, SwarmTuning } from './components.ts'
import type { Company } from './company.ts'
import { Conduct } from './conduct.ts'
import type { Further } from './further.ts'
import { haveOf, serveContent } from './content-serving.ts'
import type { Have } from './content-serving.ts'
import { QuotaDatastore } from './dht.ts'
import { dial } from './dial.ts'
import type { Dialer } from './dialer.ts'
import { diallingOf } from './dialling.ts'
import { factFetcher } from './facts-client.ts'
import { factsHandler } from './facts-server.ts'
import type { GaterComponents } from './gater.ts'
import { furtherPeers } from './further.ts'
import { Gossip } from './gossip.ts'
import { createHelia } from './helia.ts'
import type { HeliaHost } from './helia.ts'
import { identifyLater } from './identify.ts'
import { createHost } from './libp2p.ts'
import type { Host } from './libp2p.ts'
import { componentLogger } from './logger.ts'
import { MemberLine } from './member-line.ts'
import { memberHandler } from './member-server.ts'
import { SocketMeter } from './meter.ts'
import { PeerCache } from './peer-cache.ts'
import { Peers } from './peers.ts'
import { privateHello } from './private-hello.ts'
import { publicHello } from './public-hello.ts'
import type { Rejoiner } from './rejoin.ts'
import { RememberedPeers } from './remembered.ts'
import { ContentRouting } from './routing.ts'
import { Shown } from './shown.ts'
import { Standing } from './standing.ts'
import { submitHandler } from './submit-server.ts'
import { Sync } from './sync.ts'
import type { SyncComponents } from './sync.ts'
import { tuningOf } from './tuning.ts'
import { Veil } from './veil.ts'

/** The parts of one swarm, connected and not started. */
export interface Parts {
  readonly host: Host
  readonly helia: HeliaHost
  readonly quota: QuotaDatastore
  readonly peerCache: PeerCache
  readonly peers: Peers
  /** Of a private swarm. */
  readonly members: Members | undefined
  readonly gossip: Gossip
  readonly sync: Sync
  readonly have: Have
  readonly shown: Shown
  readonly further: Further
  readonly routing: ContentRouting
  readonly dialer: Dialer
  readonly company: Company
  readonly remembered: RememberedPeers
  readonly rejoiner: Rejoiner
  readonly meter: SocketMeter
  readonly tuning: SwarmTuning
}

/** Who may stay, and what members ask each other. */
export interface Members {
  readonly standing: Standing
  readonly line: MemberLine
}

/** Everything that the parts are made from. */
export interface Whole {
  readonly config: SwarmConfig
  readonly checked: CheckedConfig
  readonly components: SwarmComponents
  readonly events: SwarmEvents
}

/** Connects the parts of a swarm. The only file of this folder that knows them all. */
export async function compose(whole: Whole): Promise<Parts> {
  const { components, checked } = whole
  const { clock, log } = components
  const gater = gaterOf(whole, socket => company.onReached(socket))
  const { tuning, meter } = gater
  const self = peerIdFromPrivateKey(components.privateKey)
  const quota = new QuotaDatastore(components.datastore, self.toString())
  const peerCache = new PeerCache({ inner: quota, self: `/peers/${self.toCID().toString()}`, clock, log })
  const peers: Peers = new Peers({
    ...gater,
    conduct: new Conduct(),
    log,
    events: toldOfPeers(whole.events, () => [
      company,
      sync,
      have.teller,
      have.table,
      ...(members === undefined ? [] : [members.line])
    ]),
    connectionsOf: peer => host.getConnections().filter(({ remotePeer }) => remotePeer.toString() === peer)
  })
  const members = membersOf(components, peers, () => host)
  const remembered = new RememberedPeers({ datastore: quota, clock, log, internet: checked.internet })
  const { rejoiner, dialer, company } = diallingOf(components, {
    bootstrap: checked.bootstrap,
    peers,
    remembered,
    tuning,
    host: () => host
  })
  const shown = new Shown(clock)
  const have = haveOf(components, peers, () => whole.events.onTold?.())
  const later = (): Later => ({ host, peers, members, remembered, rejoiner, shown })
  const host: Host = await hostOf(whole, gater, peerCache, later)
  // When it was asked, and whenever it says of its own accord that something has changed.
  host.addEventListener('peer:identify', ({ detail: { peerId, listenAddrs } }) => {
    if (peers.get(peerId.toString()) !== undefined) remembered.note(peerId.toString(), { said: listenAddrs })
  })
  const sync: Sync = syncOf(whole, { self: self.toString(), peers, tuning, gossip: () => gossip })
  const gossip: Gossip = gossipOf(whole, host, peers, sync)
  await serve(host, { components, peers, sync })
  await serveContent(host, components, { peers, have, remembered })
  await serveSubmissions(host, components, peers)
  await serveMembers(host, components, peers)
  const routing = new ContentRouting(host, components)
  return {
    host,
    have,
    shown,
    further: furtherOf(whole, host, { routing, peers, remembered }),
    helia: heliaOf(components, host, quota),
    quota,
    peerCache,
    peers,
    members,
    gossip,
    sync,
    routing,
    dialer,
    company,
    remembered,
    rejoiner,
    meter,
    tuning
  }
}

/** Whatever has to do with each peer is told of it before the owner is. */
function toldOfPeers(
  events: SwarmEvents,
  parts: () => readonly { onPeer?(peer: string): void; onPeerGone(peer: string): void }[]
): SwarmEvents {
  return {
    ...events,
    onPeer: peer => {
      for (const part of parts()) part.onPeer?.(peer)
      events.onPeer?.(peer)
    },
    onPeerGone: peer => {
      for (const part of parts()) part.onPeerGone(peer)
      events.onPeerGone?.(peer)
    }
  }
}

function heliaOf(
  { blocks, sight, throttles, isLeech = false, clock, log }: SwarmComponents,
  host: Host,
  datastore: Datastore
): HeliaHost {
  const blockstore = bitswapBlocks(blocks, { sight, isLeech, upload: throttles?.upload })
  return createHelia(host, { datastore, blockstore, logger: componentLogger(log), clock, log })
}

function furtherOf(
  { checked, components: { clock, log, membership } }: Whole,
  host: Host,
  {
    routing,
    peers,
    remembered
  }: { readonly routing: ContentRouting; readonly peers: Peers; readonly remembered: RememberedPeers }
): Further {
  return furtherPeers({
    routing,
    peers,
    clock,
    log,
    internet: checked.internet,
    addressesOf: peer => remembered.addressesOf(peer),
    dial: async (peer, addresses, signal) => {
      const target = addresses.length > 0 ? [...addresses] : peerIdFromString(peer)
      await dial(host, target, { membership, signal, hurry: clock })
    }
  })
}

function gaterOf(
  { config, checked, components: { clock, membership } }: Whole,
  onReached: GaterComponents['onReached']
): GaterComponents {
  return {
    bans: new Bans(),
    meter: new SocketMeter(),
    clock,
    onReached,
    tuning: tuningOf({
      ...(membership !== undefined && { kadBucket: LIMITS.dht.bucketOfMembers }),
      ...config.tuning
    }),
    allowPeers: new Set(config.allowPeers),
    allowHosts: checked.hosts,
    ...(membership === undefined
      ? {}
      : {
          isMember: (peer: string) => membership.isKnown(peer),
          isBarred: (peer: string) => membership.isBarred(peer)
        })
  }
}

/** What does not exist before the host does, but does before any connection. */
interface Later {
  readonly host: Host
  readonly peers: Peers
  readonly members: Members | undefined
  readonly remembered: RememberedPeers
  readonly rejoiner: Rejoiner
  readonly shown: Shown
}

async function hostOf(
  { config, checked, components }: Whole,
  gater: GaterComponents,
  datastore: PeerCache,
  later: () => Later
): Promise<Host> {
  const { clock, log, privateKey, membership } = components
  const onMalformed = (peer: string): void => later().peers.blame(peer, 'malformed-message')
  const local = (): Hello => ({
    versions: config.versions ?? PROTOCOL_VERSIONS,
    agent: config.agent,
    registries: components.registries(),
    roles: components.desk?.curates() === true ? [...config.roles, 'curator'] : config.roles
  })
  const self = peerIdFromPrivateKey(privateKey)
  return await createHost({
    config,
    checked,
    tuning: gater.tuning,
    privateKey,
    datastore,
    logger: componentLogger(log),
    numbers: components.numbers,
    gater,
    hello: {
      ...(membership === undefined
        ? { introduce: publicHello(local) }
        : { introduce: privateHello({ membership, self, local, log, onMalformed }), veil: new Veil() }),
      clock,
      log,
      timeoutMs: gater.tuning.helloTimeoutMs,
      onMalformed,
      onVerdict: (connection, verdict) => {
        const { peers, members } = later()
        const peer = connection.remotePeer.toString()
        const isOver = verdict.accepted && members !== undefined && !members.standing.stillStands(peer, verdict.member)
        if (isOver) return
        peers.onVerdict(connection, verdict)
        if (verdict.accepted)
          identifyLater({ ...later(), clock, log, timeoutMs: gater.tuning.helloTimeoutMs }, connection)
      }
    },
    onNeighbour: ({ id, multiaddrs }) => later().rejoiner.onNeighbour(id.toString(), multiaddrs)
  })
}

interface Comparing extends Pick<SyncComponents, 'self' | 'peers' | 'tuning'> {
  readonly gossip: () => Gossip
}

function syncOf({ components, events }: Whole, { gossip, ...own }: Comparing): Sync {
  const { clock, log } = components
  return new Sync({
    ...components,
    ...own,
    events,
    onAdmitted: (registry, facts) => {
      gossip()
        .tellOn(registry, facts, clock.now())
        .catch((error: unknown) => log.warn('facts could not be told on', { error: messageOf(error) }))
    }
  })
}

function gossipOf({ config, components, events }: Whole, host: Host, peers: Peers, sync: Sync): Gossip {
  const { gate, log, facts, clock } = components
  const fetchFact = factFetcher({ peers, clock, log })
  return new Gossip({
    pubsub: host.services.pubsub,
    topicOf: registry => config.names.topicOf(registry),
    gate,
    peers,
    log,
    events,
    fetchFact: async (peer, registry, id) =>
      (await facts.get(registry, id)) === undefined ? await fetchFact(peer, registry, id) : undefined,
    readSoon: (peer, registry) => sync.readSoon(peer, registry),
    arrived: (registry, id) => sync.arrived(registry, id)
  })
}

async function serve(
  host: Host,
  { components, peers, sync }: { readonly components: SwarmComponents; readonly peers: Peers; readonly sync: Sync }
): Promise<void> {
  const { facts, clock, log } = components
  const handler = factsHandler({
    facts,
    clock,
    log,
    registries: () => components.registries(),
    onMalformed: peer => peers.blame(peer, 'malformed-message')
  })
  const { streams } = LIMITS
  await host.handle(FACTS_PROTOCOL, handler, { maxInboundStreams: streams.facts, maxOutboundStreams: streams.facts })
  await host.handle(SYNC_PROTOCOL, sync.lines.accept, {
    maxInboundStreams: streams.sync,
    maxOutboundStreams: streams.sync
  })
}

function membersOf({ membership, clock, log }: SwarmComponents, peers: Peers, host: () => Host): Members | undefined {
  if (membership === undefined) return undefined
  return {
    standing: new Standing({ membership, peers, clock, connections: () => host().getConnections() }),
    line: new MemberLine({ membership, peers, clock, log })
  }
}

async function serveMembers(host: Host, { membership, clock, log }: SwarmComponents, peers: Peers): Promise<void> {
  if (membership === undefined) return
  const handler = memberHandler({
    membership,
    memberOf: peer => peers.get(peer)?.member,
    clock,
    log,
    onMalformed: peer => peers.blame(peer, 'malformed-message')
  })
  const { streams } = LIMITS.membership
  await host.handle(MEMBER_PROTOCOL, handler, { maxInboundStreams: streams, maxOutboundStreams: streams })
}

async function serveSubmissions(host: Host, { desk, clock, log }: SwarmComponents, peers: Peers): Promise<void> {
  if (desk === undefined) return
  const onMalformed = (peer: string): void => peers.blame(peer, 'malformed-message')
  const { submit } = LIMITS.streams
  await host.handle(SUBMIT_PROTOCOL, submitHandler({ desk, clock, log, onMalformed }), {
    maxInboundStreams: submit,
    maxOutboundStreams: submit
  })
}
