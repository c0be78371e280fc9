import { setImmediate } from 'node:timers/promises'
import type { FactId, RegistryId } from '../protocol/cid.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Item } from '../protocol/sync/item-set.ts'
import { DigestSum, digestIn } from './fact-digest.ts'
import {
  encodeEntry,
  encodeNames,
  FACT_KINDS,
  flag,
  KEYS,
  keysFrom,
  placeIn,
  readFact,
  timeIn
} from './fact-records.ts'
import type { FactWrite } from './fact-records.ts'
import type { KeyValue, KeyValueOp } from './key-value.ts'

/** What the records of a registry's facts amount to, counted one by one. */
export interface FactStock {
  /** Of the bodies. */
  readonly sum: DigestSum
  /** Every fact that the index has. */
  readonly items: readonly Item[]
  readonly cut: { readonly sum: DigestSum; readonly bytes: number }
  /** True when index and bodies, in the set and outside, say the same, and none of what was read is damaged. */
  readonly isWhole: boolean
  /** True when each subject has its row of the view. */
  readonly hasRows: boolean
  /** True when there is no record of any fact or row. */
  readonly isEmpty: boolean
}

/** Counts records without reading the facts: the values of the index, the keys of the rest. */
export async function takeStock(kv: KeyValue, registry: RegistryId): Promise<FactStock> {
  let damaged = 0
  const digestOf = (key: string): Uint8Array | undefined => {
    const digest = digestIn(key.slice(key.lastIndexOf('!') + 1))
    if (digest === undefined) damaged += 1
    return digest
  }
  const onDamage = (): void => void (damaged += 1)
  const bodies = new DigestSum()
  let subjects = 0
  let last = ''
  for await (const [key] of kv.iterate({ ...keysFrom(`body!${registry}!`), keysOnly: true })) {
    const digest = digestOf(key)
    if (digest !== undefined) bodies.add(digest)
    const subject = key.slice(0, key.lastIndexOf('!'))
    if (subject !== last) subjects += 1
    last = subject
  }
  const index = new DigestSum()
  const items: Item[] = []
  for await (const [key, value] of kv.iterate({ ...keysFrom(`fact!${registry}!`), onDamage })) {
    const id = digestOf(key)
    if (id === undefined) continue
    index.add(id)
    items.push({ time: timeIn(value), id })
  }
  let rows = 0
  for await (const _ of kv.iterate({ ...keysFrom(`view!${registry}!`), keysOnly: true })) rows += 1
  const cut = new DigestSum()
  let cutBytes = 0
  for await (const [key, value] of kv.iterate({ ...keysFrom(`cut!${registry}!`), onDamage })) {
    const digest = digestOf(key)
    if (digest !== undefined) cut.add(digest)
    cutBytes += value.length
  }
  const cutIndex = new DigestSum()
  for await (const [key] of kv.iterate({ ...keysFrom(`cutid!${registry}!`), onDamage })) {
    const digest = digestOf(key)
    if (digest !== undefined) cutIndex.add(digest)
  }
  const isWhole = damaged === 0 && index.equals(bodies) && cut.equals(cutIndex)
  const isEmpty = isWhole && bodies.count + cut.count + rows === 0
  return { sum: bodies, items, cut: { sum: cut, bytes: cutBytes }, isWhole, hasRows: rows === subjects, isEmpty }
}

/**
 * Makes all other records say what the bodies say, after a loss or for a store of an older layout: every fact that is
 * still itself is indexed again, what points to none goes. A crash in between leaves a loss, which the next start
 * repairs; it is never taken for whole, because the head is written last.
 */
export async function repairStock(kv: KeyValue, registry: RegistryId): Promise<void> {
  const ops = new OpWriter(kv)
  // Facts that lived through it, with the keys of their records.
  const kept = new Set<string>()
  const inSet = new Set<FactId>()
  const keep = async (key: string, value: Uint8Array): Promise<void> => {
    if (kept.has(key)) return
    kept.add(key)
    await ops.add({ type: 'put', key, value })
  }
  const keepWritings = async ({ id, subject, author, names }: FactWrite): Promise<void> => {
    await keep(KEYS.who(registry, { author, subject }), new Uint8Array(0))
    if (names.length > 0) await keep(KEYS.names(registry, { author, id }), encodeNames(names))
  }
  for await (const fact of soundFacts(kv, `body!${registry}!`, ops)) {
    inSet.add(fact.id)
    await keep(KEYS.fact(registry, fact.id), encodeEntry(fact))
    await keepWritings(fact)
  }
  for await (const fact of soundFacts(kv, `cut!${registry}!`, ops)) {
    if (inSet.has(fact.id)) {
      await ops.add({ type: 'del', key: KEYS.cut(registry, fact) })
      continue
    }
    await keep(KEYS.cutId(registry, fact.id), encodeEntry(fact))
    await keepWritings(fact)
  }
  for (const kind of ['fact', 'cutid', 'names', 'log'] as const) {
    for await (const [key] of kv.iterate({ ...keysFrom(`${kind}!${registry}!`), keysOnly: true })) {
      if (!kept.has(key)) await ops.add({ type: 'del', key })
    }
  }
  // Who is named, and what every row says, is counted through again.
  await ops.add(flag(KEYS.stale(registry), true))
  await ops.flush()
}

/** Facts under a prefix that are still themselves; the keys of the others are removed. */
async function* soundFacts(kv: KeyValue, prefix: string, ops: OpWriter): AsyncGenerator<FactWrite> {
  const damaged: string[] = []
  let read = 0
  for await (const [key, bytes] of kv.iterate({ ...keysFrom(prefix), onDamage: key => damaged.push(key) })) {
    read += 1
    if (read % LIMITS.storage.readAtOnce === 0) await setImmediate()
    const fact = readFact(bytes, placeIn(key, prefix))
    if (fact === undefined) damaged.push(key)
    else yield fact
  }
  for (const key of damaged) await ops.add({ type: 'del', key })
}

/** Deletes every record of a registry, its head last: what a crash leaves is a loss to whoever follows it again. */
export async function eraseStock(kv: KeyValue, registry: RegistryId): Promise<void> {
  const ops = new OpWriter(kv)
  for (const kind of FACT_KINDS) {
    for await (const [key] of kv.iterate({ ...keysFrom(`${kind}!${registry}!`), keysOnly: true })) {
      await ops.add({ type: 'del', key })
    }
  }
  await ops.flush()
  const last = [KEYS.stale(registry), KEYS.head(registry)]
  await kv.batch(
    last.map(key => ({ type: 'del', key })),
    { sync: true }
  )
}

/** True for damage that only reading meets: a checksum that does not hold, a table that makes no sense. */
export function isDamage(error: unknown): boolean {
  return isRegistryError(error) && error.code === 'STORE_CORRUPT'
}

/** Writes many changes in batches of bounded size. */
class OpWriter {
  readonly #kv: KeyValue
  #ops: KeyValueOp[] = []
  #bytes = 0

  constructor(kv: KeyValue) {
    this.#kv = kv
  }

  async add(op: KeyValueOp): Promise<void> {
    this.#ops.push(op)
    this.#bytes += op.type === 'put' ? op.value.length : 0
    const { keysPerWrite, factBytesPerWrite } = LIMITS.admission
    if (this.#ops.length >= keysPerWrite || this.#bytes >= factBytesPerWrite) await this.flush()
  }

  async flush(): Promise<void> {
    const ops = this.#ops
    this.#ops = []
    this.#bytes = 0
    if (ops.length > 0) await this.#kv.batch(ops, { sync: true })
  }
}
