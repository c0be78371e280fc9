import { setImmediate } from 'node:timers/promises'
import { foldAuthority } from '../../protocol/authority.ts'
import type { Authority } from '../../protocol/authority.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import type { Envelope, Subject } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parsePayload } from '../../protocol/payload.ts'

/** What reading a registry's facts needs of the store. */
export interface FactReader {
  factsOf(registry: RegistryId, subject: Subject): Promise<readonly (readonly [FactId, Uint8Array])[]>
}

interface Cached {
  readonly facts: readonly VerifiedFact[]
  readonly bytes: number
}

/** Facts that are read before others get their turn: a few milliseconds. */
const READ_AT_ONCE = 128

/** The part of a registry that is kept in memory: its authority and the facts of the subjects used last. */
export class RegistryState {
  readonly registry: RegistryId
  readonly #reader: FactReader
  /** Least recently used first. */
  readonly #cache = new Map<Subject, Cached>()
  #cachedBytes = 0
  #authority: Authority | undefined
  #writes = 0
  #isDoubtful = false

  constructor(registry: RegistryId, reader: FactReader) {
    this.registry = registry
    this.#reader = reader
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
    this.#authority = foldAuthority(this.registry, await this.factsOf('registry'))
  }

  /** Takes over what a write made durable. */
  landed(authority: Authority | undefined, touched: ReadonlyMap<Subject, readonly VerifiedFact[]>): void {
    this.#writes += 1
    this.#isDoubtful = false
    this.#authority = authority
    for (const [subject, facts] of touched) this.#remember(subject, facts)
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
    const cached = this.#cache.get(subject)
    if (cached !== undefined) {
      this.#cache.delete(subject)
      this.#cache.set(subject, cached)
      return cached.facts
    }
    const writes = this.#writes
    const stored = await this.#reader.factsOf(this.registry, subject)
    const facts: VerifiedFact[] = []
    for (const [id, bytes] of stored) {
      // Attack: an author who may speak can say ten thousand things of one package, 0.5 s to read in one go.
      if (facts.length % READ_AT_ONCE === READ_AT_ONCE - 1) await setImmediate()
      facts.push(readStored(id, bytes))
    }
    // A write that landed meanwhile knows more than what was read before it.
    if (writes === this.#writes && !this.#isDoubtful) this.#remember(subject, facts)
    return facts
  }

  #remember(subject: Subject, facts: readonly VerifiedFact[]): void {
    this.#forget(subject)
    const bytes = facts.reduce((sum, { body }) => sum + body.payload.length, 0)
    this.#cache.set(subject, { facts, bytes })
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
