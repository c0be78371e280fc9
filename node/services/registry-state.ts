import { setImmediate } from 'node:timers/promises'
import type { Authority } from '../../protocol/authority.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import type { Envelope, Subject } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parsePayload } from '../../protocol/payload.ts'
import { foldRegistry } from './membership.ts'
import type { Known } from './membership.ts'

/** What reading a registry's facts needs of the store. */
export interface FactReader {
  factsOf(registry: RegistryId, subject: Subject): Promise<readonly (readonly [FactId, Uint8Array])[]>
  /** The same of those that are kept aside, and how many there are in all. */
  cutFactsOf(registry: RegistryId, subject: Subject): Promise<readonly (readonly [FactId, Uint8Array])[]>
  cutCount(registry: RegistryId): number
}

interface Cached {
  readonly known: Known
  readonly bytes: number
}

/** Facts that are read before others get their turn: a few milliseconds. */
const READ_AT_ONCE = 128

/** The part of a registry that is kept in memory: its authority and the facts of the subjects used last. */
export class RegistryState {
  readonly registry: RegistryId
  readonly #reader: FactReader
  readonly #onEdited: (subjects: readonly Subject[]) => void
  /** Least recently used first. */
  readonly #cache = new Map<Subject, Cached>()
  #cachedBytes = 0
  #authority: Authority | undefined
  #writes = 0
  #isDoubtful = false

  /** `onEdited` hears of subjects whose documents may say something else, once that is durable and known here. */
  constructor(registry: RegistryId, reader: FactReader, onEdited: (subjects: readonly Subject[]) => void = () => {}) {
    this.registry = registry
    this.#reader = reader
    this.#onEdited = onEdited
  }

  /** Undefined while the genesis has not arrived. */
  get authority(): Authority | undefined {
    return this.#authority
  }

  /** True after a write whose outcome is unknown, until one succeeds: `load` again before each decision. */
  get isDoubtful(): boolean {
    return this.#isDoubtful
  }

  async load(): Promise<void> {
    const { set, cut } = await this.known('registry')
    this.#authority = foldRegistry(this.registry, [...set, ...cut]).authority
  }

  /** Takes over what a write made durable. */
  landed(
    authority: Authority | undefined,
    touched: ReadonlyMap<Subject, Known>,
    edited: readonly Subject[] = []
  ): void {
    this.#writes += 1
    this.#isDoubtful = false
    this.#authority = authority
    for (const [subject, known] of touched) this.#remember(subject, known)
    if (edited.length > 0) this.#onEdited(edited)
  }

  /**
   * Forgets what memory says of the store. Crash state: a write that reported a failure may have landed, so whoever
   * reads next (an author looking for its next position, above all) must read the store. It may even land later, when
   * the store is opened again and replays its log, so nothing is remembered before a write succeeds.
   */
  doubt(): void {
    this.#writes += 1
    this.#isDoubtful = true
    this.#cache.clear()
    this.#cachedBytes = 0
  }

  /** All facts about a subject that are in the set. */
  async factsOf(subject: Subject): Promise<readonly VerifiedFact[]> {
    return (await this.known(subject)).set
  }

  /** The same, and what is kept aside. */
  async known(subject: Subject): Promise<Known> {
    const cached = this.#cache.get(subject)
    if (cached !== undefined) {
      this.#cache.delete(subject)
      this.#cache.set(subject, cached)
      return cached.known
    }
    const writes = this.#writes
    const { registry } = this
    const set = await readAll(await this.#reader.factsOf(registry, subject))
    const cut =
      this.#reader.cutCount(registry) === 0 ? [] : await readAll(await this.#reader.cutFactsOf(registry, subject))
    // A write that landed meanwhile knows more than what was read before it.
    if (writes === this.#writes && !this.#isDoubtful) this.#remember(subject, { set, cut })
    return { set, cut }
  }

  #remember(subject: Subject, known: Known): void {
    this.#forget(subject)
    const bytes = [...known.set, ...known.cut].reduce((sum, { body }) => sum + body.payload.length, 0)
    this.#cache.set(subject, { known, bytes })
    this.#cachedBytes += bytes
    const { subjectCacheEntries, subjectCacheBytes } = LIMITS.storage
    for (const [oldest] of this.#cache) {
      if (this.#cache.size <= subjectCacheEntries && this.#cachedBytes <= subjectCacheBytes) return
      this.#forget(oldest)
    }
  }

  #forget(subject: Subject): void {
    this.#cachedBytes -= this.#cache.get(subject)?.bytes ?? 0
    this.#cache.delete(subject)
  }
}

async function readAll(stored: readonly (readonly [FactId, Uint8Array])[]): Promise<readonly VerifiedFact[]> {
  const facts: VerifiedFact[] = []
  for (const [id, bytes] of stored) {
    // Attack: an author who may speak can say ten thousand things of one package, 0.5 s to read in one go.
    if (facts.length % READ_AT_ONCE === READ_AT_ONCE - 1) await setImmediate()
    facts.push(readStored(id, bytes))
  }
  return facts
}

/** The signature was checked before the fact was written; the id, a hash of the body, shows that it is still that body. */
function readStored(id: FactId, bytes: Uint8Array): VerifiedFact {
  const envelope = parseEnvelope(bytes)
  if (envelope.id !== id) throw new RegistryError('STORE_CORRUPT', `fact ${id} changed on disk`)
  return verified(envelope)
}

/** Reads the payload. Call it only after the signature holds. */
export function verified(envelope: Envelope): VerifiedFact {
  return { id: envelope.id, body: envelope.body, payload: parsePayload(envelope.body) }
}
