import type { RegistryId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'

/** Where it is kept over restarts. */
export interface SourceRecords {
  sources(registry: RegistryId): Promise<readonly string[]>
  addSource(registry: RegistryId, peer: string): Promise<void>
}

/**
 * From how many peers each registry was heard to the end. One peer alone may keep back what it likes; what it shows is
 * proven all the same. Counted no further than tells one from several.
 */
export class Sources {
  readonly #records: SourceRecords
  readonly #peers = new Map<RegistryId, Set<string>>()

  constructor(records: SourceRecords) {
    this.#records = records
  }

  async load(registry: RegistryId): Promise<void> {
    this.#peers.set(registry, new Set(await this.#records.sources(registry)))
  }

  count(registry: RegistryId): number {
    return this.#peers.get(registry)?.size ?? 0
  }

  /** Peers come again and again: only a new one, where there is room for it, is written. */
  async add(registry: RegistryId, peer: string): Promise<void> {
    const peers = this.#peers.get(registry) ?? new Set()
    if (peers.has(peer) || peers.size >= LIMITS.peers.sources) return
    this.#peers.set(registry, peers.add(peer))
    await this.#records.addSource(registry, peer)
  }
}
