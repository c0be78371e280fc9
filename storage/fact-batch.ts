import type { FactId, RegistryId } from '../protocol/cid.ts'
import type { Principal } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import type { Subject } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Item, ItemSet } from '../protocol/sync/item-set.ts'
import { DigestSum, digestIn } from './fact-digest.ts'
import type { FactHead } from './fact-head.ts'
import {
  decodeEntry,
  encodeEntry,
  encodeNames,
  encodeTime,
  flag,
  isDatedFact,
  KEYS,
  readFact,
  rulesOp
} from './fact-records.ts'
import type { FactWrite } from './fact-records.ts'
import type { KeyValue, KeyValueOp } from './key-value.ts'

/** A fact that changes sides. */
export interface FactMove {
  readonly id: FactId
  readonly subject: Subject
}

/** Everything that one admission changes: it lands as a whole or not at all. */
export interface FactBatch {
  readonly registry: RegistryId
  /** Facts that join the set. */
  readonly facts: readonly FactWrite[]
  /** Facts that are known, and outside the set from the start. */
  readonly cut?: readonly FactWrite[]
  /** From the set to what is kept outside, and the other way. */
  readonly leave?: readonly FactMove[]
  readonly back?: readonly FactMove[]
  /** Sealed rows of the view (protocol/view-row.ts) that these facts change; undefined where the set says nothing any more. */
  readonly rows: readonly (readonly [Subject, Uint8Array | undefined])[]
  /** Packages that have facts set aside: those are folded again when the authority grows. */
  readonly aside: readonly (readonly [Subject, boolean])[]
  /** Subjects whose documents may say something else now: they wait to be looked at, over a crash too. */
  readonly documents?: readonly Subject[]
  readonly named: readonly Principal[]
  readonly unnamed?: readonly Principal[]
  /** True: the rows of all packages no longer match the authority; set before a long refold, cleared after. */
  readonly stale?: boolean
}

/** A batch as the store writes it, and what it leaves behind once it has landed. */
export interface PlannedWrite {
  readonly ops: readonly KeyValueOp[]
  readonly head: FactHead
  readonly inserted: readonly Item[]
  readonly deleted: readonly Item[]
}

/** What a batch is written on top of. */
export interface Ground {
  readonly kv: KeyValue
  readonly head: FactHead
  readonly set: ItemSet
  /** The time here; without it nothing remembers when facts came. */
  readonly now: number | undefined
}

/** Turns a batch into writes. Reads what changes sides; changes nothing. */
export async function planWrite(batch: FactBatch, ground: Ground): Promise<PlannedWrite> {
  const plan = new Plan(batch.registry, ground)
  for (const fact of batch.facts) plan.join(fact)
  await plan.moveBack(batch.back ?? [])
  await plan.moveOut(batch.leave ?? [])
  for (const fact of batch.cut ?? []) plan.keepOutside(fact)
  return plan.finish(batch)
}

class Plan {
  readonly #registry: RegistryId
  readonly #ground: Ground
  readonly #ops: KeyValueOp[] = []
  readonly #sum: DigestSum
  readonly #cut: DigestSum
  #cutBytes: number
  readonly #inserted: Item[] = []
  readonly #deleted: Item[] = []
  readonly #who = new Set<string>()

  constructor(registry: RegistryId, ground: Ground) {
    const { head } = ground
    this.#registry = registry
    this.#ground = ground
    this.#sum = new DigestSum(head.fingerprint, head.count)
    this.#cut = new DigestSum(head.cut.fingerprint, head.cut.count)
    this.#cutBytes = head.cut.bytes
  }

  join(fact: FactWrite): void {
    this.#enter(fact)
    this.#writings(fact)
    if (fact.isDated === true) this.#date(fact.id)
  }

  async moveBack(moves: readonly FactMove[]): Promise<void> {
    if (moves.length === 0) return
    const registry = this.#registry
    const found = await this.#ground.kv.getMany(
      moves.flatMap(move => [KEYS.cutId(registry, move.id), KEYS.cut(registry, move), KEYS.seen(registry, move.id)])
    )
    for (const [index, { id, subject }] of moves.entries()) {
      const [entry, bytes, seen] = found.slice(3 * index, 3 * index + 3)
      if (entry === undefined || bytes === undefined) continue
      this.#forgetOutside({ id, subject }, bytes.length)
      this.#enter({ id, subject, time: decodeEntry(entry).time, bytes })
      // Attack: who was revoked publishes on, and all of it is old when the revocation falls. What came while it was cut comes now.
      if (seen === undefined && isDatedFact(bytes)) this.#date(id)
    }
  }

  #date(id: FactId): void {
    const { now } = this.#ground
    if (now !== undefined) this.#ops.push({ type: 'put', key: KEYS.seen(this.#registry, id), value: encodeTime(now) })
  }

  async moveOut(moves: readonly FactMove[]): Promise<void> {
    if (moves.length === 0) return
    const registry = this.#registry
    const found = await this.#ground.kv.getMany(
      moves.flatMap(move => [KEYS.fact(registry, move.id), KEYS.body(registry, move)])
    )
    for (const [index, { id, subject }] of moves.entries()) {
      const [entry, bytes] = [found[2 * index], found[2 * index + 1]]
      if (entry === undefined || bytes === undefined) continue
      const { time } = decodeEntry(entry)
      this.#ops.push({ type: 'del', key: KEYS.fact(registry, id) })
      this.#ops.push({ type: 'del', key: KEYS.body(registry, { id, subject }) })
      const item = itemOf(id, time)
      this.#sum.remove(item.id)
      this.#deleted.push(item)
      if (this.#hasRoom(bytes)) this.#putOutside({ id, subject, time, bytes })
      else {
        const fact = readFact(bytes, { id, subject })
        if (fact !== undefined) this.#ops.push({ type: 'del', key: KEYS.names(registry, fact) })
      }
    }
  }

  keepOutside(fact: FactWrite): void {
    if (!this.#hasRoom(fact.bytes)) return
    this.#putOutside(fact)
    this.#writings(fact)
  }

  finish({ rows, aside, documents = [], named, unnamed = [], stale }: FactBatch): PlannedWrite {
    const registry = this.#registry
    const ops = this.#ops
    for (const [subject, row] of rows) {
      const key = KEYS.view(registry, subject)
      ops.push(row === undefined ? { type: 'del', key } : { type: 'put', key, value: row })
    }
    for (const [subject, is] of aside) ops.push(flag(KEYS.aside(registry, subject), is))
    const since = new Uint8Array(8)
    new DataView(since.buffer).setBigUint64(0, BigInt(this.#ground.head.generation + 1))
    for (const subject of documents) ops.push({ type: 'put', key: KEYS.documentTodo(registry, subject), value: since })
    for (const key of unnamed) ops.push(flag(KEYS.named(registry, key), false))
    for (const key of named) ops.push(flag(KEYS.named(registry, key), true))
    if (stale !== undefined) ops.push(flag(KEYS.stale(registry), stale))
    if (stale === false) ops.push(rulesOp(registry))
    const head: FactHead = {
      count: this.#sum.count,
      fingerprint: this.#sum.bytes,
      generation: this.#ground.head.generation + 1,
      cut: { count: this.#cut.count, bytes: this.#cutBytes, fingerprint: this.#cut.bytes }
    }
    return { ops, head, inserted: this.#inserted, deleted: this.#deleted }
  }

  #enter({ id, subject, time, bytes }: Omit<FactWrite, 'author' | 'names'>): void {
    const registry = this.#registry
    this.#ops.push({ type: 'put', key: KEYS.fact(registry, id), value: encodeEntry({ time, subject }) })
    this.#ops.push({ type: 'put', key: KEYS.body(registry, { id, subject }), value: bytes })
    const item = itemOf(id, time)
    // Crash state: a write that was thought to have failed had landed. Counting its facts again would be a loss at the next start.
    if (this.#ground.set.has(item)) return
    this.#sum.add(item.id)
    this.#inserted.push(item)
  }

  #writings({ id, author, subject, names }: FactWrite): void {
    const who = KEYS.who(this.#registry, { author, subject })
    if (!this.#who.has(who)) this.#ops.push(flag(who, true))
    this.#who.add(who)
    if (names.length === 0) return
    this.#ops.push({ type: 'put', key: KEYS.names(this.#registry, { author, id }), value: encodeNames(names) })
  }

  #hasRoom(bytes: Uint8Array): boolean {
    return this.#cut.count < LIMITS.cut.facts && this.#cutBytes + bytes.length <= LIMITS.cut.bytes
  }

  #putOutside({ id, subject, time, bytes }: Omit<FactWrite, 'author' | 'names'>): void {
    const registry = this.#registry
    this.#ops.push({ type: 'put', key: KEYS.cutId(registry, id), value: encodeEntry({ time, subject }) })
    this.#ops.push({ type: 'put', key: KEYS.cut(registry, { id, subject }), value: bytes })
    this.#cut.add(itemOf(id, time).id)
    this.#cutBytes += bytes.length
  }

  #forgetOutside({ id, subject }: FactMove, bytes: number): void {
    const registry = this.#registry
    this.#ops.push({ type: 'del', key: KEYS.cutId(registry, id) })
    this.#ops.push({ type: 'del', key: KEYS.cut(registry, { id, subject }) })
    this.#cut.remove(itemOf(id, 0).id)
    this.#cutBytes -= bytes
  }
}

function itemOf(id: FactId, time: number): Item {
  const digest = digestIn(id)
  if (digest === undefined) throw new RegistryError('INTERNAL', 'a fact without an id')
  return { time, id: digest }
}
