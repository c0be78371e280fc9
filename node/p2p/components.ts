import type { HeliaInit } from 'helia'
import type { PrivateKey } from '@libp2p/interface'
import type { CID } from 'multiformats/cid'
import type { Admission } from '../../protocol/admission.ts'
import type { ContentId, FactId, RegistryId } from '../../protocol/cid.ts'
import type { HelloRole } from '../../protocol/hello.ts'
import type { SwarmNames } from '../../protocol/membership/names.ts'
import type { SubmissionId } from '../../protocol/submission.ts'
import type { SubmitAnswer } from '../../protocol/submit-messages.ts'
import type { ItemSet } from '../../protocol/sync/item-set.ts'
import type { LibraryNumbers } from './library-metrics.ts'
import type { Membership } from './membership.ts'

/** Where libp2p and the DHT keep what they remember. Opened and closed by its owner. */
export type Datastore = NonNullable<HeliaInit['datastore']>

/** Blocks that are checked against their CID on every put and every get; the network adds no check of its own. */
export type Blockstore = NonNullable<HeliaInit['blockstore']>

/** Blocks as they are shown to peers. */
export type ServedBlocks = Pick<Blockstore, 'get'> & {
  /** Bytes that are at hand, at once and not yet verified; undefined says nothing. */
  readonly readNow?: (cid: CID) => Uint8Array | undefined
  /** Keeps all below a root until the returned function is called: it is being sent. */
  readonly hold?: (root: ContentId) => () => void
}

/**
 * What a host may show of its blocks. Being on the disk is not enough: what nothing that its swarm holds leads to lies
 * there too.
 */
export interface Sight {
  /** Whether anything that the swarm holds names a root, and so all below it. @throws RegistryError TIMEOUT */
  isNamed(root: ContentId, signal: AbortSignal): Promise<boolean>
  /** Those of some blocks that are not below a root, as far as its nodes are here. Costs reading them, the first time. */
  strange(root: ContentId, cids: readonly CID[]): Promise<readonly CID[]>
  /** Whether one block may be shown, whatever it is part of. Never rejects because of what it is asked about. */
  has(cid: CID, signal: AbortSignal): Promise<boolean>
}

/** Told of one fetch while it goes on. */
export interface FetchWatch {
  /** Somebody was asked for something. */
  asked(): void
  /** The DHT was asked who has it, for so long. */
  lookedUp(ms: number): void
  /** What those said who were asked and sent nothing, in a line for people. */
  said?(line: string): void
  /** A block that was missing came from a peer, verified. */
  block(way: 'dag' | 'bitswap', peer: string, bytes: number): void
}

/** Time as the network needs it: what it is, and a task later, which the returned function takes back. */
export interface Clock {
  now(): number
  after(ms: number, task: () => void): () => void
}

/** Where the network says what it does. Fields never hold secrets; peer ids and addresses go here and nowhere else. */
export interface Log {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
}
export type LogFields = Readonly<Record<string, string | number | boolean>>

/** Where a fact came from. */
export interface FactSource {
  readonly peer: string
  readonly registry: RegistryId
}

/** What is read of the gate's answer: `protocol/admission.ts` says more. */
export type Verdict =
  | { readonly verdict: 'accept' }
  | {
      readonly verdict: 'pending' | 'ignore' | 'reject'
      readonly reason: Exclude<Admission, { verdict: 'accept' }>['reason']
    }

/** The one door for facts. It bounds its own queue: a promise that takes long is its way to slow the senders down. */
export interface Gate {
  admit(bytes: Uint8Array, source: FactSource): Promise<Verdict>
  admitMany(facts: readonly Uint8Array[], source: FactSource): Promise<readonly Verdict[]>
}

/** The sets that are kept here. */
export interface Facts {
  /** What is compared with others; undefined for a registry that is not followed. */
  set(registry: RegistryId): ItemSet | undefined
  /** Where each of these facts is, in the set or known beside it; undefined for those that are unknown. */
  known(registry: RegistryId, ids: readonly FactId[]): Promise<readonly ('set' | 'cut' | undefined)[]>
  get(registry: RegistryId, id: FactId): Promise<Uint8Array | undefined>
  /** Everything, in an order in which nothing waits for what comes later. */
  snapshot(registry: RegistryId): AsyncIterable<Uint8Array>
}

/** Who hands a submission in: a peer, and the block of addresses it comes from. */
export interface SubmissionSource {
  readonly peer: string
  readonly range: string
  readonly isPrivate: boolean
}

/** Where strangers ask for names. */
export interface SubmissionDesk {
  /** Whether this node gives out names of a registry that it follows; the hello says so. */
  curates(): boolean
  /** @throws RegistryError MALFORMED | BAD_SIGNATURE | … for what no honest program sends */
  submit(envelope: Uint8Array, source: SubmissionSource): Promise<SubmitAnswer>
  ask(registry: RegistryId, id: SubmissionId, source: SubmissionSource): Promise<SubmitAnswer>
}

/** The content roots that are held as a whole, of which the swarm may speak. */
export interface HeldRoots {
  /** Whether one that is held is for nobody else now. May throw when that takes too long to find out. */
  isWithheld?(root: ContentId): Promise<boolean>
  list(): AsyncIterable<ContentId>
  /** Called after each change; returns how to take the listener back. */
  onChange(listener: (root: ContentId, isHeld: boolean) => void): () => void
}

/** Bytes a second, for everybody who shares it. */
export interface Throttle {
  /** The bound itself. */
  readonly bytesPerSecond: number
  /** Takes so many bytes, and says how many milliseconds to wait before the next. */
  owe(bytes: number): number
  /** Resolves when everything that was taken before has had its time; then so many bytes are taken. */
  turn(bytes: number): Promise<void>
}

/** How much content may go over the streams of all hosts of a node. */
export interface Throttles {
  readonly upload: Throttle | undefined
  readonly download: Throttle | undefined
}

/** Everything that a swarm is given. Nothing in `node/p2p/` is global, so a process may hold several. */
export interface SwarmComponents {
  readonly privateKey: PrivateKey
  readonly datastore: Datastore
  readonly blocks: Blockstore & ServedBlocks
  /** What of it may be shown to peers. */
  readonly sight: Sight
  /** Told to peers; without it nobody is told what is held here. */
  readonly held?: HeldRoots
  readonly throttles?: Throttles
  /** Takes content from others and gives none. */
  readonly isLeech?: boolean
  readonly registries: () => readonly RegistryId[]
  readonly gate: Gate
  readonly facts: Facts
  /** Without one, nobody is asked for names here. */
  readonly desk?: SubmissionDesk
  /** Of a private swarm: who may be in it. */
  readonly membership?: Membership
  readonly clock: Clock
  readonly log: Log
  /** Takes what libp2p counts of itself; without one it counts nothing. */
  readonly numbers?: LibraryNumbers
  /** Bytes of blocks that were streamed to a peer. */
  readonly onServed?: (bytes: number) => void
}

/** Numbers that a test, a bench or an operator may set; `protocol/limits.ts` has the defaults. */
export interface SwarmTuning {
  readonly helloTimeoutMs: number
  readonly aliveLookMs: number
  readonly syncIntervalMs: number
  readonly syncSoonMs: number
  readonly syncListenMs: number
  readonly hedgeMs: number
  readonly reaskMs: number
  readonly blockTimeoutMs: number
  readonly perPrivateRange: number
  readonly inboundPerPrivateHostPerSecond: number
  readonly redialMs: number
  readonly connections: number
  readonly inbound: number
  readonly kadBucket: number
}

export interface SwarmConfig {
  /** For logs and errors: `public`, or the alias of a private registry. */
  readonly name: string
  readonly listen: readonly string[]
  /** Multiaddrs that end in `/p2p/<peer id>`; dialled again whenever they are not connected. */
  readonly bootstrap: readonly string[]
  /** Looks for peers on the local network, unless nobody there could reach it. */
  readonly mdns: boolean
  /** Carries connections between peers that cannot reach each other. */
  readonly relay: boolean
  /** What it calls itself where strangers may look. */
  readonly names: SwarmNames
  /** A private swarm has an outer wall too: every connection is under this pre-shared key. Newest first, during a rotation two. */
  readonly psks?: readonly Uint8Array[]
  /** Peer ids that no limit by address applies to. */
  readonly allowPeers: readonly string[]
  readonly agent: string
  readonly roles: readonly HelloRole[]
  /** Versions that are said in the hello; only tests set it. */
  readonly versions?: readonly number[]
  readonly tuning?: Partial<SwarmTuning>
}

/** Why a connection, and everything on it, was ended and its peer kept out for a while. */
export type CutReason = 'invalid-facts' | 'gossip-score' | 'malformed-message' | 'lied'

/** How a fact came to us. */
export type FactWay = 'gossip' | 'sync' | 'snapshot'

/** What a swarm tells its owner. Listeners must not throw; they are called in the order of the events. */
/** What became of a message of gossip. */
export type GossipVerdict = 'accept' | 'pending' | 'ignore' | 'reject'

export interface SwarmEvents {
  onPeer?(peer: string): void
  onPeerGone?(peer: string): void
  /** A peer says that it holds something else than before. */
  onTold?(): void
  /** What somebody told on the topic of a registry was judged. */
  onGossip?(message: { readonly verdict: GossipVerdict }): void
  onFact?(fact: { readonly registry: RegistryId; readonly peer: string; readonly way: FactWay }): void
  /** A peer of a private swarm is no member any more, and everything that was open to it has ended. */
  onExpelled?(peer: string): void
  onCut?(cut: { readonly peer: string; readonly reason: CutReason; readonly bannedUntil: number }): void
  /** A registry was compared with a peer to the end. `missing` facts were named by it and not delivered. */
  onReconciled?(session: {
    readonly peer: string
    readonly registry: RegistryId
    readonly facts: number
    readonly missing: number
  }): void
}
