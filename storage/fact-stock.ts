import { setImmediate } from 'node:timers/promises'
import type { FactId, RegistryId } from '../protocol/cid.ts'
import { isRegistryError } from '../protocol/errors.ts'
import type { Subject } from '../protocol/fact.ts'
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
  // At the same time: while one is counted here, LevelDB reads the next piece of another.
  const [bodies, index, rows, cut, cutIndex] = await Promise.all([
    countKeys(kv, `body!${registry}!`),
    readIndex(kv, registry),
    countKeys(kv, `view!${registry}!`),
    readCut(kv, registry),
    countKeys(kv, `cutid!${registry}!`)
  ])
  const isWhole =
    bodies.damaged + index.damaged + cut.damaged + cutIndex.damaged === 0 &&
    index.sum.equals(bodies.sum) &&
    cut.sum.equals(cutIndex.sum)
  const isEmpty = isWhole && bodies.sum.count + cut.sum.count + rows.keys === 0
  const hasRows = rows.keys === bodies.subjects
  return { sum: bodies.sum, items: index.items, cut: { sum: cut.sum, bytes: cut.bytes }, isWhole, hasRows, isEmpty }
}

interface CountedKeys {
  readonly sum: DigestSum
  readonly keys: number
  /** Different beginnings before the last part. */
  readonly subjects: number
  /** Keys that end in no id. */
  readonly damaged: number
}

async function countKeys(kv: KeyValue, prefix: string): Promise<CountedKeys> {
  const sum = new DigestSum()
  const scratch = new Uint8Array(32)
  let [keys, subjects, damaged, last] = [0, 0, 0, '']
  for await (const [key] of kv.iterate({ ...keysFrom(prefix), keysOnly: true })) {
    keys += 1
    const end = key.lastIndexOf('!')
    const digest = digestIn(key.slice(end + 1), scratch)
    if (digest === undefined) damaged += 1
    else sum.add(digest)
    const isSame = last !== '' && end + 1 === last.length && key.startsWith(last)
    if (isSame) continue
    subjects += 1
    last = key.slice(0, end + 1)
  }
  return { sum, keys, subjects, damaged }
}

async function readIndex(
  kv: KeyValue,
  registry: RegistryId
): Promise<Pick<CountedKeys, 'sum' | 'damaged'> & Pick<FactStock, 'items'>> {
  const sum = new DigestSum()
  const items: Item[] = []
  const prefix = `fact!${registry}!`
  let damaged = 0
  for await (const [key, value] of kv.iterate({ ...keysFrom(prefix), onDamage: () => (damaged += 1) })) {
    const id = digestIn(key.slice(prefix.length))
    if (id === undefined) damaged += 1
    else {
      sum.add(id)
      items.push({ time: timeIn(value), id })
    }
  }
  return { sum, items, damaged }
}

async function readCut(
  kv: KeyValue,
  registry: RegistryId
): Promise<Pick<CountedKeys, 'sum' | 'damaged'> & { readonly bytes: number }> {
  const sum = new DigestSum()
  let [bytes, damaged] = [0, 0]
  for await (const [key, value] of kv.iterate({ ...keysFrom(`cut!${registry}!`), onDamage: () => (damaged += 1) })) {
    const digest = digestIn(key.slice(key.lastIndexOf('!') + 1))
    if (digest === undefined) damaged += 1
    else sum.add(digest)
    bytes += value.length
  }
  return { sum, bytes, damaged }
}

/** Since when a document waits that no write changed. */
const NO_GENERATION = new Uint8Array(8)

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
  // The facts of a document may be among those that went: then nothing that is folded tells of it any more.
  const documents = `doc!${registry}!`
  for await (const [key] of kv.iterate({ ...keysFrom(documents), keysOnly: true, onDamage: () => undefined })) {
    const subject = key.slice(documents.length) as Subject
    await ops.add({ type: 'put', key: KEYS.documentTodo(registry, subject), value: NO_GENERATION })
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
  const last = [KEYS.stale(registry), KEYS.rules(registry), KEYS.head(registry)]
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
