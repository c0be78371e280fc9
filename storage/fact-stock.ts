import { base32 } from 'multiformats/bases/base32'
import { equalBytes } from '../protocol/bytes.ts'
import type { FactId, RegistryId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { KeyValue, KeyValueOp } from './key-value.ts'

/** What the records of a registry's facts amount to, counted one by one. */
export interface FactStock {
  readonly count: number
  /** The first arrival number that is free. */
  readonly next: number
  readonly fingerprint: Uint8Array
  /** True when each fact has its index record and its place in the log. */
  readonly isWhole: boolean
  /** True when each subject has its row of the view. */
  readonly hasRows: boolean
}

/** Counts records without reading the facts: keys only, one pass over each kind. */
export async function takeStock(kv: KeyValue, registry: RegistryId): Promise<FactStock> {
  const bodies = new Fingerprint()
  let subjects = 0
  let last = ''
  for await (const [key] of kv.iterate(keysOf(`body!${registry}!`))) {
    bodies.add(idIn(key))
    const subject = key.slice(0, key.lastIndexOf('!'))
    if (subject !== last) subjects += 1
    last = subject
  }
  let rows = 0
  for await (const _ of kv.iterate(keysOf(`view!${registry}!`))) rows += 1
  const index = new Fingerprint()
  for await (const [key] of kv.iterate(keysOf(`fact!${registry}!`))) index.add(idIn(key))
  let arrivals = 0
  let next = 0
  for await (const [key] of kv.iterate(keysOf(`log!${registry}!`))) {
    arrivals += 1
    next = arrivalIn(key) + 1
  }
  const isWhole = index.count === bodies.count && arrivals === bodies.count && equalBytes(index.sum, bodies.sum)
  return { count: bodies.count, next, fingerprint: bodies.sum, isWhole, hasRows: rows === subjects }
}

/**
 * Makes the index and the log say what the bodies say, after a loss: a body without them is given both, what points to
 * no body goes. A crash in between leaves another loss, which the next start repairs.
 */
export async function repairStock(kv: KeyValue, registry: RegistryId): Promise<void> {
  const subjects = new Map<FactId, string>()
  const prefix = `body!${registry}!`
  for await (const [key] of kv.iterate(keysOf(prefix))) {
    subjects.set(idIn(key), key.slice(prefix.length, key.lastIndexOf('!')))
  }
  const ops = new OpWriter(kv)
  for await (const [key] of kv.iterate(keysOf(`fact!${registry}!`))) {
    if (!subjects.has(idIn(key))) await ops.add({ type: 'del', key })
  }
  const unlogged = new Map(subjects)
  let next = 0
  for await (const [key, value] of kv.iterate({ ...keysOf(`log!${registry}!`), keysOnly: false })) {
    next = arrivalIn(key) + 1
    // A second place for one fact goes as well: it was made when a number was given out twice.
    if (!unlogged.delete(new TextDecoder().decode(value) as FactId)) await ops.add({ type: 'del', key })
  }
  for (const [id, subject] of subjects) {
    await ops.add({ type: 'put', key: `fact!${registry}!${id}`, value: new TextEncoder().encode(subject) })
  }
  for (const id of unlogged.keys()) {
    await ops.add({ type: 'put', key: logKey(registry, next), value: new TextEncoder().encode(id) })
    next += 1
  }
  await ops.flush()
}

/** Where in the order of arrival a fact stands. */
export function logKey(registry: RegistryId, arrival: number): string {
  return `log!${registry}!${String(arrival).padStart(12, '0')}`
}

/** The arrival number in a key of the log. */
export function arrivalIn(key: string): number {
  return Number(key.slice(key.lastIndexOf('!') + 1))
}

/** The sum of digests of fact ids modulo 2^256: order does not matter, and one more is one addition. */
export class Fingerprint {
  readonly sum: Uint8Array
  count = 0

  constructor(sum: Uint8Array = new Uint8Array(32)) {
    this.sum = Uint8Array.from(sum)
  }

  /** Big-endian addition of the 32 bytes behind the CID's version, codec, hash and length. */
  add(id: FactId): void {
    const digest = base32.decode(id)
    let carry = 0
    for (let i = 31; i >= 0; i--) {
      const value = (this.sum[i] ?? 0) + (digest[i + 4] ?? 0) + carry
      this.sum[i] = value & 255
      carry = value >> 8
    }
    this.count += 1
  }

  remove(id: FactId): void {
    const digest = base32.decode(id)
    let borrow = 0
    for (let i = 31; i >= 0; i--) {
      const value = (this.sum[i] ?? 0) - (digest[i + 4] ?? 0) - borrow
      this.sum[i] = value & 255
      borrow = value < 0 ? 1 : 0
    }
    this.count -= 1
  }
}

/** Writes many changes in batches of bounded size. */
class OpWriter {
  readonly #kv: KeyValue
  #ops: KeyValueOp[] = []

  constructor(kv: KeyValue) {
    this.#kv = kv
  }

  async add(op: KeyValueOp): Promise<void> {
    this.#ops.push(op)
    if (this.#ops.length >= LIMITS.admission.keysPerWrite) await this.flush()
  }

  async flush(): Promise<void> {
    const ops = this.#ops
    this.#ops = []
    if (ops.length > 0) await this.#kv.batch(ops, { sync: true })
  }
}

function keysOf(prefix: string): { gte: string; lt: string; keysOnly: boolean } {
  return { gte: prefix, lt: `${prefix}~`, keysOnly: true }
}

function idIn(key: string): FactId {
  return key.slice(key.lastIndexOf('!') + 1) as FactId
}
