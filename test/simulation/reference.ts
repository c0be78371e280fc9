import { Documents } from '../../node/services/documents/documents.ts'
import { RegistryView } from '../../node/services/registry-view.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { Envelope, Subject } from '../../protocol/fact.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { REAL_PARTS } from './real-parts.ts'
import { readStock } from './stock.ts'

/** What a node that simply has every fact makes of them. */
export interface Reference {
  readonly set: ReadonlyMap<FactId, Envelope>
  readonly cut: ReadonlyMap<FactId, Envelope>
  readonly digest: string
}

/** Gives facts, in the order of their ids, to a gate and store of their own, until nothing changes any more. */
export async function referenceOf(registry: RegistryId, facts: ReadonlyMap<FactId, Envelope>): Promise<Reference> {
  const kv = memoryKeyValue()
  const home = { node: 'reference', kept: new Map<string, unknown>() }
  const store = await REAL_PARTS.openStore(kv, registry, home)
  const gate = REAL_PARTS.createGate({ store, mayAsk: () => true }, home)
  const records = REAL_PARTS.openDocuments(kv, store, home)
  const engine = REAL_PARTS.createEngine(home)
  const failed = (_: RegistryId, subject: Subject, error: unknown): void => {
    throw new Error(`the words about ${subject} could not be made`, { cause: error })
  }
  const documents = new Documents({ gate, engine, records, onFailed: failed, onChanged: () => {} })
  await gate.open(registry)
  const ordered = [...facts.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1)).map(({ bytes }) => bytes)
  for (let before = -1, size = 0; before !== size;) {
    before = size
    await gate.admitMany(ordered, { peer: 'reference', registry })
    const { set, cut } = await readStock(kv, registry)
    size = set.size + cut.size
  }
  const { set, cut } = await readStock(kv, registry)
  // Nothing told the documents of facts: they are made once, of all of them.
  documents.open(registry)
  const states = { states: (of: RegistryId) => records.states(of), settled: (of: RegistryId) => documents.settled(of) }
  const digest = Buffer.from(await new RegistryView(store, states).digest(registry)).toString('hex')
  await documents.close()
  await kv.close()
  return { set, cut, digest }
}
