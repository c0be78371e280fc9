import { setImmediate } from 'node:timers/promises'
import type { FactId } from '../protocol/cid.ts'
import type { Principal } from '../protocol/did.ts'
import { parseEnvelope } from '../protocol/fact.ts'
import type { Envelope, Subject } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { namedKeys, parsePayload } from '../protocol/payload.ts'

export interface SnapshotReader {
  subjects(): AsyncIterable<Subject>
  factsOf(subject: Subject): Promise<readonly (readonly [FactId, Uint8Array])[]>
}

/**
 * Envelopes so that each comes after its predecessor and after the fact that names its author: the registry's own first,
 * then package by package, then those whose author only a later package names. What a damaged store no longer names, or
 * whose predecessor it lost, comes last.
 */
export async function* snapshotOf(reader: SnapshotReader): AsyncGenerator<Uint8Array> {
  const order = new Order()
  yield* order.ready(await reader.factsOf('registry'), 'registry')
  for await (const subject of reader.subjects()) {
    if (subject !== 'registry') yield* order.ready(await reader.factsOf(subject), subject)
  }
  // Ends: a round in which nothing became ready is the last one.
  while (order.hasMoved) {
    for (const [subject, ids] of order.takeWaiting()) {
      yield* order.ready(await only(reader, subject, ids), subject)
    }
  }
  for (const [subject, ids] of order.takeWaiting()) {
    const rest = await only(reader, subject, ids)
    for (const { bytes } of bySeq(rest)) yield bytes
  }
}

async function only(
  reader: SnapshotReader,
  subject: Subject,
  ids: ReadonlySet<FactId>
): Promise<readonly (readonly [FactId, Uint8Array])[]> {
  return (await reader.factsOf(subject)).filter(([id]) => ids.has(id))
}

class Order {
  readonly #named = new Set<Principal>()
  #waiting = new Map<Subject, Set<FactId>>()
  /** True when something was ready since the last time that waiting facts were taken, and others may be now. */
  #moved = false
  #read = 0

  get hasMoved(): boolean {
    return this.#moved && this.#waiting.size > 0
  }

  takeWaiting(): ReadonlyMap<Subject, ReadonlySet<FactId>> {
    const waiting = this.#waiting
    this.#waiting = new Map()
    this.#moved = false
    return waiting
  }

  /** Those facts of one subject that nothing is missing for; the others wait. */
  async *ready(facts: readonly (readonly [FactId, Uint8Array])[], subject: Subject): AsyncGenerator<Uint8Array> {
    let left = bySeq(facts)
    for (;;) {
      const waiting = new Set(left.map(({ id }) => id))
      for (const { id, bytes, body } of left) {
        this.#read += 1
        if (this.#read % LIMITS.storage.readAtOnce === 0) await setImmediate()
        const isNamed = body.registry === null || this.#named.has(body.author)
        // Whatever waits is in this list: a predecessor that is not was handed out before.
        if (!isNamed || (body.prev !== null && waiting.has(body.prev))) continue
        waiting.delete(id)
        this.#moved = true
        if (body.type !== 'release') for (const key of namedKeys(parsePayload(body))) this.#named.add(key)
        yield bytes
      }
      const next = left.filter(({ id }) => waiting.has(id))
      if (next.length === 0) return
      if (next.length === left.length) {
        this.#waiting.set(subject, waiting)
        return
      }
      left = next
    }
  }
}

/** The genesis first, then by position: a predecessor has a smaller one. */
function bySeq(facts: readonly (readonly [FactId, Uint8Array])[]): readonly Envelope[] {
  const place = ({ body }: Envelope): number => (body.registry === null ? -1 : body.seq)
  return facts.map(([, bytes]) => parseEnvelope(bytes)).toSorted((a, b) => place(a) - place(b))
}
