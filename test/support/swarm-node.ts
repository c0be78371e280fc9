import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { FsBlockstore } from 'blockstore-fs'
import { LevelDatastore } from 'datastore-level'
import { verifyFact } from '../../attestation/sign-fact.ts'
import { digestOf } from '../../protocol/cid.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { PUBLIC_NAMES } from '../../protocol/membership/names.ts'
import type { Envelope } from '../../protocol/fact.ts'
import { ItemSet } from '../../protocol/sync/item-set.ts'
import type {
  Blockstore,
  Clock,
  Facts,
  FactSource,
  Gate,
  Log,
  Sight,
  SwarmComponents,
  SwarmConfig,
  SwarmEvents,
  Verdict
} from '../../node/p2p/components.ts'
import type { Membership } from '../../node/p2p/membership.ts'
import { createSwarm } from '../../node/p2p/swarm.ts'
import type { Swarm } from '../../node/p2p/swarm.ts'
import { tempDir } from './temp-dir.ts'

export { FactMaker, registryNamed } from './fact-maker.ts'

/** A gate and a log over a Map, by the rules of the real ones: valid, in its chain, once. */
export class MapFacts implements Gate, Facts {
  readonly log = new Map<string, Envelope[]>()
  readonly sets = new Map<RegistryId, ItemSet>()
  readonly seen = new Set<string>()
  /** How many facts were looked at, whatever became of them. */
  judged = 0
  readonly #waiters: { readonly ready: () => boolean; readonly resolve: () => void }[] = []

  count(registry: RegistryId): number {
    return this.log.get(registry)?.length ?? 0
  }

  add(envelope: Envelope): void {
    const { registry } = envelope.body
    if (registry === null || this.seen.has(envelope.id)) return
    this.seen.add(envelope.id)
    this.#append(registry, [envelope])
    this.#wake()
  }

  addAll(registry: RegistryId, envelopes: readonly Envelope[]): void {
    for (const { id } of envelopes) this.seen.add(id)
    this.#append(registry, envelopes)
    this.#wake()
  }

  /** Resolves when so many facts of the registry are here. */
  async until(registry: RegistryId, count: number): Promise<void> {
    await new Promise<void>(resolve => {
      this.#waiters.push({ ready: () => this.count(registry) >= count, resolve })
      this.#wake()
    })
  }

  async admit(bytes: Uint8Array, source: FactSource): Promise<Verdict> {
    this.judged += 1
    let envelope: Envelope
    try {
      envelope = parseEnvelope(bytes)
    } catch {
      return { verdict: 'reject', reason: 'malformed' }
    }
    const { registry, prev } = envelope.body
    if (registry !== source.registry) return { verdict: 'reject', reason: 'wrong-registry' }
    if (this.seen.has(envelope.id)) return { verdict: 'ignore', reason: 'seen' }
    if (prev !== null && !this.seen.has(prev)) return { verdict: 'pending', reason: 'predecessor-missing' }
    if (!verifyFact(envelope)) return { verdict: 'reject', reason: 'bad-signature' }
    this.add(envelope)
    return { verdict: 'accept' }
  }

  async admitMany(facts: readonly Uint8Array[], source: FactSource): Promise<readonly Verdict[]> {
    const verdicts: Verdict[] = []
    for (const fact of facts) verdicts.push(await this.admit(fact, source))
    return verdicts
  }

  set(registry: RegistryId): ItemSet {
    const set = this.sets.get(registry) ?? new ItemSet()
    this.sets.set(registry, set)
    return set
  }

  async known(_registry: RegistryId, ids: readonly FactId[]): Promise<readonly ('set' | undefined)[]> {
    return ids.map(id => (this.seen.has(id) ? 'set' : undefined))
  }

  async *snapshot(registry: RegistryId): AsyncGenerator<Uint8Array> {
    for (const { bytes } of this.log.get(registry) ?? []) yield bytes
  }

  #append(registry: RegistryId, envelopes: readonly Envelope[]): void {
    const log = this.log.get(registry) ?? []
    for (const envelope of envelopes) {
      log.push(envelope)
      this.set(registry).insert({ time: envelope.body.time, id: digestOf(envelope.id) })
    }
    this.log.set(registry, log)
  }

  async get(registry: RegistryId, id: FactId): Promise<Uint8Array | undefined> {
    return this.log.get(registry)?.find(envelope => envelope.id === id)?.bytes
  }

  #wake(): void {
    for (const waiter of this.#waiters) if (waiter.ready()) waiter.resolve()
  }
}

/** Time as it is. */
export const realClock: Clock = {
  now: () => Date.now(),
  after: (ms, task) => {
    const timer = setTimeout(task, ms)
    return () => clearTimeout(timer)
  }
}

const silent: Log = { debug: () => {}, info: () => {}, warn: () => {} }

export interface TestNode {
  readonly swarm: Swarm
  readonly facts: MapFacts
  readonly blocks: Blockstore
  readonly events: Emitted
  readonly again: NonNullable<TestNodeOptions['again']>
  /** An address that others can dial. */
  address(): string
  stop(): Promise<void>
}

type EventValues = { [K in keyof SwarmEvents]-?: Parameters<NonNullable<SwarmEvents[K]>>[0] }

/** What a swarm has told, kept in order, and a way to wait for it. */
export class Emitted {
  readonly #told: { [K in keyof EventValues]: EventValues[K][] } = {
    onPeer: [],
    onPeerGone: [],
    onTold: [],
    onGossip: [],
    onFact: [],
    onExpelled: [],
    onCut: [],
    onReconciled: []
  }
  readonly #waiters: (() => void)[] = []

  listeners(): Required<SwarmEvents> {
    const add = <K extends keyof EventValues>(type: K, value: EventValues[K]): void => {
      this.#told[type].push(value)
      for (const wake of this.#waiters.splice(0)) wake()
    }
    return {
      onPeer: value => add('onPeer', value),
      onPeerGone: value => add('onPeerGone', value),
      onTold: () => add('onTold', undefined),
      onGossip: value => add('onGossip', value),
      onFact: value => add('onFact', value),
      onExpelled: value => add('onExpelled', value),
      onCut: value => add('onCut', value),
      onReconciled: value => add('onReconciled', value)
    }
  }

  of<K extends keyof EventValues>(type: K): readonly EventValues[K][] {
    return this.#told[type]
  }

  /** Resolves with the first event of a type, or the one after `skip` others: told already or still to come. */
  async next<K extends keyof EventValues>(type: K, skip = 0): Promise<EventValues[K]> {
    for (;;) {
      const found = this.#told[type][skip]
      if (found !== undefined) return found
      await new Promise<void>(resolve => this.#waiters.push(resolve))
    }
  }
}

/** For hosts whose every block is one that a release leads to. */
export const EVERYTHING: Sight = { isNamed: async () => true, strange: async () => [], has: async () => true }

export interface TestNodeOptions {
  readonly registries?: readonly RegistryId[]
  readonly config?: Partial<SwarmConfig>
  readonly facts?: MapFacts
  readonly wrapBlocks?: (blocks: Blockstore) => Blockstore
  /** What of its blocks it shows; everything without it. */
  readonly sight?: Sight
  readonly start?: boolean
  readonly clock?: Clock
  /** What is told of what is held here, how fast content may go, whether any is given. */
  readonly content?: Pick<SwarmComponents, 'held' | 'throttles' | 'isLeech'>
  /** Makes the swarm a private one; given the peer id of the host. */
  readonly membership?: (peer: string) => Membership
  /** Where an earlier node of the same test had its stores, and who it was. */
  readonly again?: { readonly folder: string; readonly privateKey: PrivateKey }
}

const running: TestNode[] = []

/** A real swarm on 127.0.0.1 and a free port, over real stores in temporary folders. */
export async function testNode(options: TestNodeOptions = {}): Promise<TestNode> {
  const folder = options.again?.folder ?? (await tempDir('swarm'))
  const datastore = new LevelDatastore(join(folder, 'data'))
  const store = new FsBlockstore(join(folder, 'blocks'))
  await datastore.open()
  await store.open()
  const blocks = options.wrapBlocks?.(store) ?? store
  const facts = options.facts ?? new MapFacts()
  const events = new Emitted()
  const privateKey = options.again?.privateKey ?? (await generateKeyPair('Ed25519'))
  const membership = options.membership?.(peerIdFromPrivateKey(privateKey).toString())
  const swarm = await createSwarm(
    {
      name: 'test',
      listen: ['/ip4/127.0.0.1/tcp/0'],
      bootstrap: [],
      mdns: false,
      relay: false,
      names: PUBLIC_NAMES,
      allowPeers: [],
      agent: 'ggen-node/test',
      roles: ['peer'],
      ...options.config,
      // Sets are compared when peers meet and when gossip shows a gap; at an interval as well only after every deadline of a
      // test, so that nothing else is hidden by that.
      tuning: { syncIntervalMs: 10 * LIMITS.sync.intervalMs, ...options.config?.tuning }
    },
    {
      privateKey,
      datastore,
      blocks,
      sight: options.sight ?? EVERYTHING,
      registries: () => options.registries ?? [],
      gate: facts,
      facts,
      ...options.content,
      ...(membership === undefined ? {} : { membership }),
      clock: options.clock ?? realClock,
      log: silent
    },
    events.listeners()
  )
  const node: TestNode = {
    again: { folder, privateKey },
    swarm,
    facts,
    blocks,
    events,
    address: () => swarm.addresses()[0] ?? '',
    stop: async () => {
      running.splice(running.indexOf(node), 1)
      await swarm.stop()
      await datastore.close()
      await store.close()
    }
  }
  running.push(node)
  if (options.start !== false) await swarm.start()
  return node
}

/** Stops what a test has started. To be called after each test. */
export async function stopNodes(): Promise<void> {
  for (const node of running.toReversed()) await node.stop()
}
