import type { RegistryId } from '../../protocol/cid.ts'
import type { SyncedHead } from '../../storage/head-files.ts'
import type { Rng } from './rng.ts'

/**
 * The small files that tell, outside of the store, what it held. Nobody waits for their writing: some reach the disk at once,
 * some not before the next one, or the end.
 */
export class SimHeads {
  readonly #rng: Rng
  readonly #written = new Map<RegistryId, SyncedHead>()
  readonly #waiting = new Map<RegistryId, SyncedHead>()

  constructor(rng: Rng) {
    this.#rng = rng
  }

  async read(registry: RegistryId): Promise<SyncedHead | undefined> {
    return this.#waiting.get(registry) ?? this.#written.get(registry)
  }

  note(registry: RegistryId, head: SyncedHead, { urgent }: { readonly urgent: boolean }): void {
    this.#waiting.set(registry, head)
    if (this.#rng.chance(urgent ? 0.8 : 0.1)) this.#write()
  }

  async flush(): Promise<void> {
    this.#write()
  }

  async remove(registry: RegistryId): Promise<void> {
    this.#waiting.delete(registry)
    this.#written.delete(registry)
  }

  /** Whoever would have written is gone. */
  die(): void {
    this.#waiting.clear()
  }

  #write(): void {
    for (const [registry, head] of this.#waiting) this.#written.set(registry, head)
    this.#waiting.clear()
  }
}
