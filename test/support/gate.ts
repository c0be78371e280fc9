import { Gate } from '../../node/services/admit.ts'
import type { GateComponents } from '../../node/services/admit.ts'
import { RegistryView } from '../../node/services/registry-view.ts'
import { toHex } from '../../protocol/bytes.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { FactStore } from '../../storage/fact-store.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'

/** A gate over a real store, without any network. */
export interface TestGate {
  readonly gate: Gate
  readonly store: FactStore
  readonly view: RegistryView
  readonly kv: KeyValue
  digest(): Promise<string>
  ids(): Promise<readonly string[]>
}

export async function openGate(
  registry: RegistryId,
  kv: KeyValue = memoryKeyValue(),
  components: Partial<GateComponents> = {}
): Promise<TestGate> {
  const store = new FactStore(kv)
  await store.open(registry)
  const gate = new Gate({ store, mayAsk: () => true, ...components })
  await gate.open(registry)
  const view = new RegistryView(store)
  return {
    gate,
    store,
    view,
    kv,
    digest: async () => toHex(await view.digest(registry)),
    ids: async () => {
      const prefix = `fact!${registry}!`
      const ids: string[] = []
      for await (const [key] of kv.iterate({ gte: prefix, lt: `${prefix}~` })) ids.push(key.slice(prefix.length))
      return ids
    }
  }
}
