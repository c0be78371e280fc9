import { digestOf } from '../../protocol/cid.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import { ItemSet } from '../../protocol/sync/item-set.ts'
import { FactStore } from '../../storage/fact-store.ts'
import type { FactBatch } from '../../storage/fact-store.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import type { StorePart } from './parts.ts'

export async function openRealStore(kv: KeyValue, registry: RegistryId): Promise<StorePart> {
  const store = new SetStore(kv)
  await store.open(registry, 'epoch')
  await store.readSet(registry)
  return store
}

class SetStore extends FactStore implements StorePart {
  readonly #kv: KeyValue
  #set = new ItemSet()
  #isDoubtful = false

  constructor(kv: KeyValue) {
    super(kv)
    this.#kv = kv
  }

  async readSet(registry: RegistryId): Promise<void> {
    const prefix = `body!${registry}!`
    this.#set = new ItemSet()
    for await (const [, bytes] of this.#kv.iterate({ gte: prefix, lt: `${prefix}~` })) this.#add(bytes)
  }

  override async commit(batch: FactBatch, options: { readonly sync: boolean }): Promise<void> {
    try {
      await super.commit(batch, options)
    } catch (error) {
      this.#isDoubtful = true
      throw error
    }
    const isMoved = (batch.leave ?? []).length + (batch.back ?? []).length > 0
    if (this.#isDoubtful || isMoved) await this.readSet(batch.registry)
    this.#isDoubtful = false
    for (const { bytes } of batch.facts) this.#add(bytes)
  }

  set(): ItemSet {
    return this.#set
  }

  async unknown(registry: RegistryId, ids: readonly FactId[]): Promise<readonly FactId[]> {
    const known = await this.known(registry, ids)
    return ids.filter((_, index) => known[index] === undefined)
  }

  #add(bytes: Uint8Array): void {
    const { id, body } = parseEnvelope(bytes)
    this.#set.insert({ time: body.time, id: digestOf(id) })
  }
}
