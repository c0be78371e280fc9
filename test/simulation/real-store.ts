import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { FactStore } from '../../storage/fact-store.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import type { HomeMemory, StorePart } from './parts.ts'

export async function openRealStore(kv: KeyValue, registry: RegistryId, { heads }: HomeMemory): Promise<StorePart> {
  const store = new SimulatedStore(kv, heads === undefined ? {} : { heads })
  const loss = await store.open(registry)
  store.isLossy = loss !== undefined
  return store
}

class SimulatedStore extends FactStore implements StorePart {
  isLossy = false

  async unknown(registry: RegistryId, ids: readonly FactId[]): Promise<readonly FactId[]> {
    const known = await this.known(registry, ids)
    return ids.filter((_, index) => known[index] === undefined)
  }
}
