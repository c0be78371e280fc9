import { verified } from '../../node/services/registry-state.ts'
import { equalBytes } from '../../protocol/bytes.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import { digestOf } from '../../protocol/cid.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { ItemSet } from '../../protocol/sync/item-set.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import type { Envelope } from '../../protocol/fact.ts'
import type { KeyValue } from '../../storage/key-value.ts'

/** What the raw records of a store say, read without the store. */
export interface Stock {
  readonly set: ReadonlyMap<FactId, Envelope>
  readonly cut: ReadonlyMap<FactId, Envelope>
  /** Ids in the index. */
  readonly indexed: ReadonlySet<string>
}

export async function readStock(kv: KeyValue, registry: RegistryId): Promise<Stock> {
  const indexed = new Set<string>()
  const prefix = `fact!${registry}!`
  for await (const [key] of kv.iterate({ gte: prefix, lt: `${prefix}~`, keysOnly: true }))
    indexed.add(key.slice(prefix.length))
  return { set: await bodies(kv, `body!${registry}!`), cut: await bodies(kv, `cut!${registry}!`), indexed }
}

async function bodies(kv: KeyValue, prefix: string): Promise<ReadonlyMap<FactId, Envelope>> {
  const found = new Map<FactId, Envelope>()
  for await (const [key, bytes] of kv.iterate({ gte: prefix, lt: `${prefix}~` })) {
    const id = key.slice(key.lastIndexOf('!') + 1) as FactId
    found.set(id, parsed(id, bytes))
  }
  return found
}

/** Parsed before, by id: the same few facts are looked at thousands of times. */
const known = new Map<FactId, Envelope>()
const KNOWN = 4_096

function parsed(id: FactId, bytes: Uint8Array): Envelope {
  const before = known.get(id)
  if (before !== undefined && equalBytes(before.bytes, bytes)) return before
  const envelope = parseEnvelope(bytes)
  if (known.size >= KNOWN) known.clear()
  known.set(id, envelope)
  return envelope
}

const read = new WeakMap<Envelope, VerifiedFact>()

/** A fact of a stock with its payload, read once. */
export function readFact(envelope: Envelope): VerifiedFact {
  const before = read.get(envelope)
  if (before !== undefined) return before
  const fact = verified(envelope)
  read.set(envelope, fact)
  return fact
}

/** The sum that a set of facts must have. */
export function sumOf(facts: Iterable<Envelope>): string {
  const items = [...facts].map(({ id, body }) => ({ time: body.time, id: digestOf(id) }))
  return Buffer.from(ItemSet.fromUnsorted(items).sum()).toString('hex')
}
