import { join } from 'node:path'
import { workerEngine } from '../node/documents/worker-engine.ts'
import type { WorkerEngine } from '../node/documents/worker-engine.ts'
import { systemClock } from '../node/runtime/clock.ts'
import { Gate } from '../node/services/admit.ts'
import { Documents } from '../node/services/documents/documents.ts'
import type { RegistryId } from '../protocol/cid.ts'
import type { Subject } from '../protocol/fact.ts'
import { DocumentStore } from '../storage/document-store.ts'
import { FactStore } from '../storage/fact-store.ts'
import { openLevel } from '../storage/level-key-value.ts'
import type { LevelKeyValue } from '../storage/level-key-value.ts'
import { DocumentCorpus } from './document-corpus.ts'
import type { WrittenDocument } from './document-corpus.ts'
import { admitAll, openGate } from './filled-home.ts'
import type { Workbench } from './workbench.ts'

/** As many as the figures promise, and how many of them somebody is at work on. */
export const DOCUMENTS = 10_000
const WRITTEN = 500

/** The gate and the documents of one registry over a level store in a folder, as a node puts them together. */
export interface OpenedDocuments {
  readonly registry: RegistryId
  readonly kv: LevelKeyValue
  readonly gate: Gate
  readonly engine: WorkerEngine
  readonly documents: Documents
  readonly close: () => Promise<void>
}

/** @param onFailed called with a document that could not be made; without it that ends the process */
export async function openDocuments(
  folder: string,
  registry: RegistryId,
  onFailed: (subject: Subject, error: unknown) => void = (_, error) => fail(error)
): Promise<OpenedDocuments> {
  const kv = await openLevel(folder)
  const store = new FactStore(kv)
  await store.open(registry)
  const onEdited = (_: RegistryId, subjects: readonly Subject[]): void => documents.noted(registry, subjects)
  const gate = new Gate({ store, mayAsk: () => true, onEdited })
  const engine = workerEngine()({ clock: systemClock(fail) })
  const documents = new Documents({
    gate,
    engine,
    records: new DocumentStore(kv, store),
    onFailed: (_, subject, error) => onFailed(subject, error),
    onChanged: () => undefined
  })
  await gate.open(registry)
  const close = async (): Promise<void> => {
    await documents.close()
    await kv.close()
  }
  return { registry, kv, gate, engine, documents, close }
}

function fail(cause: unknown): never {
  throw new Error('a document could not be made', { cause })
}

/** A store with 10,000 documents in it. */
export interface DocumentsHome {
  readonly folder: string
  readonly registry: RegistryId
  readonly facts: number
  /** Every twentieth document: those that go on being written. */
  readonly written: readonly WrittenDocument[]
  /** How long it took to make all documents of their facts. */
  readonly rebuildMs: number
}

/** Made once for the run, with the documents as they are after the facts alone came in. */
export function documentsHome(workbench: Workbench): Promise<DocumentsHome> {
  return workbench.once('documents', async folder => {
    const corpus = new DocumentCorpus()
    const { registry } = corpus
    const store = join(folder, 'store')
    const written: WrittenDocument[] = []
    let facts = 0
    const { gate, close } = await openGate(store, registry)
    await admitAll(
      gate,
      registry,
      (function* () {
        yield* corpus.founding
        for (let index = 0; index < DOCUMENTS; index++) {
          const one = corpus.write(index)
          if (index % (DOCUMENTS / WRITTEN) === 0) written.push(one.document)
          else one.document.free()
          facts += one.facts.length
          yield* one.facts
        }
      })()
    )
    await close()
    return { folder: store, registry, facts, written, rebuildMs: await rebuild(store, registry) }
  })
}

/** From facts and the notes that came with them: nothing of a document is stored yet, and nothing was read before. */
async function rebuild(folder: string, registry: RegistryId): Promise<number> {
  const { documents, kv, close } = await openDocuments(folder, registry)
  const started = performance.now()
  documents.open(registry)
  await documents.settled(registry)
  const ms = performance.now() - started
  const prefix = `doc!${registry}!`
  let made = 0
  for await (const _ of kv.iterate({ gte: prefix, lt: `${prefix}~`, keysOnly: true })) made++
  if (made !== DOCUMENTS) throw new Error(`${made} of ${DOCUMENTS} documents were made`)
  await close()
  return ms
}
