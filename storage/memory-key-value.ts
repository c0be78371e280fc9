import { RegistryError } from '../protocol/errors.ts'
import { checkBatch, checkKey, checkRange } from './key-value.ts'
import type { KeyRange, KeyValue, KeyValueOp } from './key-value.ts'

/** A store that is gone with the process: for tests and for short-lived nodes that keep nothing. */
export function memoryKeyValue(): KeyValue {
  return new MemoryKeyValue()
}

const NO_BYTES = new Uint8Array(0)

/** Changes of a batch up to which the order of the keys is kept and not made anew. */
const INSERTED = 64

class MemoryKeyValue implements KeyValue {
  readonly #entries = new Map<string, Uint8Array>()
  /** Undefined: sorted when next needed. Loading n keys costs one sort and not n insertions into an array. */
  #sorted: string[] | undefined
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
    if (ops.length > INSERTED) this.#sorted = undefined
    for (const op of ops) {
      if (op.type === 'del') {
        if (this.#entries.delete(op.key)) this.#order(op.key, { isGone: true })
      } else {
        if (!this.#entries.has(op.key)) this.#order(op.key, { isGone: false })
        this.#entries.set(op.key, new Uint8Array(op.value))
      }
    }
  }

  /** Keeps the order where a few keys come or go. */
  #order(key: string, { isGone }: { readonly isGone: boolean }): void {
    const sorted = this.#sorted
    if (sorted === undefined) return
    const at = firstIndex(sorted, other => other >= key)
    if (isGone) sorted.splice(at, 1)
    else sorted.splice(at, 0, key)
  }

  iterate(range: KeyRange = {}): AsyncIterableIterator<readonly [string, Uint8Array]> {
    // The snapshot: later batches replace values and never change them in place.
    let entries: readonly (readonly [string, Uint8Array | undefined])[] | undefined
    let at = 0
    const next = async (): Promise<IteratorResult<readonly [string, Uint8Array], undefined>> => {
      this.#mustBeOpen()
      entries ??= this.#keysIn(checkRange(range)).map(key => [key, this.#entries.get(key)] as const)
      const [key, value] = entries[at] ?? []
      if (key === undefined || value === undefined) return { done: true, value: undefined }
      range.signal?.throwIfAborted()
      at += 1
      return { done: false, value: [key, range.keysOnly === true ? NO_BYTES : new Uint8Array(value)] }
    }
    // By hand, and not a generator, which takes three turns of the queue for each entry.
    const iterator: AsyncIterableIterator<readonly [string, Uint8Array]> = {
      next,
      return: async () => {
        entries = []
        return { done: true, value: undefined }
      },
      [Symbol.asyncIterator]: () => iterator
    }
    return iterator
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
  return value === undefined ? undefined : new Uint8Array(value)
}
