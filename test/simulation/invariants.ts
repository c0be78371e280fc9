import { RegistryView } from '../../node/services/registry-view.ts'
import type { AuthoredFact } from '../../node/services/author.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { decodeCbor } from '../../protocol/cbor.ts'
import type { Principal } from '../../protocol/did.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import type { Envelope } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { SyncState } from '../../protocol/sync/state.ts'
import { namedKeys } from '../../protocol/payload.ts'
import { Evildoer } from './evildoer.ts'
import { documentFault, readDocuments } from './document-check.ts'
import type { Network } from './network.ts'
import type { Reference } from './reference.ts'
import type { Observer, SimNode } from './sim-node.ts'
import { readFact, readStock, sumOf } from './stock.ts'
import { isAskedInSession, isBounded } from './sync-driver.ts'

export const INVARIANTS = {
  'equal-digests': 'equal sets give equal digests',
  'set-sums': 'the sorted set, the index and the records of a store say the same',
  durable: 'what was acknowledged is durable',
  visible: 'what was acknowledged is visible everywhere after the heal',
  'one-position': 'an honest key signs a position once',
  named: 'nothing by an unnamed author is in any set',
  bounds: 'every bound holds',
  asked: 'what is asked for is asked of somebody who is there',
  blame: 'nobody honest is blamed by anybody honest',
  proof: 'two conflicting statements become a proof that all know',
  converge: 'after the heal all honest nodes have equal sets in bounded time',
  membership: 'the set is what its facts alone say',
  documents: 'a document is what its facts add up to',
  heard: 'no edit that counts is lost',
  'nothing-left': 'once all is settled no document waits to be brought up to date',
  alive: 'no part fails in a way that nobody planned'
} as const

export type Invariant = keyof typeof INVARIANTS

export class Violation extends Error {
  override readonly name = 'Violation'
  readonly invariant: Invariant

  constructor(invariant: Invariant, detail: string) {
    super(`${INVARIANTS[invariant]}: ${detail}`)
    this.invariant = invariant
  }
}

interface Acknowledged {
  readonly node: string
  readonly fact: FactId
}

/** Watches a run: told of what happens, it throws at the first thing that must not be. */
export class Watch implements Observer {
  readonly #registry: RegistryId
  readonly #nodes: ReadonlyMap<string, SimNode>
  readonly #network: Network
  readonly #honestKeys = new Set<Principal>()
  readonly #positions = new Map<string, FactId>()
  readonly #named = new Set<Principal>()
  readonly #suspects = new Set<SimNode>()
  readonly #digests = new Map<string, string>()
  readonly #states = new Map<SimNode, SyncState>()
  readonly #compared = new WeakMap<object, Set<string>>()
  readonly #writes = new Map<string, number>()
  #acknowledged: Acknowledged[] = []

  constructor(registry: RegistryId, nodes: ReadonlyMap<string, SimNode>, network: Network) {
    this.#registry = registry
    this.#nodes = nodes
    this.#network = network
  }

  /** Its holders keep the rules, whatever comes. */
  trust(key: Principal): void {
    this.#honestKeys.add(key)
  }

  onSigned(node: SimNode, { id, bytes }: AuthoredFact): void {
    this.#acknowledged.push({ node: node.name, fact: id })
    this.#position(parseEnvelope(bytes))
  }

  onAccepted(node: SimNode, fact: VerifiedFact): void {
    if (node instanceof Evildoer) return
    // What a returning fact named was never told here, so a doubt is only a reason to look at everything.
    if (fact.body.registry !== null && !this.#named.has(fact.body.author)) this.#suspects.add(node)
    for (const key of namedKeys(fact.payload)) this.#named.add(key)
    this.#position(fact)
  }

  onBlamed(node: SimNode, peer: string, reason: string): void {
    const isFair = node instanceof Evildoer || this.#nodes.get(peer) instanceof Evildoer
    if (!isFair) throw new Violation('blame', `${node.name} blames ${peer}: ${reason}`)
  }

  /** What a home that was made anew cannot be asked for. */
  excuse(node: string, kept: ReadonlySet<string>): void {
    this.#acknowledged = this.#acknowledged.filter(({ node: by, fact }) => by !== node || kept.has(fact))
  }

  async onRestarted(node: SimNode): Promise<void> {
    if (node.running === undefined) return
    const { set, cut } = await readStock(node.running.kv, this.#registry)
    for (const { node: by, fact } of this.#acknowledged) {
      if (by === node.name && !set.has(fact) && !cut.has(fact))
        throw new Violation('durable', `${node.name} acknowledged ${fact} and lost it`)
    }
  }

  /** What can be said after each event, at the cost of what changed. */
  async afterEvent(): Promise<void> {
    for (const node of this.#nodes.values()) {
      const { running } = node
      if (running === undefined || node instanceof Evildoer) continue
      const { state } = running.driver
      // A step makes a new state and never changes one.
      if (this.#states.get(node) !== state) {
        if (!isBounded(state)) throw new Violation('bounds', `the sync state of ${node.name}`)
        if (!isAskedInSession(state)) throw new Violation('asked', node.name)
        this.#states.set(node, state)
      }
      if (this.#writes.get(node.name) === node.home.disk.writes) continue
      this.#writes.set(node.name, node.home.disk.writes)
      if (running.gate.pendingCount(this.#registry) > LIMITS.pending.facts)
        throw new Violation('bounds', `the pending buffer of ${node.name}`)
      await this.#compare(node)
    }
    for (const node of this.#suspects) if (node.isUp()) await this.inspect(node)
    this.#suspects.clear()
    if (this.#network.isFlooded) throw new Violation('bounds', 'messages on their way over one connection')
  }

  async #compare(node: SimNode): Promise<void> {
    const { running } = node
    if (running === undefined) return
    const isDoubtful = running.gate.state(this.#registry)?.isDoubtful === true
    if (isDoubtful || (await running.store.isStale(this.#registry))) return
    const sum = Buffer.from(running.store.set(this.#registry).sum()).toString('hex')
    if (this.#isNews(node, `rows ${sum}`, ['view']))
      this.#agree(`rows ${sum}`, await new RegistryView(running.store).digest(this.#registry), node)
    if (!this.#isNews(node, `documents ${sum}`, ['doc', 'doctodo'])) return
    const documents = await running.documents.digest()
    if (documents !== undefined) this.#agree(`documents ${sum}`, documents, node)
  }

  /** Was any record of these kinds written since the same set was compared in this life of the node? Else it was looked at. */
  #isNews(node: SimNode, what: string, kinds: readonly string[]): boolean {
    const { disk } = node.home
    const written = kinds.map(kind => disk.writesOf.get(kind) ?? 0)
    const seen = `${what} ${written.join(' ')}`
    const lives = this.#compared.get(node.running ?? {}) ?? new Set()
    const isNews = !lives.has(seen)
    if (node.running !== undefined) this.#compared.set(node.running, lives.add(seen))
    return isNews
  }

  #agree(what: string, bytes: Uint8Array, node: SimNode): void {
    const digest = Buffer.from(bytes).toString('hex')
    const known = this.#digests.get(what)
    if (known !== undefined && known !== digest)
      throw new Violation('equal-digests', `${node.name} has other ${what.slice(0, 18)}`)
    this.#digests.set(what, digest)
  }

  /** Everything about one node, read from its raw records. */
  async inspect(node: SimNode): Promise<void> {
    const { running } = node
    if (running === undefined) throw new Violation('alive', `${node.name} is down`)
    if (running.gate.state(this.#registry)?.isDoubtful === true) return
    const { set, cut, indexed } = await readStock(running.kv, this.#registry)
    const items = running.store.set(this.#registry)
    const isWhole = indexed.size === set.size && [...set.keys()].every(id => indexed.has(id))
    if (!isWhole || items.size !== set.size || Buffer.from(items.sum()).toString('hex') !== sumOf(set.values()))
      throw new Violation('set-sums', `${node.name} indexes ${indexed.size}, sorts ${items.size} of ${set.size} facts`)
    if (cut.size > LIMITS.cut.facts) throw new Violation('bounds', `the cut area of ${node.name}`)
    const unnamed = unnamedIn(set.values())
    if (unnamed !== undefined)
      throw new Violation('named', `${node.name} holds ${unnamed.id} by ${unnamed.body.author}`)
    if (await running.store.isStale(this.#registry)) return
    const stored = await readDocuments(running.kv, this.#registry)
    const fault = documentFault(this.#registry, { set, cut }, { stored, isHonest: key => this.#honestKeys.has(key) })
    if (fault !== undefined) throw new Violation(fault.invariant, `${node.name}: ${fault.message}`)
  }

  /** Nobody has anything left to do: all documents are made, and nothing is noted to be made. */
  async settle(node: SimNode): Promise<void> {
    const { running } = node
    if (running === undefined) throw new Violation('alive', `${node.name} is down`)
    await running.documents.settled()
    const { todo } = await readDocuments(running.kv, this.#registry)
    if (todo.size > 0) throw new Violation('nothing-left', `${node.name} has not done ${[...todo].join(', ')}`)
  }

  /** Forks that somebody honest has in its set now: bodies by position. */
  async forksKnown(): Promise<ReadonlyMap<string, ReadonlySet<FactId>>> {
    const forks = new Map<string, Set<FactId>>()
    for (const node of this.#honest()) {
      if (node.running === undefined) continue
      const { set } = await readStock(node.running.kv, this.#registry)
      for (const [position, ids] of positionsOf(set.values())) {
        if (ids.size > 1) forks.set(position, new Set([...(forks.get(position) ?? []), ...ids]))
      }
    }
    return forks
  }

  /** All that must hold at the end, given what the facts add up to. */
  async atTheEnd(reference: Reference, forksBefore: ReadonlyMap<string, ReadonlySet<FactId>>): Promise<void> {
    for (const { node, fact } of this.#acknowledged) {
      if (!reference.set.has(fact) && !reference.cut.has(fact))
        throw new Violation('visible', `${node} acknowledged ${fact}, and nobody knows it`)
    }
    const forks = new Map([...positionsOf(reference.set.values())].filter(([, ids]) => ids.size > 1))
    for (const [position, ids] of forksBefore) {
      for (const id of ids) {
        if (!reference.set.has(id) && !reference.cut.has(id))
          throw new Violation('proof', `one half of the fork at ${position} is lost`)
      }
    }
    for (const node of this.#honest()) await this.#proves(node, forks)
  }

  async #proves(node: SimNode, forks: ReadonlyMap<string, ReadonlySet<FactId>>): Promise<void> {
    for (const [position, ids] of forks) {
      const [, , subject = ''] = position.split(' ')
      const row = await node.running?.store.row(this.#registry, subject as 'registry')
      const view = row === undefined ? {} : (decodeCbor(row.subarray(32), 16, Infinity) as { forks?: unknown })
      const shown = JSON.stringify(view.forks ?? [])
      if (![...ids].every(id => shown.includes(id)))
        throw new Violation('proof', `${node.name} does not show the fork at ${position}`)
    }
  }

  #honest(): readonly SimNode[] {
    return [...this.#nodes.values()].filter(node => !(node instanceof Evildoer))
  }

  #position({ id, body }: Pick<Envelope, 'id' | 'body'>): void {
    if (body.registry === null || !this.#honestKeys.has(body.author)) return
    const position = positionOf(body)
    const before = this.#positions.get(position)
    if (before !== undefined && before !== id)
      throw new Violation('one-position', `${position} has ${before} and ${id}`)
    this.#positions.set(position, id)
  }
}

function positionOf({ author, chain, subject, seq }: Envelope['body']): string {
  return `${author} ${chain} ${subject} ${seq}`
}

function positionsOf(facts: Iterable<Envelope>): ReadonlyMap<string, Set<FactId>> {
  const positions = new Map<string, Set<FactId>>()
  for (const { id, body } of facts) {
    if (body.registry === null) continue
    const position = positionOf(body)
    positions.set(position, (positions.get(position) ?? new Set()).add(id))
  }
  return positions
}

/** A fact whose author nothing in the set names, beginning with the genesis. */
function unnamedIn(set: Iterable<Envelope>): Envelope | undefined {
  const facts = [...set].map(envelope => ({ envelope, fact: readFact(envelope) }))
  const named = new Set<Principal>()
  let waiting = facts
  for (let before = -1; before !== waiting.length;) {
    before = waiting.length
    waiting = waiting.filter(({ fact }) => {
      if (fact.body.registry !== null && !named.has(fact.body.author)) return true
      for (const key of namedKeys(fact.payload)) named.add(key)
      return false
    })
  }
  return waiting[0]?.envelope
}
