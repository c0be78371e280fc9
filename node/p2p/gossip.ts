import { gossipsub } from '@libp2p/gossipsub'
import type { GossipSub, Message, TopicValidatorResult } from '@libp2p/gossipsub'
import { sha256 } from '@noble/hashes/sha2.js'
import type { TopicScoreParams } from '@libp2p/gossipsub/score'
import type { PeerId } from '@libp2p/interface'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { RegistryError, isRegistryError, messageOf } from '../../protocol/errors.ts'
import { encodeAnnouncement, parseGossipMessage } from '../../protocol/gossip-message.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { relayOf } from './address.ts'
import type { Gate, Log, SwarmEvents, Verdict } from './components.ts'
import { CUT_BELOW } from './conduct.ts'
import { SCORE_THRESHOLDS, TOPIC_SCORE, peerScoreParams } from './gossip-params.ts'
import type { Peers } from './peers.ts'

export type { GossipSub }

/** gossipsub with every bound of its own set: what is left at a default there is left there on purpose. */
export function gossipService(allowPeers: ReadonlySet<string>): ReturnType<typeof gossipsub> {
  const { decode } = LIMITS.gossip
  return gossipsub({
    // Facts carry their author's signature; a signature of the sender would say who asks for what, and prove nothing.
    globalSignaturePolicy: 'StrictNoSign',
    fallbackToFloodsub: false,
    floodPublish: true,
    doPX: false,
    emitSelf: false,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    awaitRpcHandler: true,
    awaitRpcMessageHandler: true,
    msgIdFn: messageId,
    allowedTopics: [],
    seenTTL: LIMITS.gossip.seenMs,
    maxInboundStreams: LIMITS.streams.gossip,
    maxOutboundStreams: LIMITS.streams.gossip,
    maxInboundDataLength: LIMITS.gossip.rpcBytes,
    maxOutboundBufferSize: LIMITS.gossip.outboundBufferBytes,
    maxTopicBytesPerPeer: LIMITS.gossip.topicBytesPerPeer,
    idontwantMaxMessages: decode.idontwantIds,
    decodeRpcLimits: {
      maxSubscriptions: decode.subscriptions,
      maxMessages: decode.messages,
      maxControlMessages: decode.control,
      maxIhaveMessageIDs: decode.ihaveIds,
      maxIwantMessageIDs: decode.iwantIds,
      maxIdontwantMessageIDs: decode.idontwantIds,
      maxPeerInfos: decode.peerInfos
    },
    scoreParams: peerScoreParams(allowPeers),
    scoreThresholds: SCORE_THRESHOLDS
  })
}

/**
 * Attack: were the id that of the fact's body, a message with the same body and a broken signature would come first
 * and hide the honest one. So it is the digest of every byte of the message.
 */
function messageId(message: Message): Uint8Array {
  return sha256(message.data)
}

export interface GossipComponents {
  readonly pubsub: GossipSub
  readonly topicOf: (registry: RegistryId) => string
  readonly gate: Gate
  readonly peers: Peers
  readonly log: Log
  readonly events: SwarmEvents
  /** One fact by its id from one peer; undefined when it does not send it. */
  readonly fetchFact: (peer: string, registry: RegistryId, id: FactId) => Promise<Uint8Array | undefined>
  /** The peer has something that we lack: compare with it before long. */
  readonly readSoon: (peer: string, registry: RegistryId) => void
  /** A fact is part of the set now. */
  readonly arrived: (registry: RegistryId, id: FactId) => void
}

/** Facts told and heard, one topic for each registry that is followed. */
export class Gossip {
  readonly #components: GossipComponents
  readonly #topics = new Map<string, RegistryId>()
  readonly #internals: Internals
  /** What was published while nobody had subscribed, the oldest first. */
  #untold: { readonly topic: string; readonly data: Uint8Array }[] = []
  #validations = 0

  constructor(components: GossipComponents) {
    this.#components = components
    this.#internals = internalsOf(components.pubsub)
    const { score } = this.#internals
    const addIp = score.addIP.bind(score)
    // Who comes through a relay would be taken for a neighbour of all others that do, and from the fourth on be punished for it.
    score.addIP = (peer, ip) => {
      const connections = [...(components.peers.get(peer)?.connections ?? [])]
      if (connections.some(({ remoteAddr }) => relayOf(remoteAddr) === undefined)) addIp(peer, ip)
    }
  }

  start(): void {
    this.#components.pubsub.addEventListener('gossipsub:heartbeat', this.#onHeartbeat)
  }

  stop(): void {
    this.#components.pubsub.removeEventListener('gossipsub:heartbeat', this.#onHeartbeat)
    for (const registry of this.#topics.values()) this.unfollow(registry)
  }

  follow(registry: RegistryId): void {
    const topic = this.#components.topicOf(registry)
    if (this.#topics.has(topic)) return
    const { pubsub } = this.#components
    this.#topics.set(topic, registry)
    this.#internals.allowedTopics.add(topic)
    // Without an entry here gossipsub scores nothing on the topic: an invalid message would be free.
    this.#internals.topicScores[topic] = { ...TOPIC_SCORE }
    pubsub.topicValidators.set(topic, async (peer, message) => await this.#validate(registry, peer, message))
    pubsub.subscribe(topic)
  }

  unfollow(registry: RegistryId): void {
    const topic = this.#components.topicOf(registry)
    if (!this.#topics.delete(topic)) return
    const { pubsub } = this.#components
    this.#untold = this.#untold.filter(message => message.topic !== topic)
    pubsub.unsubscribe(topic)
    pubsub.topicValidators.delete(topic)
    this.#internals.allowedTopics.delete(topic)
  }

  /** Tells a fact that is durable here. Resolves when it is handed to the streams; to nobody yet, if nobody has subscribed. */
  async publish(registry: RegistryId, id: FactId, envelope: Uint8Array): Promise<number> {
    const topic = this.#components.topicOf(registry)
    if (!this.#topics.has(topic)) throw new RegistryError('UNKNOWN_REGISTRY', 'the registry is not followed here')
    const data = envelope.length > LIMITS.gossip.inlineFactBytes ? encodeAnnouncement(id) : envelope
    // A peer whose sets were compared before this fact, and whose subscription is still on its way, would hear of it an interval later.
    if (!this.#isHeard(topic)) {
      this.#untold = [...this.#untold, { topic, data }].slice(-LIMITS.gossip.untold)
      return 0
    }
    const { recipients } = await this.#components.pubsub.publish(topic, data)
    return recipients.length
  }

  /**
   * Tells others what came by comparing sets: its author was alone when it told, or gone before it was heard. Only a few, and
   * only what is new: who catches up with a registry must not tell it all once more.
   */
  async tellOn(registry: RegistryId, envelopes: readonly Uint8Array[], now: number): Promise<void> {
    const topic = this.#components.topicOf(registry)
    if (envelopes.length > LIMITS.gossip.toldOn || !this.#topics.has(topic)) return
    for (const envelope of envelopes) {
      const { id, body } = parseEnvelope(envelope)
      const isNew = Math.abs(now - body.time) < LIMITS.gossip.seenMs
      if (isNew && this.#isHeard(topic)) await this.publish(registry, id, envelope)
    }
  }

  /** gossipsub's score of a peer, up to a heartbeat old. */
  score(peer: string): number {
    return this.#internals.getScore(peer)
  }

  /** Peers that have subscribed to a registry's topic. */
  subscribers(registry: RegistryId): readonly string[] {
    return this.#components.pubsub.getSubscribers(this.#components.topicOf(registry)).map(peer => peer.toString())
  }

  /** Peers to whom what is told goes at once, whatever the topic. */
  get meshPeers(): number {
    return new Set([...this.#internals.mesh.values()].flatMap(peers => [...peers])).size
  }

  async #validate(registry: RegistryId, from: PeerId, message: Message): Promise<TopicValidatorResult> {
    const peer = from.toString()
    // A peer that was cut may have messages left in this RPC; they are worth no more work.
    if (this.#components.peers.get(peer) === undefined) return IGNORE
    // Ignored is not lost: sets are compared at the next interval.
    if (this.#validations >= LIMITS.gossip.validationsInFlight) return IGNORE
    this.#validations += 1
    try {
      return this.#conclude(await this.#judge(registry, peer, message.data), registry, peer)
    } catch (error) {
      this.#components.log.warn('a fact could not be judged', { error: messageOf(error) })
      return IGNORE
    } finally {
      this.#validations -= 1
    }
  }

  async #judge(registry: RegistryId, peer: string, data: Uint8Array): Promise<Verdict> {
    if (data.length > LIMITS.gossip.messageBytes) return { verdict: 'reject', reason: 'too-large' }
    const { gate, fetchFact, arrived } = this.#components
    let message
    try {
      message = parseGossipMessage(data)
    } catch (error) {
      if (isRegistryError(error)) return { verdict: 'reject', reason: 'malformed' }
      throw error
    }
    if (message.type === 'fact') {
      const verdict = await gate.admit(message.envelope, { peer, registry })
      // It parses, or it would not have been accepted.
      if (verdict.verdict === 'accept') arrived(registry, parseEnvelope(message.envelope).id)
      return verdict
    }
    const envelope = await fetchFact(peer, registry, message.id)
    // It may be known already, or the peer has let go of it: neither is a reason to tell others to ask that peer.
    return envelope === undefined
      ? { verdict: 'ignore', reason: 'seen' }
      : await gate.admit(envelope, { peer, registry })
  }

  #conclude(verdict: Verdict, registry: RegistryId, peer: string): TopicValidatorResult {
    const { peers, events, readSoon } = this.#components
    events.onGossip?.({ verdict: verdict.verdict })
    switch (verdict.verdict) {
      case 'accept':
        events.onFact?.({ registry, peer, way: 'gossip' })
        return ACCEPT
      case 'pending':
        readSoon(peer, registry)
        return IGNORE
      case 'ignore':
        return IGNORE
      case 'reject':
        peers.blame(peer, 'invalid-facts')
        if (this.score(peer) < CUT_BELOW) peers.cut(peer, 'gossip-score')
        return REJECT
    }
  }

  /** Whether somebody has subscribed, and the stream to him is open: gossipsub drops what it has no stream for. */
  #isHeard(topic: string): boolean {
    const { streamsOutbound } = this.#internals
    return this.#components.pubsub.getSubscribers(topic).some(peer => streamsOutbound.has(peer.toString()))
  }

  #tellUntold(): void {
    const heard = this.#untold.filter(({ topic }) => this.#isHeard(topic))
    if (heard.length === 0) return
    this.#untold = this.#untold.filter(({ topic }) => !this.#isHeard(topic))
    for (const { topic, data } of heard) {
      this.#components.pubsub.publish(topic, data).catch((error: unknown) => {
        this.#components.log.warn('a fact could not be told', { error: messageOf(error) })
      })
    }
  }

  /** What gossipsub itself held against a peer, broken promises and unwanted grafts, shows only in its score. */
  readonly #onHeartbeat = (): void => {
    this.#tellUntold()
    for (const peer of this.#components.pubsub.getPeers()) {
      const id = peer.toString()
      if (this.score(id) < CUT_BELOW) this.#components.peers.cut(id, 'gossip-score')
    }
  }
}

// The enum's members by their values: it is a runtime enum of the library, and its type is what counts.
const ACCEPT = 'accept' as TopicValidatorResult.Accept
const IGNORE = 'ignore' as TopicValidatorResult.Ignore
const REJECT = 'reject' as TopicValidatorResult.Reject

interface Internals {
  readonly allowedTopics: Set<string>
  readonly topicScores: Record<string, TopicScoreParams>
  readonly score: { addIP(peer: string, ip: string): void }
  readonly streamsOutbound: ReadonlyMap<string, unknown>
  /** By topic. */
  readonly mesh: ReadonlyMap<string, ReadonlySet<string>>
  getScore(peer: string): number
}

/**
 * gossipsub takes its topics and their scores once, at construction, while registries come and go. Its own tables are
 * reached for, and when an update of the library moves them the node does not start, rather than run unguarded.
 */
function internalsOf(pubsub: GossipSub): Internals {
  const allowedTopics: unknown = Reflect.get(pubsub, 'allowedTopics')
  const score: unknown = Reflect.get(pubsub, 'getScore')
  const streamsOutbound: unknown = Reflect.get(pubsub, 'streamsOutbound')
  const mesh: unknown = Reflect.get(pubsub, 'mesh')
  const topicScores = ['opts', 'scoreParams', 'topics'].reduce<unknown>(
    (at, name) => (typeof at === 'object' && at !== null ? Reflect.get(at, name) : undefined),
    pubsub
  )
  const table: unknown = Reflect.get(pubsub, 'score')
  const hasAddresses = typeof table === 'object' && table !== null && typeof Reflect.get(table, 'addIP') === 'function'
  const hasScores = typeof score === 'function' && typeof topicScores === 'object' && hasAddresses
  const hasPeers = streamsOutbound instanceof Map && mesh instanceof Map
  if (!(allowedTopics instanceof Set) || !hasPeers || !hasScores) {
    throw new RegistryError('INTERNAL', 'gossipsub no longer keeps its tables where they can be changed')
  }
  return {
    allowedTopics: allowedTopics as Set<string>,
    topicScores: topicScores as Record<string, TopicScoreParams>,
    score: table as Internals['score'],
    streamsOutbound: streamsOutbound as Internals['streamsOutbound'],
    mesh: mesh as Internals['mesh'],
    getScore: peer => Number(Reflect.apply(score, pubsub, [peer]))
  }
}
