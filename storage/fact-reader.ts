import { fromUtf8 } from '../protocol/bytes.ts'
import type { FactId, RegistryId } from '../protocol/cid.ts'
import type { Principal } from '../protocol/did.ts'
import type { Subject } from '../protocol/fact.ts'
import type { Item } from '../protocol/sync/item-set.ts'
import { ROW_RULES } from '../protocol/view-row.ts'
import { faultsOf } from './fact-check.ts'
import { idOfDigest } from './fact-digest.ts'
import { decodeEntry, decodeNames, KEYS, keysFrom, timeIn } from './fact-records.ts'
import { snapshotOf } from './fact-snapshot.ts'
import { isDamage } from './fact-stock.ts'
import type { KeyValue } from './key-value.ts'

/** What one fact of an author names. */
export interface Naming {
  readonly id: FactId
  readonly subject: Subject
  readonly keys: readonly Principal[]
  readonly isCut: boolean
}

export interface FactReaderOptions {
  /** Called when a read met damage, so that somebody calls `repair`. The read itself fails with STORE_CORRUPT. */
  readonly onDamage?: (registry: RegistryId, error: unknown) => void
}

/** What can be read of the facts of all registries and their views: the records are those of `FactStore`. */
export class FactReader {
  readonly #kv: KeyValue
  readonly #onDamage: FactReaderOptions['onDamage']

  constructor(kv: KeyValue, { onDamage }: FactReaderOptions) {
    this.#kv = kv
    this.#onDamage = onDamage
  }

  /** Which of these facts are in the set. */
  async has(registry: RegistryId, ids: readonly FactId[]): Promise<readonly boolean[]> {
    const found = await this.reading(registry, () => this.#kv.getMany(ids.map(id => KEYS.fact(registry, id))))
    return found.map(value => value !== undefined)
  }

  /** The envelope of a fact in the set. */
  async get(registry: RegistryId, id: FactId): Promise<Uint8Array | undefined> {
    return this.reading(registry, async () => {
      const entry = await this.#kv.get(KEYS.fact(registry, id))
      if (entry === undefined) return undefined
      return this.#kv.get(KEYS.body(registry, { id, subject: decodeEntry(entry).subject }))
    })
  }

  /** The same by its place in the set. */
  getItem(registry: RegistryId, { id }: Pick<Item, 'id'>): Promise<Uint8Array | undefined> {
    return this.get(registry, idOfDigest(id))
  }

  /** Ids and envelopes of all facts about a subject that are in the set, in the order of their ids. */
  factsOf(registry: RegistryId, subject: Subject): Promise<readonly (readonly [FactId, Uint8Array])[]> {
    return this.reading(registry, () => this.#collect(`body!${registry}!${subject}!`))
  }

  /** The same of those outside the set. */
  cutFactsOf(registry: RegistryId, subject: Subject): Promise<readonly (readonly [FactId, Uint8Array])[]> {
    return this.reading(registry, () => this.#collect(`cut!${registry}!${subject}!`))
  }

  /** What is wrong with the records about one subject. Nothing is repaired. */
  faultsOf(registry: RegistryId, subject: Subject): Promise<readonly string[]> {
    return faultsOf(this.#kv, registry, subject)
  }

  async areNamed(registry: RegistryId, keys: readonly Principal[]): Promise<readonly boolean[]> {
    const found = await this.reading(registry, () => this.#kv.getMany(keys.map(key => KEYS.named(registry, key))))
    return found.map(value => value !== undefined)
  }

  /** When facts came here; undefined of those that are not dated, and of what was here before dates were written. */
  async seenAt(registry: RegistryId, ids: readonly FactId[]): Promise<readonly (number | undefined)[]> {
    const found = await this.reading(registry, () => this.#kv.getMany(ids.map(id => KEYS.seen(registry, id))))
    return found.map(value => (value === undefined ? undefined : timeIn(value)))
  }

  /** Every key that facts of the set name. */
  namedKeys(registry: RegistryId): AsyncGenerator<Principal> {
    return this.#ends<Principal>(`named!${registry}!`)
  }

  /** What an author has, or had, facts about. */
  async subjectsOf(registry: RegistryId, author: Principal): Promise<readonly Subject[]> {
    return gather(this.#ends<Subject>(`who!${registry}!${author}!`))
  }

  /** What the facts of an author name, on either side of the set. */
  async namesBy(registry: RegistryId, author: Principal): Promise<readonly Naming[]> {
    return this.reading(registry, async () => {
      const found = await this.#collect(`names!${registry}!${author}!`)
      const entries = await this.#kv.getMany(
        found.flatMap(([id]) => [KEYS.fact(registry, id), KEYS.cutId(registry, id)])
      )
      return found.flatMap(([id, value], i): readonly Naming[] => {
        const [inside, outside] = [entries[2 * i], entries[2 * i + 1]]
        const entry = inside ?? outside
        if (entry === undefined) return []
        const { subject } = decodeEntry(entry)
        return [{ id, subject, keys: decodeNames(value), isCut: inside === undefined }]
      })
    })
  }

  async row(registry: RegistryId, subject: Subject): Promise<Uint8Array | undefined> {
    return this.reading(registry, () => this.#kv.get(KEYS.view(registry, subject)))
  }

  /** Sealed rows in the order of their subjects; `from` is inclusive. */
  async *rows(registry: RegistryId, from?: Subject): AsyncGenerator<readonly [Subject, Uint8Array]> {
    const prefix = `view!${registry}!`
    const range = keysFrom(prefix)
    try {
      const rows = this.#kv.iterate(from === undefined ? range : { ...range, gte: `${prefix}${from}` })
      for await (const [key, value] of rows) yield [key.slice(prefix.length) as Subject, value]
    } catch (error) {
      throw this.noticed(registry, error)
    }
  }

  /** Packages that hold facts set aside. */
  async asideSubjects(registry: RegistryId): Promise<readonly Subject[]> {
    return gather(this.#ends<Subject>(`aside!${registry}!`))
  }

  async isAside(registry: RegistryId, subject: Subject): Promise<boolean> {
    return this.#kv.has(KEYS.aside(registry, subject))
  }

  /** A refold was not finished, or has to be begun: rows may say what no facts do. */
  async isMarked(registry: RegistryId): Promise<boolean> {
    return this.#kv.has(KEYS.stale(registry))
  }

  /** Rows do not say what the facts do, or may not: a refold was not finished, or an earlier program folded by other rules. */
  async isStale(registry: RegistryId): Promise<boolean> {
    const [mark, rules] = await this.#kv.getMany([KEYS.stale(registry), KEYS.rules(registry)])
    return mark !== undefined || rules === undefined || fromUtf8(rules) !== `${ROW_RULES}`
  }

  /**
   * Envelopes of the set in an order in which none has to wait at the gate: each after its predecessor and after the fact
   * that names its author. What arrives or leaves meanwhile may be in it or not.
   */
  snapshot(registry: RegistryId): AsyncIterable<Uint8Array> {
    return snapshotOf({
      subjects: () => this.subjectsIn('body', registry),
      factsOf: subject => this.factsOf(registry, subject)
    })
  }

  async #collect(prefix: string): Promise<readonly (readonly [FactId, Uint8Array])[]> {
    const found: (readonly [FactId, Uint8Array])[] = []
    for await (const [key, value] of this.#kv.iterate(keysFrom(prefix))) {
      found.push([key.slice(prefix.length) as FactId, value])
    }
    return found
  }

  /** What follows a prefix in all keys that begin with it. */
  async *#ends<T extends string>(prefix: string): AsyncGenerator<T> {
    for await (const [key] of this.#kv.iterate({ ...keysFrom(prefix), keysOnly: true }))
      yield key.slice(prefix.length) as T
  }

  protected async *subjectsIn(kind: 'body' | 'cut', registry: RegistryId): AsyncGenerator<Subject> {
    let last: string | undefined
    for await (const place of this.#ends(`${kind}!${registry}!`)) {
      const subject = place.slice(0, place.lastIndexOf('!'))
      if (subject !== last) yield subject as Subject
      last = subject
    }
  }

  protected async reading<T>(registry: RegistryId, read: () => Promise<T>): Promise<T> {
    try {
      return await read()
    } catch (error) {
      throw this.noticed(registry, error)
    }
  }

  protected noticed(registry: RegistryId, error: unknown): unknown {
    if (isDamage(error)) this.#onDamage?.(registry, error)
    return error
  }
}

/** All that an iteration gives. */
export async function gather<T>(source: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = []
  for await (const each of source) all.push(each)
  return all
}
