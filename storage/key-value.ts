import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'

/** One change of a batch. */
export type KeyValueOp =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string }

/** A stretch of keys in byte order, with at most one bound at each end. `limit` counts entries; `reverse` walks it from its end. */
export interface KeyRange {
  readonly gt?: string
  readonly gte?: string
  readonly lt?: string
  readonly lte?: string
  readonly reverse?: boolean
  readonly limit?: number
  /** Values come as empty bytes, unread and therefore unchecked. */
  readonly keysOnly?: boolean
  /** Called with the key of each damaged value, which is then passed over. Without it such a value ends the iteration. */
  readonly onDamage?: (key: string) => void
  readonly signal?: AbortSignal
}

/**
 * An ordered map from printable ASCII keys to bytes. What every implementation must do is
 * `test/storage/key-value.contract.ts`.
 *
 * Invariants:
 * 1. A batch lands as a whole or not at all, whatever fails and whenever the process dies.
 * 2. With `sync` it survives a power cut once the promise is fulfilled; without, it survives the death of the process.
 * 3. An iteration sees the store as it was when it began.
 * 4. Bytes that were not stored are never returned: damage is STORE_CORRUPT, a loss is for the reader to count.
 */
export interface KeyValue {
  get(key: string): Promise<Uint8Array | undefined>
  getMany(keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]>
  has(key: string): Promise<boolean>
  batch(ops: readonly KeyValueOp[], options?: { readonly sync?: boolean }): Promise<void>
  iterate(range?: KeyRange): AsyncIterable<readonly [string, Uint8Array]>
  /** Writes whatever can be read into new files, after damage. A store that cannot be damaged has no need of it. */
  rebuild?(): Promise<void>
  close(): Promise<void>
}

/**
 * The key itself when it may be one: 1 to 1,024 characters of `!` to `~`.
 * Byte order and string order agree only there, so other keys are a fault of the program.
 */
export function checkKey(key: string): string {
  if (key.length > LIMITS.storage.keyChars || !/^[!-~]+$/.test(key)) {
    throw new RegistryError('INTERNAL', 'a storage key is not short printable ascii', { detail: { chars: key.length } })
  }
  return key
}

/** The range itself, unless it has two bounds at one end: LevelDB would silently ignore one of them. */
export function checkRange(range: KeyRange): KeyRange {
  const isDouble =
    (range.gt !== undefined && range.gte !== undefined) || (range.lt !== undefined && range.lte !== undefined)
  if (isDouble) throw new RegistryError('INTERNAL', 'a key range has two bounds at one end')
  return range
}

/** Refuses a batch that is too large to be written at once. */
export function checkBatch(ops: readonly KeyValueOp[]): void {
  const { batchOperations, batchBytes, valueBytes } = LIMITS.storage
  let bytes = 0
  for (const op of ops) {
    checkKey(op.key)
    const size = op.type === 'put' ? op.value.length : 0
    if (size > valueBytes) throw new RegistryError('LIMIT_EXCEEDED', `a stored value has at most ${valueBytes} bytes`)
    bytes += op.key.length + size
  }
  if (ops.length > batchOperations || bytes > batchBytes) {
    throw new RegistryError('LIMIT_EXCEEDED', 'a batch of writes is too large', { detail: { ops: ops.length, bytes } })
  }
}
