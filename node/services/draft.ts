import type { VerifiedFact } from '../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import type { Envelope, Subject } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { namedKeys } from '../../protocol/payload.ts'
import type { WaitsFor } from '../../protocol/pending.ts'
import type { Known } from './membership.ts'
import type { RegistryState } from './registry-state.ts'

/** On which side of the set a fact is known. */
export type Side = 'set' | 'cut'

export interface DraftReader {
  known(registry: RegistryId, ids: readonly FactId[]): Promise<readonly (Side | undefined)[]>
  areNamed(registry: RegistryId, keys: readonly Principal[]): Promise<readonly boolean[]>
}

export interface AcceptedFact {
  readonly fact: VerifiedFact
  readonly bytes: Uint8Array
  readonly peer: string
}

/**
 * A registry's set as it will be once a batch lands: the stored facts plus those the batch has let in so far.
 * Nothing outside it changes before the write, so a write that fails leaves no trace.
 */
export class Draft {
  readonly state: RegistryState
  readonly #reader: DraftReader
  readonly #sides = new Map<FactId, Side | undefined>()
  readonly #named = new Map<Principal, boolean>()
  readonly #subjects = new Map<Subject, { readonly set: VerifiedFact[]; readonly cut: VerifiedFact[] }>()
  readonly #accepted: AcceptedFact[] = []
  readonly #cut: AcceptedFact[] = []
  readonly #newlyNamed = new Set<Principal>()
  #arrived: readonly WaitsFor[]
  #bytes = 0

  /** `arrived` is what the draft before this one let in and nobody has looked at yet. */
  constructor(state: RegistryState, reader: DraftReader, arrived: readonly WaitsFor[] = []) {
    this.state = state
    this.#reader = reader
    this.#arrived = arrived
  }

  get registry(): RegistryId {
    return this.state.registry
  }

  get accepted(): readonly AcceptedFact[] {
    return this.#accepted
  }

  /** Facts of revoked authors: kept aside, in no set. */
  get cut(): readonly AcceptedFact[] {
    return this.#cut
  }

  /** True when there is anything to write. */
  get isUsed(): boolean {
    return this.#accepted.length + this.#cut.length > 0
  }

  get named(): readonly Principal[] {
    return [...this.#newlyNamed]
  }

  /** Time to write: a store takes batches of bounded size, and a hostile author chooses what is in one. */
  get isFull(): boolean {
    const { factsPerWrite, factBytesPerWrite, keysPerWrite } = LIMITS.admission
    return (
      this.#accepted.length + this.#cut.length >= factsPerWrite ||
      this.#bytes >= factBytesPerWrite ||
      this.#newlyNamed.size >= keysPerWrite
    )
  }

  /** What is known of each subject that the batch touched, the facts of the batch included. */
  get touched(): ReadonlyMap<Subject, Known> {
    return this.#subjects
  }

  /** What a batch will ask of the store, in two round trips. */
  async prefetch(envelopes: readonly Envelope[]): Promise<void> {
    const ids = [...new Set(envelopes.flatMap(({ id, body }) => (body.prev === null ? [id] : [id, body.prev])))]
    const authors = [...new Set(envelopes.map(({ body }) => body.author))]
    const [sides, named] = await Promise.all([
      this.#reader.known(this.registry, ids),
      this.#reader.areNamed(this.registry, authors)
    ])
    for (const [i, id] of ids.entries()) this.#sides.set(id, sides[i])
    for (const [i, key] of authors.entries()) this.#named.set(key, named[i] ?? false)
    // Side by side, not one after the other: the store reads while signatures are checked. Nothing is read for strangers.
    const isNews = ({ id, body }: Envelope): boolean =>
      this.#sides.get(id) === undefined && this.#named.get(body.author) === true
    const subjects = new Set(envelopes.filter(isNews).map(({ body }) => body.subject))
    await Promise.all([...subjects].map(subject => this.state.known(subject)))
  }

  /** Where a fact is known, if it is. */
  async side(id: FactId): Promise<Side | undefined> {
    if (this.#sides.has(id)) return this.#sides.get(id)
    const [side] = await this.#reader.known(this.registry, [id])
    this.#sides.set(id, side)
    return side
  }

  async isNamed(key: Principal): Promise<boolean> {
    const known = this.#named.get(key)
    if (known !== undefined) return known
    const [stored = false] = await this.#reader.areNamed(this.registry, [key])
    this.#named.set(key, stored)
    return stored
  }

  async find(subject: Subject, id: FactId): Promise<VerifiedFact | undefined> {
    if ((await this.side(id)) === undefined) return undefined
    const { set, cut } = this.#subjects.get(subject) ?? (await this.state.known(subject))
    return set.find(fact => fact.id === id) ?? cut.find(fact => fact.id === id)
  }

  async add(fact: VerifiedFact, bytes: Uint8Array, peer: string): Promise<void> {
    const { set } = await this.#subject(fact.body.subject)
    set.push(fact)
    this.#sides.set(fact.id, 'set')
    this.#accepted.push({ fact, bytes, peer })
    this.#bytes += bytes.length
    const arrived: WaitsFor[] = [...this.#arrived, { fact: fact.id }]
    for (const key of namedKeys(fact.payload)) {
      if (await this.isNamed(key)) continue
      this.#newlyNamed.add(key)
      this.#named.set(key, true)
      arrived.push({ key })
    }
    this.#arrived = arrived
  }

  /**
   * True for a key that facts about the registry name which are kept outside the set. Of two histories that cut each other out,
   * each is decided by changes whose authors only the other one names: both must be known before one can be found to
   * count. What such a key says of packages decides nothing and waits.
   */
  async isNamedAside(subject: Subject, key: Principal): Promise<boolean> {
    if (subject !== 'registry') return false
    const { cut } = this.#subjects.get('registry') ?? (await this.state.known('registry'))
    return cut.some(({ payload }) => namedKeys(payload).includes(key))
  }

  /** Has what waits for a key or a fact looked at again. */
  announce(waitsFor: WaitsFor): void {
    this.#arrived = [...this.#arrived, waitsFor]
  }

  /** Keeps a fact aside. Whom it names is not named by it, and is heard outside the set. */
  async setAside(fact: VerifiedFact, bytes: Uint8Array, peer: string): Promise<void> {
    const { cut } = await this.#subject(fact.body.subject)
    cut.push(fact)
    this.#sides.set(fact.id, 'cut')
    this.#cut.push({ fact, bytes, peer })
    this.#bytes += bytes.length
    this.#arrived = [...this.#arrived, { fact: fact.id }, ...namedKeys(fact.payload).map(key => ({ key }))]
  }

  async #subject(subject: Subject): Promise<{ readonly set: VerifiedFact[]; readonly cut: VerifiedFact[] }> {
    const known = this.#subjects.get(subject)
    if (known !== undefined) return known
    const { set, cut } = await this.state.known(subject)
    const copy = { set: [...set], cut: [...cut] }
    this.#subjects.set(subject, copy)
    return copy
  }

  /** What arrived since the last call: facts and keys that others may have waited for. */
  takeArrived(): readonly WaitsFor[] {
    const arrived = this.#arrived
    this.#arrived = []
    return arrived
  }
}
