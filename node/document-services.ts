import type { FactStore } from '../storage/fact-store.ts'
import { DocumentStore } from '../storage/document-store.ts'
import type { KeyValue } from '../storage/key-value.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Changes } from './changes.ts'
import { workerEngine } from './documents/worker-engine.ts'
import type { Clock } from './runtime/clock.ts'
import type { Log } from './runtime/log.ts'
import type { Gate } from './services/admit.ts'
import { Documents } from './services/documents/documents.ts'
import type { StateReader } from './services/registry-view.ts'

export interface DocumentServicesInit {
  readonly kv: KeyValue
  readonly facts: FactStore
  readonly clock: Clock
  readonly log: Log
  readonly gate: Gate
  readonly changes: Changes
}

/** The documents of all registries, and where they are stored. No worker is started before one is needed. */
export function composeDocuments({ kv, facts, clock, log, gate, changes }: DocumentServicesInit): {
  readonly documents: Documents
  readonly states: StateReader
} {
  const documentStore = new DocumentStore(kv, facts)
  const documents = new Documents({
    gate,
    records: documentStore,
    engine: workerEngine()({ clock }),
    onFailed: (registry, subject, error) => log.warn({ registry, subject, error }, 'a document could not be made'),
    onChanged: () => changes.emit()
  })
  const states: StateReader = {
    states: registry => documentStore.states(registry),
    settled: async registry => {
      const patience = new AbortController()
      const over = clock.sleep(LIMITS.document.patienceMs, patience.signal).catch(() => undefined)
      await Promise.race([documents.settled(registry), over])
      patience.abort()
    }
  }
  return { documents, states }
}
