import type { RegistryId } from '../../../protocol/cid.ts'
import { compareText } from '../../../protocol/bytes.ts'
import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { Principal } from '../../../protocol/did.ts'
import { isRegistryError } from '../../../protocol/errors.ts'
import type { Subject } from '../../../protocol/fact.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { ageOf, isDue, remember, standingOf } from '../../../protocol/publisher/binding.ts'
import type { AnswerAge, Answer, DomainRecord, LookupFault, Standing } from '../../../protocol/publisher/binding.ts'
import { claimsOf, keySubject } from '../../../protocol/publisher/claim.ts'
import type { DomainClaim } from '../../../protocol/publisher/claim.ts'
import type { Domain } from '../../../protocol/publisher/domain.ts'
import { fanOut, Queue } from '../../runtime/queue.ts'

export interface PublisherComponents {
  readonly gate: {
    state(registry: RegistryId): { factsOf(subject: Subject): Promise<readonly VerifiedFact[]> } | undefined
  }
  readonly registries: { readonly ids: readonly RegistryId[] }
  readonly isPrivate: (registry: RegistryId) => boolean
  readonly records: {
    get(domain: Domain): Promise<DomainRecord | undefined>
    put(record: DomainRecord): Promise<void>
  }
  readonly lookUp: (domain: Domain, signal: AbortSignal) => Promise<Answer>
  readonly settings: {
    /** Whether anybody is asked without being told to. */
    readonly lookups: boolean
    /** Whether domains are asked for on behalf of private registries, too. */
    readonly private: boolean
  }
  readonly now: () => number
}

/** A domain that a key claims, where it said so, and how that stands. */
export interface ShownBinding extends DomainClaim {
  readonly registry: RegistryId
  readonly standing: Standing
  readonly age: AnswerAge
  /** When the domain last answered. */
  readonly answered: number | null
  readonly fault: LookupFault | null
}

/** A key somewhere: what is done for a private registry asks nobody. */
export interface Place {
  readonly registry: RegistryId
  readonly key: Principal
}

/**
 * Which domains say that keys are their own.
 *
 * Invariants:
 * 1. Reading asks nobody: `bindings` and `domainOf` know what was remembered, and nothing else.
 * 2. For a private registry nobody is asked, and nobody is asked about what was said in one, unless the operator said so.
 * 3. A domain is asked one question at a time, whoever wants to know.
 */
export class Publishers {
  readonly #components: PublisherComponents
  readonly #queue = new Queue({ concurrency: LIMITS.publisher.lookups, capacity: LIMITS.publisher.waiting })
  readonly #asking = new Map<Domain, Promise<DomainRecord>>()

  constructor(components: PublisherComponents) {
    this.#components = components
  }

  /** What a key claims in the registries that are followed, and how it stands by what was answered last. */
  async bindings(key: Principal): Promise<readonly ShownBinding[]> {
    const { records, now } = this.#components
    const time = now()
    const claims = await this.#claims(key)
    return Promise.all(
      claims.map(async claim => {
        const record = await records.get(claim.domain)
        return {
          ...claim,
          standing: standingOf(key, record, time),
          age: ageOf(record, time),
          answered: record?.answer?.time ?? null,
          fault: record?.failure?.fault ?? null
        }
      })
    )
  }

  /** The domain that a key is shown as: of those that name it the lowest. Undefined when none does. */
  async domainOf(key: Principal): Promise<ShownBinding | undefined> {
    return (await this.bindings(key)).find(({ standing }) => standing === 'verified')
  }

  /** Asks the domains of these keys where that is due, and waits for the answers. No failure of theirs is one of ours. */
  async refresh(places: readonly Place[], signal: AbortSignal): Promise<void> {
    const { settings, isPrivate, records, now } = this.#components
    if (!settings.lookups) return
    const open = places.filter(({ registry }) => settings.private || !isPrivate(registry))
    const domains = new Set<Domain>()
    for (const key of new Set(open.map(place => place.key)))
      for (const { domain, registry } of await this.#claims(key))
        if (settings.private || !isPrivate(registry)) domains.add(domain)
    await fanOut(domains, { concurrency: LIMITS.publisher.lookups, signal }, async domain => {
      if (isDue(await records.get(domain), now())) await this.ask(domain, signal)
    })
  }

  /** Asks one domain now, because a person said so, or because it is due. */
  ask(domain: Domain, signal: AbortSignal): Promise<DomainRecord> {
    const running = this.#asking.get(domain)
    if (running !== undefined) return running
    const asked = this.#ask(domain, signal).finally(() => this.#asking.delete(domain))
    this.#asking.set(domain, asked)
    return asked
  }

  async #ask(domain: Domain, signal: AbortSignal): Promise<DomainRecord> {
    const { records, lookUp, now } = this.#components
    const answer = await this.#queue
      .run(() => lookUp(domain, signal), signal)
      .catch((error: unknown): Answer => {
        if (isRegistryError(error) && error.code === 'LIMIT_EXCEEDED') return { fault: 'busy' }
        throw error
      })
    const record = remember(domain, await records.get(domain), { answer, now: now() })
    await records.put(record)
    return record
  }

  /** Of one domain that is claimed in several registries, the claim in the first public one. */
  async #claims(key: Principal): Promise<readonly (DomainClaim & { readonly registry: RegistryId })[]> {
    const { gate, registries, isPrivate, now } = this.#components
    const subject = keySubject(key)
    const found = new Map<Domain, DomainClaim & { readonly registry: RegistryId }>()
    for (const registry of registries.ids.toSorted((a, b) => Number(isPrivate(a)) - Number(isPrivate(b)))) {
      const facts = (await gate.state(registry)?.factsOf(subject)) ?? []
      for (const claim of claimsOf(key, facts, now()))
        if (!found.has(claim.domain)) found.set(claim.domain, { ...claim, registry })
    }
    return [...found.values()]
      .toSorted((a, b) => compareText(a.domain, b.domain))
      .slice(0, LIMITS.publisher.domainsPerKey)
  }
}
