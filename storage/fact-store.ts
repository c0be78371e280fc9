import type { FactId, RegistryId } from '../protocol/cid.ts'
import { RegistryError } from '../protocol/errors.ts'
import type { Subject } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { ItemSet } from '../protocol/sync/item-set.ts'
import { planWrite } from './fact-batch.ts'
import type { FactBatch, PlannedWrite } from './fact-batch.ts'
import { digestIn } from './fact-digest.ts'
import { decodeHead, encodeHead, isSameHead } from './fact-head.ts'
import type { FactHead, OldHead } from './fact-head.ts'
import { FactReader, gather } from './fact-reader.ts'
import type { FactReaderOptions } from './fact-reader.ts'
import { flag, KEYS, keysFrom, rulesOp, timeIn } from './fact-records.ts'
import { eraseStock, isDamage, repairStock, takeStock } from './fact-stock.ts'
import type { FactStock } from './fact-stock.ts'
import { isSynced } from './head-files.ts'
import type { SyncedHead } from './head-files.ts'
import type { KeyValue, KeyValueOp } from './key-value.ts'

export type { FactBatch, FactMove } from './fact-batch.ts'
export type { Naming } from './fact-reader.ts'
export type { FactHead } from './fact-head.ts'
export type { FactWrite } from './fact-records.ts'

export interface Loss {
  readonly expected: number
  readonly found: number
}

/** What was counted, and what three places say that it should be. */
export interface Audit {
  readonly head: FactHead
  readonly stock: FactStock
  readonly synced: SyncedHead | undefined
  readonly isAgreed: boolean
}

/** On which side of the set a fact is known. */
export type Side = 'set' | 'cut'

/** Where heads are told to once they are durable, storage/head-files.ts. */
export interface SyncedHeads {
  read(registry: RegistryId): Promise<SyncedHead | undefined>
  note(registry: RegistryId, head: SyncedHead, options: { readonly urgent: boolean }): void
  flush(): Promise<void>
  remove(registry: RegistryId): Promise<void>
}

export interface FactStoreOptions extends FactReaderOptions {
  readonly heads?: SyncedHeads
  /** The time here, which is remembered of facts that are dated. */
  readonly now?: () => number
}

/**
 * The facts of all registries, their views and what is needed to find them, in one key-value store:
 *
 *   fact!<registry>!<id>                -> time (8 bytes, big-endian), subject: facts in the set
 *   body!<registry>!<subject>!<id>      -> envelope: facts in the set
 *   cutid!<registry>!<id>               -> time, subject: facts that are known and outside the set
 *   cut!<registry>!<subject>!<id>       -> envelope: the same
 *   who!<registry>!<author>!<subject>   -> empty: this author has, or had, facts about this subject; never removed
 *   names!<registry>!<author>!<id>      -> dag-cbor list of the keys that this fact names, on whichever side it is
 *   named!<registry>!<key>              -> empty: keys named by facts of the set
 *   view!<registry>!<subject>           -> sealed row
 *   aside!<registry>!<subject>, stale!<registry>  -> empty
 *   rules!<registry>                    -> number in decimal: by which rules the rows are folded
 *   seen!<registry>!<id>                -> time (8 bytes): when this release or genesis came here
 *   head!<registry>                     -> {count, sum, generation, cutCount, cutBytes, cutSum}
 *
 * Invariants:
 * 1. One atomic batch holds facts, rows and head, so a crash leaves all of an admission or nothing of it.
 * 2. A fact has its index entry and its envelope in the set, or both outside of it, or none.
 * 3. The head says what the records amount to. Where it does not, where a file outside knows of a later head, or where a
 *    record is damaged, something was lost: that is told, and the records are made to agree again.
 * 4. `set` is what is in the store: it changes after a write succeeded, and is read again after one whose end is unknown.
 * 5. One write at a time for each registry.
 */
export class FactStore extends FactReader {
  readonly #kv: KeyValue
  readonly #options: FactStoreOptions
  readonly #heads = new Map<RegistryId, FactHead>()
  readonly #sets = new Map<RegistryId, ItemSet>()
  /** Registries whose last write did not report success. */
  readonly #doubtful = new Set<RegistryId>()
  readonly #turns = new Map<RegistryId, Promise<unknown>>()

  constructor(kv: KeyValue, options: FactStoreOptions = {}) {
    super(kv, options)
    this.#kv = kv
    this.#options = options
  }

  /**
   * Makes a registry ready, on every start: counts the records of its facts against each other, the head in the store and
   * the head in the file, so that what the disk lost without an error is seen. After a loss the records are made to say
   * what is there, and the views are marked to be folded again.
   */
  open(registry: RegistryId): Promise<Loss | undefined> {
    return this.#inTurn(registry, () => this.#open(registry, { isDamaged: false }))
  }

  /** The same for a registry in use in which a read met damage. Whoever folds must read everything again after it. */
  repair(registry: RegistryId): Promise<Loss | undefined> {
    return this.#inTurn(registry, () => this.#open(registry, { isDamaged: true }))
  }

  isOpen(registry: RegistryId): boolean {
    return this.#sets.has(registry)
  }

  head(registry: RegistryId): FactHead {
    return opened(this.#heads, registry)
  }

  /** The facts of the set in the order in which peers compare them. Never change it. */
  set(registry: RegistryId): ItemSet {
    return opened(this.#sets, registry)
  }

  /** How many facts are known outside the set. */
  cutCount(registry: RegistryId): number {
    return this.head(registry).cut.count
  }

  /** The head, and what the records amount to when they are counted now. Undefined when writes kept coming in between. */
  async audit(registry: RegistryId): Promise<Audit | undefined> {
    for (let attempt = 0; attempt < LIMITS.doctor.attempts; attempt++) {
      const head = this.head(registry)
      const synced = await this.#options.heads?.read(registry)
      const stock = await takeStock(this.#kv, registry)
      if (head === this.head(registry)) return { head, stock, synced, isAgreed: isAgreed(head, stock, synced) }
    }
    return undefined
  }

  /** On which side of the set each of these facts is, if it is known. */
  async known(registry: RegistryId, ids: readonly FactId[]): Promise<readonly (Side | undefined)[]> {
    const inSet = await this.has(registry, ids)
    if (this.cutCount(registry) === 0) return inSet.map(is => (is ? 'set' : undefined))
    const outside = await this.reading(registry, () => this.#kv.getMany(ids.map(id => KEYS.cutId(registry, id))))
    return inSet.map((is, i) => (is ? 'set' : outside[i] === undefined ? undefined : 'cut'))
  }

  commit(batch: FactBatch, { sync }: { readonly sync: boolean }): Promise<void> {
    return this.#inTurn(batch.registry, () => this.#commit(batch, sync))
  }

  /** Runs a task while no facts of the registry are written. It must not write any itself. */
  exclusively<T>(registry: RegistryId, task: () => Promise<T>): Promise<T> {
    return this.#inTurn(registry, task)
  }

  /** All subjects that any fact is about, in the set or outside. */
  async *subjects(registry: RegistryId): AsyncGenerator<Subject> {
    const outside = new Set(this.cutCount(registry) === 0 ? [] : await gather(this.subjectsIn('cut', registry)))
    for await (const subject of this.subjectsIn('body', registry)) {
      outside.delete(subject)
      yield subject
    }
    yield* outside
  }

  /** Nobody follows a registry any more: its facts stay, and no file tells of them. */
  async release(registry: RegistryId): Promise<void> {
    await this.#inTurn(registry, () => this.#release(registry))
  }

  /** The same, and all its facts and rows are deleted. */
  async forget(registry: RegistryId): Promise<void> {
    await this.#inTurn(registry, async () => {
      // The file goes first: without facts it would tell of a loss.
      await this.#release(registry)
      await eraseStock(this.#kv, registry)
    })
  }

  /** Tells the files what the store holds, which is what the next start is compared with. The store itself stays open. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#turns.values())
    const { heads } = this.#options
    for (const [registry, head] of this.#heads) {
      if (!this.#doubtful.has(registry)) heads?.note(registry, head, { urgent: false })
    }
    await heads?.flush()
  }

  async #release(registry: RegistryId): Promise<void> {
    this.#heads.delete(registry)
    this.#sets.delete(registry)
    this.#doubtful.delete(registry)
    await this.#options.heads?.remove(registry)
  }

  async #open(registry: RegistryId, { isDamaged }: { readonly isDamaged: boolean }): Promise<Loss | undefined> {
    const { heads } = this.#options
    const synced = await heads?.read(registry)
    const { head, old, stock } = await this.#look(registry)
    if (!isDamaged && head !== undefined && stock !== undefined && isAgreed(head, stock, synced)) {
      this.#take(registry, head, stock)
      if (!stock.hasRows) await this.#kv.batch([flag(KEYS.stale(registry), true)])
      heads?.note(registry, head, { urgent: false })
      return undefined
    }
    const isFirst = !isDamaged && head === undefined && synced === undefined && stock?.isEmpty === true
    // An older layout is read as it is; after a loss, damage stays in the files, so what is left of them moves to new ones.
    if (!isFirst && old === undefined) await this.#kv.rebuild?.()
    if (!isFirst) await repairStock(this.#kv, registry)
    const actual = isFirst ? stock : await takeStock(this.#kv, registry)
    const next = headOf(actual, Math.max(head?.generation ?? 0, synced?.generation ?? 0) + 1)
    const written: KeyValueOp = { type: 'put', key: KEYS.head(registry), value: encodeHead(next) }
    await this.#kv.batch(isFirst ? [written, rulesOp(registry)] : [written], { sync: true })
    this.#take(registry, next, actual)
    heads?.note(registry, next, { urgent: true })
    const found = next.count + next.cut.count
    if (isFirst || (!isDamaged && old?.count === found)) return undefined
    const told = head === undefined ? (old?.count ?? 0) : head.count + head.cut.count
    return { expected: Math.max(told, synced?.count ?? 0), found }
  }

  /** The head in the store and what the records amount to, as far as they can be read. */
  async #look(registry: RegistryId): Promise<Seen> {
    let head: FactHead | undefined
    try {
      const stored = await this.#kv.get(KEYS.head(registry))
      const read = stored === undefined ? undefined : decodeHead(stored)
      if (read !== undefined && 'isOld' in read) return { old: read }
      head = read
      return { head, stock: await takeStock(this.#kv, registry) }
    } catch (error) {
      if (isDamage(error)) return { head }
      throw error
    }
  }

  #take(registry: RegistryId, head: FactHead, { items }: Pick<FactStock, 'items'>): void {
    this.#heads.set(registry, head)
    this.#sets.set(registry, ItemSet.fromUnsorted(items))
    this.#doubtful.delete(registry)
  }

  async #commit(batch: FactBatch, sync: boolean): Promise<void> {
    const { registry } = batch
    const before = await this.#trustedHead(registry)
    const set = this.set(registry)
    const now = this.#options.now?.()
    const write = await this.reading(registry, () => planWrite(batch, { kv: this.#kv, head: before, set, now }))
    const { head } = write
    this.#doubtful.add(registry)
    try {
      await this.#kv.batch([...write.ops, { type: 'put', key: KEYS.head(registry), value: encodeHead(head) }], { sync })
    } catch (error) {
      // The doubt stays: the write may also land later, when the store is opened again and replays its log.
      await this.#trustedHead(registry).catch(() => undefined)
      throw this.noticed(registry, error)
    }
    this.#doubtful.delete(registry)
    this.#heads.set(registry, head)
    change(set, write)
    this.#options.heads?.note(registry, head, { urgent: sync })
  }

  /**
   * The head as it is on disk, with the set that belongs to it. Crash state: a write that reported a failure may have
   * landed, and a head from before it would count its facts a second time.
   */
  async #trustedHead(registry: RegistryId): Promise<FactHead> {
    const head = this.head(registry)
    if (!this.#doubtful.has(registry)) return head
    const stored = await this.#kv.get(KEYS.head(registry))
    const actual = stored === undefined ? undefined : decodeHead(stored)
    if (actual === undefined || 'isOld' in actual || isSameHead(actual, head)) return head
    const items: { time: number; id: Uint8Array }[] = []
    for await (const [key, value] of this.#kv.iterate(keysFrom(`fact!${registry}!`))) {
      const id = digestIn(key.slice(key.lastIndexOf('!') + 1))
      if (id !== undefined) items.push({ time: timeIn(value), id })
    }
    this.#heads.set(registry, actual)
    this.#sets.set(registry, ItemSet.fromUnsorted(items))
    return actual
  }

  /** Runs after whatever is under way for this registry, whether that failed or not. */
  #inTurn<T>(registry: RegistryId, task: () => Promise<T>): Promise<T> {
    const run = (this.#turns.get(registry) ?? Promise.resolve()).then(task, task)
    const settled = run.then(
      () => undefined,
      () => undefined
    )
    this.#turns.set(registry, settled)
    void settled.then(() => {
      if (this.#turns.get(registry) === settled) this.#turns.delete(registry)
    })
    return run
  }
}

interface Seen {
  readonly head?: FactHead | undefined
  readonly old?: OldHead
  readonly stock?: FactStock
}

function opened<T>(all: ReadonlyMap<RegistryId, T>, registry: RegistryId): T {
  const found = all.get(registry)
  if (found === undefined) throw new RegistryError('UNKNOWN_REGISTRY', `registry ${registry} is not open`)
  return found
}

function headOf({ sum, cut }: FactStock, generation: number): FactHead {
  const outside = { count: cut.sum.count, bytes: cut.bytes, fingerprint: cut.sum.bytes }
  return { count: sum.count, fingerprint: sum.bytes, generation, cut: outside }
}

/** Whether records, the head in the store and the head in the file tell of the same facts. */
function isAgreed(head: FactHead, stock: FactStock, synced: SyncedHead | undefined): boolean {
  if (!stock.isWhole || !isSameHead(head, headOf(stock, head.generation))) return false
  // The file may be behind: a crash came before it was written. It is ahead only of a store that lost its newest writes.
  if (synced === undefined || head.generation > synced.generation) return true
  return isSynced(synced, head)
}

function change(set: ItemSet, { inserted, deleted }: PlannedWrite): void {
  for (const item of deleted) set.delete(item)
  for (const item of inserted) set.insert(item)
}
