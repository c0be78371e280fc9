import { equalBytes } from '../protocol/bytes.ts'
import { decodeCbor, encodeCbor } from '../protocol/cbor.ts'
import type { FactId, RegistryId } from '../protocol/cid.ts'
import type { Principal } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { recordOf } from '../protocol/fact.ts'
import type { Subject } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { arrivalIn, Fingerprint, logKey, repairStock, takeStock } from './fact-stock.ts'
import type { FactStock } from './fact-stock.ts'
import type { KeyValue, KeyValueOp } from './key-value.ts'

/** A fact on its way into the store. */
export interface FactWrite {
  readonly id: FactId
  readonly subject: Subject
  readonly author: Principal
  readonly time: number
  readonly bytes: Uint8Array
  readonly names: readonly Principal[]
}

/** A fact that changes sides. */
export interface FactMove {
  readonly id: FactId
  readonly subject: Subject
}

/** Everything that one admission changes: it lands as a whole or not at all. */
export interface FactBatch {
  readonly registry: RegistryId
  readonly facts: readonly FactWrite[]
  /** Sealed rows of the view (protocol/view-row.ts) that these facts change. */
  readonly rows: readonly (readonly [Subject, Uint8Array | undefined])[]
  /** Packages that have facts set aside: those are folded again when the authority grows. */
  readonly aside: readonly (readonly [Subject, boolean])[]
  readonly cut?: readonly FactWrite[]
  readonly leave?: readonly FactMove[]
  readonly back?: readonly FactMove[]
  readonly named: readonly Principal[]
  readonly unnamed?: readonly Principal[]
  /** True: the rows of all packages no longer match the authority; set before a long refold, cleared after. */
  readonly stale?: boolean
}

/** What a registry's set amounts to. `fingerprint`: sum of the ids' digests modulo 2^256, big-endian. */
export interface FactHead {
  readonly count: number
  readonly next: number
  readonly fingerprint: Uint8Array
  /** Renewed with every new store, so that nobody's cursor into an older one is taken for a cursor into this. */
  readonly epoch: string
}

export interface FactPage {
  readonly facts: readonly Uint8Array[]
  readonly next: number
  readonly done: boolean
}

export interface Loss {
  readonly expected: number
  readonly found: number
}

/**
 * The facts of all registries, their views and what is needed to find them, in one key-value store:
 *
 *   fact!<registry>!<id>                -> subject
 *   body!<registry>!<subject>!<id>      -> envelope
 *   log!<registry>!<arrival>            -> id
 *   view!<registry>!<subject>           -> sealed row
 *   aside!<registry>!<subject>, named!<registry>!<key>, stale!<registry>  -> empty
 *   head!<registry>                     -> {count, next, sum, epoch}
 *
 * One atomic batch holds facts, rows and head, so a crash leaves all of an admission or nothing of it.
 */
export class FactStore {
  readonly #kv: KeyValue
  readonly #heads = new Map<RegistryId, FactHead>()
  readonly #cutCounts = new Map<RegistryId, number>()
  /** Registries whose last write did not report success. */
  readonly #doubtful = new Set<RegistryId>()

  constructor(kv: KeyValue) {
    this.#kv = kv
  }

  /**
   * Makes a registry ready, on every start: counts the records of its facts against each other and against the head, so
   * that what the disk lost without an error (LevelDB drops a damaged stretch of its log in silence) is seen. After a
   * loss, index and log are made to say what is there, and the views are marked to be folded again.
   */
  async open(registry: RegistryId, newEpoch: string): Promise<Loss | undefined> {
    let cut = 0
    for await (const _ of this.#kv.iterate({ ...prefixRange(`cutid!${registry}!`), keysOnly: true })) cut += 1
    this.#cutCounts.set(registry, cut)
    const stored = await this.#kv.get(`head!${registry}`)
    const head = stored === undefined ? undefined : decodeHead(stored)
    const found = await takeStock(this.#kv, registry)
    const isNew = head === undefined && found.count === 0 && found.isWhole
    if (head !== undefined && found.isWhole && head.count === found.count) {
      if (equalBytes(head.fingerprint, found.fingerprint) && head.next >= found.next) {
        this.#heads.set(registry, head)
        if (!found.hasRows) await this.#kv.batch([flag(`stale!${registry}`, true)])
        return undefined
      }
    }
    if (!isNew) await repairStock(this.#kv, registry)
    const { count, next, fingerprint } = isNew ? found : await takeStock(this.#kv, registry)
    const actual = { count, next: Math.max(head?.next ?? 0, next), fingerprint, epoch: newEpoch }
    const ops: KeyValueOp[] = [{ type: 'put', key: `head!${registry}`, value: encodeHead(actual) }]
    if (!isNew) ops.push(flag(`stale!${registry}`, true))
    await this.#kv.batch(ops, { sync: true })
    this.#heads.set(registry, actual)
    return isNew ? undefined : { expected: head?.count ?? 0, found: count }
  }

  head(registry: RegistryId): FactHead {
    const head = this.#heads.get(registry)
    if (head === undefined) throw new RegistryError('UNKNOWN_REGISTRY', `registry ${registry} is not open`)
    return head
  }

  /** The head, and what the records amount to when they are counted now. Undefined when writes kept coming in between. */
  async audit(registry: RegistryId): Promise<{ readonly head: FactHead; readonly stock: FactStock } | undefined> {
    for (let attempt = 0; attempt < LIMITS.doctor.attempts; attempt++) {
      const head = this.head(registry)
      const stock = await takeStock(this.#kv, registry)
      if (head === this.head(registry)) return { head, stock }
    }
    return undefined
  }

  async has(registry: RegistryId, ids: readonly FactId[]): Promise<readonly boolean[]> {
    const found = await this.#kv.getMany(ids.map(id => `fact!${registry}!${id}`))
    return found.map(value => value !== undefined)
  }

  async get(registry: RegistryId, id: FactId): Promise<Uint8Array | undefined> {
    const subject = await this.#kv.get(`fact!${registry}!${id}`)
    if (subject === undefined) return undefined
    return this.#kv.get(`body!${registry}!${new TextDecoder().decode(subject)}!${id}`)
  }

  /** Ids and envelopes of all facts about a subject, in the order of their ids. */
  async factsOf(registry: RegistryId, subject: Subject): Promise<readonly (readonly [FactId, Uint8Array])[]> {
    const prefix = `body!${registry}!${subject}!`
    const facts: (readonly [FactId, Uint8Array])[] = []
    for await (const [key, value] of this.#kv.iterate(prefixRange(prefix))) {
      facts.push([key.slice(prefix.length) as FactId, value])
    }
    return facts
  }

  cutCount(registry: RegistryId): number {
    return this.#cutCounts.get(registry) ?? 0
  }

  async known(registry: RegistryId, ids: readonly FactId[]): Promise<readonly ('set' | 'cut' | undefined)[]> {
    const [set, cut] = await Promise.all([
      this.#kv.getMany(ids.map(id => `fact!${registry}!${id}`)),
      this.cutCount(registry) === 0 ? [] : this.#kv.getMany(ids.map(id => `cutid!${registry}!${id}`))
    ])
    return ids.map((_, i) => (set[i] !== undefined ? 'set' : cut[i] !== undefined ? 'cut' : undefined))
  }

  async cutFactsOf(registry: RegistryId, subject: Subject): Promise<readonly (readonly [FactId, Uint8Array])[]> {
    const prefix = `cut!${registry}!${subject}!`
    const facts: (readonly [FactId, Uint8Array])[] = []
    for await (const [key, value] of this.#kv.iterate(prefixRange(prefix))) {
      facts.push([key.slice(prefix.length) as FactId, value])
    }
    return facts
  }

  async subjectsOf(registry: RegistryId, author: Principal): Promise<readonly Subject[]> {
    const prefix = `who!${registry}!${author}!`
    const found: Subject[] = []
    for await (const [key] of this.#kv.iterate({ ...prefixRange(prefix), keysOnly: true })) {
      found.push(key.slice(prefix.length) as Subject)
    }
    return found
  }

  async namesBy(
    registry: RegistryId,
    author: Principal
  ): Promise<readonly { readonly id: FactId; readonly subject: Subject; readonly keys: readonly Principal[] }[]> {
    const prefix = `names!${registry}!${author}!`
    const found: { readonly id: FactId; readonly subject: Subject; readonly keys: readonly Principal[] }[] = []
    for await (const [key, value] of this.#kv.iterate(prefixRange(prefix))) {
      const { subject, keys } = decodeCbor(value, 2) as { subject: Subject; keys: readonly Principal[] }
      found.push({ id: key.slice(prefix.length) as FactId, subject, keys })
    }
    return found
  }

  async *namedKeys(registry: RegistryId): AsyncGenerator<Principal> {
    const prefix = `named!${registry}!`
    for await (const [key] of this.#kv.iterate({ ...prefixRange(prefix), keysOnly: true })) {
      yield key.slice(prefix.length) as Principal
    }
  }

  async areNamed(registry: RegistryId, keys: readonly Principal[]): Promise<readonly boolean[]> {
    const found = await this.#kv.getMany(keys.map(key => `named!${registry}!${key}`))
    return found.map(value => value !== undefined)
  }

  async commit(batch: FactBatch, { sync }: { readonly sync: boolean }): Promise<void> {
    const { registry } = batch
    const before = await this.#trustedHead(registry)
    let next = before.next
    const ops: KeyValueOp[] = []
    const join = (id: FactId, subject: Subject, bytes: Uint8Array): void => {
      ops.push({ type: 'put', key: `fact!${registry}!${id}`, value: new TextEncoder().encode(subject) })
      ops.push({ type: 'put', key: `body!${registry}!${subject}!${id}`, value: bytes })
      ops.push({ type: 'put', key: logKey(registry, next), value: new TextEncoder().encode(id) })
      next += 1
    }
    const { cut = [], leave = [], back = [], unnamed = [] } = batch
    for (const { id, subject, bytes } of batch.facts) join(id, subject, bytes)
    for (const { id, subject, bytes } of cut) {
      ops.push({ type: 'put', key: `cutid!${registry}!${id}`, value: new TextEncoder().encode(subject) })
      ops.push({ type: 'put', key: `cut!${registry}!${subject}!${id}`, value: bytes })
    }
    for (const { id, subject, author, names } of [...batch.facts, ...cut]) {
      ops.push(flag(`who!${registry}!${author}!${subject}`, true))
      if (names.length > 0)
        ops.push({ type: 'put', key: `names!${registry}!${author}!${id}`, value: encodeCbor({ subject, keys: names }) })
    }
    for (const { id, subject } of leave) {
      const bytes = await this.#kv.get(`body!${registry}!${subject}!${id}`)
      if (bytes === undefined) continue
      ops.push(
        { type: 'del', key: `fact!${registry}!${id}` },
        { type: 'del', key: `body!${registry}!${subject}!${id}` }
      )
      ops.push({ type: 'put', key: `cutid!${registry}!${id}`, value: new TextEncoder().encode(subject) })
      ops.push({ type: 'put', key: `cut!${registry}!${subject}!${id}`, value: bytes })
    }
    for (const { id, subject } of back) {
      const bytes = await this.#kv.get(`cut!${registry}!${subject}!${id}`)
      if (bytes === undefined) continue
      ops.push(
        { type: 'del', key: `cutid!${registry}!${id}` },
        { type: 'del', key: `cut!${registry}!${subject}!${id}` }
      )
      join(id, subject, bytes)
    }
    for (const key of unnamed) ops.push(flag(`named!${registry}!${key}`, false))
    for (const [subject, row] of batch.rows) {
      const key = `view!${registry}!${subject}`
      ops.push(row === undefined ? { type: 'del', key } : { type: 'put', key, value: row })
    }
    for (const [subject, is] of batch.aside) ops.push(flag(`aside!${registry}!${subject}`, is))
    for (const key of batch.named) ops.push(flag(`named!${registry}!${key}`, true))
    if (batch.stale !== undefined) ops.push(flag(`stale!${registry}`, batch.stale))
    const print = new Fingerprint(before.fingerprint)
    for (const { id } of [...batch.facts, ...back]) print.add(id)
    for (const { id } of leave) print.remove(id)
    const head = { ...before, count: before.count + print.count, next, fingerprint: print.sum }
    ops.push({ type: 'put', key: `head!${registry}`, value: encodeHead(head) })
    this.#doubtful.add(registry)
    try {
      await this.#kv.batch(ops, { sync })
    } catch (error) {
      // The doubt stays: the write may also land later, when the store is opened again and replays its log.
      await this.#trustedHead(registry).catch(() => undefined)
      throw error
    }
    this.#doubtful.delete(registry)
    this.#heads.set(registry, head)
    this.#cutCounts.set(registry, this.cutCount(registry) + cut.length + leave.length - back.length)
  }

  /**
   * The head as it is on disk. Crash state: a write that reported a failure may have landed, and a head from before it
   * would give its arrival numbers out again, so that nobody who reads the log would ever be told of its facts.
   */
  async #trustedHead(registry: RegistryId): Promise<FactHead> {
    if (this.#doubtful.has(registry)) {
      const stored = await this.#kv.get(`head!${registry}`)
      if (stored !== undefined) this.#heads.set(registry, decodeHead(stored))
    }
    return this.head(registry)
  }

  async row(registry: RegistryId, subject: Subject): Promise<Uint8Array | undefined> {
    return this.#kv.get(`view!${registry}!${subject}`)
  }

  /** Sealed rows in the order of their subjects; `from` is inclusive. */
  async *rows(registry: RegistryId, from?: Subject): AsyncGenerator<readonly [Subject, Uint8Array]> {
    const prefix = `view!${registry}!`
    const range = prefixRange(prefix)
    const rows = this.#kv.iterate(from === undefined ? range : { ...range, gte: `${prefix}${from}` })
    for await (const [key, value] of rows) yield [key.slice(prefix.length) as Subject, value]
  }

  /** Packages that hold facts set aside. */
  async asideSubjects(registry: RegistryId): Promise<readonly Subject[]> {
    const prefix = `aside!${registry}!`
    const found: Subject[] = []
    for await (const [key] of this.#kv.iterate(prefixRange(prefix))) found.push(key.slice(prefix.length) as Subject)
    return found
  }

  /** All subjects that any fact is about. */
  async *subjects(registry: RegistryId): AsyncGenerator<Subject> {
    const prefix = `body!${registry}!`
    let last: string | undefined
    for await (const [key] of this.#kv.iterate({ ...prefixRange(prefix), keysOnly: true })) {
      const subject = key.slice(prefix.length, key.lastIndexOf('!'))
      if (subject !== last) yield subject as Subject
      last = subject
    }
  }

  async isStale(registry: RegistryId): Promise<boolean> {
    return (await this.#kv.get(`stale!${registry}`)) !== undefined
  }

  /** Facts in the order in which they arrived here, from a cursor on, within the bounds. */
  async page(registry: RegistryId, after: number, bounds: { facts: number; bytes: number }): Promise<FactPage> {
    const prefix = `log!${registry}!`
    const range = { gte: logKey(registry, after), lt: `${prefix}~`, limit: bounds.facts }
    const facts: Uint8Array[] = []
    let bytes = 0
    let seen = 0
    let next = after
    let isCut = false
    for await (const [key, value] of this.#kv.iterate(range)) {
      const fact = await this.get(registry, new TextDecoder().decode(value) as FactId)
      isCut = fact !== undefined && facts.length > 0 && bytes + fact.length > bounds.bytes
      if (isCut) break
      seen += 1
      next = arrivalIn(key) + 1
      if (fact === undefined) continue
      facts.push(fact)
      bytes += fact.length
    }
    // A log may end below the head's number when records were lost: whoever asks must be told that there is no more.
    const isEnd = next >= this.head(registry).next || (!isCut && seen < bounds.facts)
    return { facts, next, done: isEnd }
  }
}

function flag(key: string, is: boolean): KeyValueOp {
  return is ? { type: 'put', key, value: new Uint8Array(0) } : { type: 'del', key }
}

function prefixRange(prefix: string): { gte: string; lt: string } {
  return { gte: prefix, lt: `${prefix}~` }
}

function encodeHead({ count, next, fingerprint, epoch }: FactHead): Uint8Array {
  return encodeCbor({ count, next, sum: fingerprint, epoch })
}

function decodeHead(bytes: Uint8Array): FactHead {
  const { count, next, sum, epoch } = recordOf(decodeCbor(bytes, 1), ['count', 'next', 'sum', 'epoch'])
  if (
    typeof count !== 'number' ||
    typeof next !== 'number' ||
    typeof epoch !== 'string' ||
    !(sum instanceof Uint8Array)
  ) {
    throw new RegistryError('STORE_CORRUPT', 'the head of a fact set cannot be read')
  }
  return { count, next, fingerprint: sum, epoch }
}
