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

/** The part of a registry that is kept in memory: its authority and the facts of the subjects used last. */
export class RegistryState {
  readonly registry: RegistryId
  readonly #reader: FactReader
  readonly #cache = new Map<Subject, readonly VerifiedFact[]>()
  #authority: Authority | undefined

  constructor(registry: RegistryId, reader: FactReader) {
    this.registry = registry
    this.#reader = reader
  }

  /** Undefined while the genesis has not arrived. */
  get authority(): Authority | undefined {
    return this.#authority
  }

  async load(): Promise<void> {
    this.#authority = foldAuthority(this.registry, await this.factsOf('registry'))
  }

  setAuthority(authority: Authority | undefined): void {
    this.#authority = authority
  }

  /** All facts about a subject that are in the set. */
  async factsOf(subject: Subject): Promise<readonly VerifiedFact[]> {
    const cached = this.#cache.get(subject)
    if (cached !== undefined) return cached
    const stored = await this.#reader.factsOf(this.registry, subject)
    const facts = stored.map(([id, bytes]) => readStored(id, bytes))
    this.remember(subject, facts)
    return facts
  }

  remember(subject: Subject, facts: readonly VerifiedFact[]): void {
    this.#cache.delete(subject)
    this.#cache.set(subject, facts)
    if (this.#cache.size <= LIMITS.storage.subjectCacheEntries) return
    const [oldest] = this.#cache.keys()
    if (oldest !== undefined) this.#cache.delete(oldest)
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
