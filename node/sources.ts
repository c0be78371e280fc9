import type { RegistryId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'

/** Where it is kept over restarts. */
export interface SourceRecords {
  sources(registry: RegistryId): Promise<readonly string[]>
  addSource(registry: RegistryId, peer: string): Promise<void>
  heardAt(registry: RegistryId): Promise<number | undefined>
  putHeardAt(registry: RegistryId, time: number): Promise<void>
  lookedAt(registry: RegistryId): Promise<number | undefined>
  putLookedAt(registry: RegistryId, time: number): Promise<void>
}

/**
 * From how many peers each registry was heard to the end, and when last. One peer alone may keep back what it likes; what
 * it shows is proven all the same. Counted no further than tells one from several.
 */
export class Sources {
  readonly #records: SourceRecords
  readonly #now: () => number
  readonly #isHeld: (registry: RegistryId) => boolean
  readonly #peers = new Map<RegistryId, Set<string>>()
  readonly #heard = new Map<RegistryId, number>()
  readonly #written = new Map<RegistryId, number>()
  readonly #looked = new Map<RegistryId, number>()

  /** `isHeld`: whether any fact of a registry is here. Who has nothing to show ends nobody's first look at it. */
  constructor(records: SourceRecords, now: () => number, isHeld: (registry: RegistryId) => boolean = () => true) {
    this.#records = records
    this.#now = now
    this.#isHeld = isHeld
  }

  /** Reads what is kept: nothing, of a registry that was followed no longer meanwhile. */
  async load(registry: RegistryId): Promise<void> {
    this.#peers.set(registry, new Set(await this.#records.sources(registry)))
    const looked = await this.#records.lookedAt(registry)
    if (looked === undefined) this.#looked.delete(registry)
    else this.#looked.set(registry, looked)
    const heard = await this.#records.heardAt(registry)
    for (const times of [this.#heard, this.#written]) {
      if (heard === undefined) times.delete(registry)
      else times.set(registry, heard)
    }
  }

  count(registry: RegistryId): number {
    return this.#peers.get(registry)?.size ?? 0
  }

  /** When it was last compared to the end with somebody, now or before a restart; undefined when nobody knows. */
  heardAt(registry: RegistryId): number | undefined {
    return this.#heard.get(registry)
  }

  /** When it was compared to the end for the first time: what came before that was there before anybody here looked. */
  lookedAt(registry: RegistryId): number | undefined {
    return this.#looked.get(registry)
  }

  /** Was it heard so lately that what it does not hold here it most likely does not hold at all? */
  isFresh(registry: RegistryId): boolean {
    const heard = this.#heard.get(registry)
    // Attack: a clock that once stood in the future, after which a registry would count as heard for years.
    return heard !== undefined && Math.abs(this.#now() - heard) <= LIMITS.peers.heardMs
  }

  /** Peers come again and again: only a new one, where there is room for it, is written, and the time now and then. */
  async add(registry: RegistryId, peer: string): Promise<void> {
    const now = this.#now()
    this.#heard.set(registry, now)
    const peers = this.#peers.get(registry) ?? new Set()
    if (!peers.has(peer) && peers.size < LIMITS.peers.sources) {
      this.#peers.set(registry, peers.add(peer))
      await this.#records.addSource(registry, peer)
    }
    if (!this.#looked.has(registry) && this.#isHeld(registry)) {
      this.#looked.set(registry, now)
      await this.#records.putLookedAt(registry, now)
    }
    if (Math.abs(now - (this.#written.get(registry) ?? -Infinity)) < LIMITS.peers.heardEveryMs) return
    this.#written.set(registry, now)
    await this.#records.putHeardAt(registry, now)
  }
}
