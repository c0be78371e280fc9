import type { HeliaInit } from 'helia'
import type { PrivateKey } from '@libp2p/interface'
import type { Admission } from '../../protocol/admission.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { HelloRole } from '../../protocol/hello.ts'
import type { SubmissionId } from '../../protocol/submission.ts'
import type { SubmitAnswer } from '../../protocol/submit-messages.ts'

/** Where libp2p and the DHT keep what they remember. Opened and closed by its owner. */
export type Datastore = NonNullable<HeliaInit['datastore']>

/** Blocks that are checked against their CID on every put and every get; the network adds no check of its own. */
export type Blockstore = NonNullable<HeliaInit['blockstore']>

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

/** What one page may hold at most. The first fact always fits. */
export interface PageBudget {
  readonly facts: number
  readonly bytes: number
}

/** The facts of the sets that are kept here, in the order in which they came. */
export interface FactLog {
  /** Names the life of the store: a store that was rebuilt counts anew and has another epoch. */
  epoch(registry: RegistryId): Promise<string>
  /** Facts whose arrival counter is above `after`; `next` is the counter of the last one. */
  page(
    registry: RegistryId,
    after: number,
    budget: PageBudget
  ): Promise<{ readonly facts: readonly Uint8Array[]; readonly next: number; readonly done: boolean }>
  get(registry: RegistryId, id: FactId): Promise<Uint8Array | undefined>
}

/** How far we have read in another node's log. */
export interface Cursor {
  readonly epoch: string
  readonly after: number
}

/** Kept over restarts. Losing a cursor costs a second reading, never a fact. */
export interface Cursors {
  get(peer: string, registry: RegistryId): Promise<Cursor | undefined>
  set(peer: string, registry: RegistryId, cursor: Cursor): Promise<void>
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

/** Everything that a swarm is given. Nothing in `node/p2p/` is global, so a process may hold several. */
export interface SwarmComponents {
  readonly privateKey: PrivateKey
  readonly datastore: Datastore
  readonly blocks: Blockstore
  readonly registries: () => readonly RegistryId[]
  readonly gate: Gate
  readonly factLog: FactLog
  readonly cursors: Cursors
  /** Without one, nobody is asked for names here. */
  readonly desk?: SubmissionDesk
  readonly clock: Clock
  readonly log: Log
}

/** Numbers that a test, a bench or an operator may set; `protocol/limits.ts` has the defaults. */
export interface SwarmTuning {
  readonly helloTimeoutMs: number
  readonly catchUpIntervalMs: number
  readonly catchUpSoonMs: number
  readonly hedgeMs: number
  readonly reaskMs: number
  readonly blockTimeoutMs: number
  readonly perPrivateRange: number
  readonly inboundPerPrivateHostPerSecond: number
  readonly redialMs: number
  readonly connections: number
  readonly inbound: number
}

export interface SwarmConfig {
  /** For logs and errors: `public`, or the alias of a private registry. */
  readonly name: string
  readonly listen: readonly string[]
  /** Multiaddrs that end in `/p2p/<peer id>`; dialled again whenever they are not connected. */
  readonly bootstrap: readonly string[]
  readonly mdns: boolean
  readonly kadProtocol: string
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

/** What a swarm tells its owner. Listeners must not throw; they are called in the order of the events. */
export interface SwarmEvents {
  onPeer?(peer: string): void
  onPeerGone?(peer: string): void
  onFact?(fact: { readonly registry: RegistryId; readonly peer: string; readonly way: 'gossip' | 'catch-up' }): void
  onCut?(cut: { readonly peer: string; readonly reason: CutReason; readonly bannedUntil: number }): void
  onCaughtUp?(session: {
    readonly peer: string
    readonly registry: RegistryId
    readonly facts: number
    readonly toItsEnd: boolean
  }): void
}
