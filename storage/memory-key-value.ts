import { RegistryError } from '../protocol/errors.ts'
import { checkBatch, checkKey, checkRange } from './key-value.ts'
import type { KeyRange, KeyValue, KeyValueOp } from './key-value.ts'

/** A store that is gone with the process: for tests and for short-lived nodes that keep nothing. */
export function memoryKeyValue(): KeyValue {
  return new MemoryKeyValue()
}

class MemoryKeyValue implements KeyValue {
  readonly #entries = new Map<string, Uint8Array>()
  /** Sorted when next needed: loading n keys costs one sort and not n insertions into an array. */
  #sorted: readonly string[] | undefined
  #isOpen = true

  async get(key: string): Promise<Uint8Array | undefined> {
    this.#mustBeOpen()
    return copyOf(this.#entries.get(checkKey(key)))
  }

  async getMany(keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
    this.#mustBeOpen()
    return keys.map(key => copyOf(this.#entries.get(checkKey(key))))
  }

  async has(key: string): Promise<boolean> {
    this.#mustBeOpen()
    return this.#entries.has(checkKey(key))
  }

  async batch(ops: readonly KeyValueOp[]): Promise<void> {
    this.#mustBeOpen()
    checkBatch(ops)
    for (const op of ops) {
      if (op.type === 'del') this.#entries.delete(op.key)
      else this.#entries.set(op.key, Uint8Array.from(op.value))
    }
    this.#sorted = undefined
  }

  async *iterate(range: KeyRange = {}): AsyncGenerator<readonly [string, Uint8Array]> {
    this.#mustBeOpen()
    // The snapshot: later batches replace values and never change them in place.
    const entries = this.#keysIn(checkRange(range)).map(key => [key, this.#entries.get(key)] as const)
    for (const [key, value] of entries) {
      range.signal?.throwIfAborted()
      this.#mustBeOpen()
      if (value !== undefined) yield [key, range.keysOnly === true ? new Uint8Array(0) : Uint8Array.from(value)]
    }
  }

  async close(): Promise<void> {
    this.#isOpen = false
  }

  #keysIn({ gt, gte, lt, lte, reverse = false, limit = Number.POSITIVE_INFINITY }: KeyRange): readonly string[] {
    this.#sorted ??= [...this.#entries.keys()].sort()
    const from = firstIndex(this.#sorted, key => (gt === undefined || key > gt) && (gte === undefined || key >= gte))
    const to = firstIndex(this.#sorted, key => (lt !== undefined && key >= lt) || (lte !== undefined && key > lte))
    if (from >= to || limit <= 0) return []
    if (!reverse) return this.#sorted.slice(from, Math.min(to, from + limit))
    return this.#sorted.slice(Math.max(from, to - limit), to).reverse()
  }

  #mustBeOpen(): void {
    if (!this.#isOpen) throw new RegistryError('INTERNAL', 'the store is closed')
  }
}

/** The first index whose key passes a test that, once passed, all later keys pass. */
function firstIndex(sorted: readonly string[], passes: (key: string) => boolean): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const key = sorted[middle]
    if (key !== undefined && passes(key)) high = middle
    else low = middle + 1
  }
  return low
}

// Callers own what they are given: a stored value that somebody changes in place would be a store that lies.
function copyOf(value: Uint8Array | undefined): Uint8Array | undefined {
  return value === undefined ? undefined : Uint8Array.from(value)
}
