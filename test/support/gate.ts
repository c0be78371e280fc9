import { Gate } from '../../node/services/admit.ts'
import type { GateComponents } from '../../node/services/admit.ts'
import { RegistryView } from '../../node/services/registry-view.ts'
import { toHex } from '../../protocol/bytes.ts'
import { inlineEngine } from '../../node/documents/inline.ts'
import { Documents } from '../../node/services/documents/documents.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import type { Subject } from '../../protocol/fact.ts'
import { DocumentStore } from '../../storage/document-store.ts'
import { FactStore } from '../../storage/fact-store.ts'
import type { KeyValue } from '../../storage/key-value.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'

/** A gate over a real store, without any network. */
export interface TestGate {
  readonly gate: Gate
  readonly store: FactStore
  readonly view: RegistryView
  readonly documents: Documents
  readonly records: DocumentStore
  /** Of documents. */
  readonly failures: readonly unknown[]
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
  const onEdited = (edited: RegistryId, subjects: readonly Subject[]): void => documents.noted(edited, subjects)
  const gate = new Gate({ store, mayAsk: () => true, onEdited, ...components })
  const records = new DocumentStore(kv, store)
  const failures: unknown[] = []
  const documents = new Documents({
    gate,
    records,
    engine: inlineEngine(),
    onFailed: (_registry, _subject, error) => void failures.push(error),
    onChanged: () => {}
  })
  await gate.open(registry)
  documents.open(registry)
  const states = { states: (of: RegistryId) => records.states(of), settled: (of: RegistryId) => documents.settled(of) }
  const view = new RegistryView(store, states)
  return {
    gate,
    documents,
    records,
    failures,
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
