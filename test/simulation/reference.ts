import { RegistryView } from '../../node/services/registry-view.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { Envelope } from '../../protocol/fact.ts'
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
  await gate.open(registry)
  const ordered = [...facts.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1)).map(({ bytes }) => bytes)
  for (let before = -1, size = 0; before !== size;) {
    before = size
    await gate.admitMany(ordered, { peer: 'reference', registry })
    const { set, cut } = await readStock(kv, registry)
    size = set.size + cut.size
  }
  const { set, cut } = await readStock(kv, registry)
  const digest = Buffer.from(await new RegistryView(store).digest(registry)).toString('hex')
  await kv.close()
  return { set, cut, digest }
}
