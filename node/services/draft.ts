import type { VerifiedFact } from '../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import type { Envelope, Subject } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { namedKeys } from '../../protocol/payload.ts'
import type { WaitsFor } from '../../protocol/pending.ts'
import type { RegistryState } from './registry-state.ts'

export interface DraftReader {
  has(registry: RegistryId, ids: readonly FactId[]): Promise<readonly boolean[]>
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
  readonly #known = new Map<FactId, boolean>()
  readonly #named = new Map<Principal, boolean>()
  readonly #subjects = new Map<Subject, VerifiedFact[]>()
  readonly #accepted: AcceptedFact[] = []
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

  get named(): readonly Principal[] {
    return [...this.#newlyNamed]
  }

  /** Time to write: a store takes batches of bounded size, and a hostile author chooses what is in one. */
  get isFull(): boolean {
    const { factsPerWrite, factBytesPerWrite, keysPerWrite } = LIMITS.admission
    return (
      this.#accepted.length >= factsPerWrite ||
      this.#bytes >= factBytesPerWrite ||
      this.#newlyNamed.size >= keysPerWrite
    )
  }

  /** All facts of each subject that the batch touched. */
  get touched(): ReadonlyMap<Subject, readonly VerifiedFact[]> {
    return this.#subjects
  }

  /** One round trip to the store for what a batch will ask. */
  async prefetch(envelopes: readonly Envelope[]): Promise<void> {
    const ids = [...new Set(envelopes.flatMap(({ id, body }) => (body.prev === null ? [id] : [id, body.prev])))]
    const known = await this.#reader.has(this.registry, ids)
    for (const [i, id] of ids.entries()) this.#known.set(id, known[i] ?? false)
  }

  async has(id: FactId): Promise<boolean> {
    const known = this.#known.get(id)
    if (known !== undefined) return known
    const [stored = false] = await this.#reader.has(this.registry, [id])
    this.#known.set(id, stored)
    return stored
  }

  async isNamed(key: Principal): Promise<boolean> {
    const known = this.#named.get(key)
    if (known !== undefined) return known
    const [stored = false] = await this.#reader.areNamed(this.registry, [key])
    this.#named.set(key, stored)
    return stored
  }

  async find(subject: Subject, id: FactId): Promise<VerifiedFact | undefined> {
    if (!(await this.has(id))) return undefined
    const facts = this.#subjects.get(subject) ?? (await this.state.factsOf(subject))
    return facts.find(fact => fact.id === id)
  }

  async add(fact: VerifiedFact, bytes: Uint8Array, peer: string): Promise<void> {
    const { subject } = fact.body
    let facts = this.#subjects.get(subject)
    if (facts === undefined) {
      facts = [...(await this.state.factsOf(subject))]
      this.#subjects.set(subject, facts)
    }
    facts.push(fact)
    this.#known.set(fact.id, true)
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

  /** What arrived since the last call: facts and keys that others may have waited for. */
  takeArrived(): readonly WaitsFor[] {
    const arrived = this.#arrived
    this.#arrived = []
    return arrived
  }
}
