import { createHash } from 'node:crypto'
import { encodeChange, getBackend, init, load } from '@automerge/automerge'
import { compareText } from '../../protocol/bytes.ts'
import type { DocumentBackend, PlainChange } from '../../protocol/document/backend.ts'
import type { DocumentValue } from '../../protocol/document/edits.ts'
import { RegistryError } from '../../protocol/errors.ts'

type Handle = ReturnType<typeof getBackend>

/** Changes that are applied together: what a watch takes for one step must not take long. */
const BATCH = 256

/** Of the chunk: magic and checksum are not part of what is hashed (Automerge binary format, chunk header). */
const HASHED_FROM = 8

/**
 * One Automerge document: a flat map from keys to texts and `true`. Reads nothing but what this program encoded: changes
 * that `encode` made, and documents that `save` made.
 *
 * Its memory is WebAssembly's and is not collected: `free` it.
 */
export class AutomergeDocument implements DocumentBackend {
  readonly #handle: Handle
  readonly #content = new Map<string, Held>()
  #isRead = false
  /** Changes that wait to be applied together: one by one takes several times as long. */
  #waiting: Uint8Array[] = []
  readonly #changed = new Set<string>()

  constructor(handle: Handle = getBackend(init())) {
    this.#handle = handle
  }

  /** @throws RegistryError STORE_CORRUPT */
  static open(saved: Uint8Array): AutomergeDocument {
    try {
      return new AutomergeDocument(getBackend(load(saved)))
    } catch (cause) {
      throw new RegistryError('STORE_CORRUPT', 'a stored document is not what was stored', { cause })
    }
  }

  encode({ actor, seq, startOp, deps, ops }: PlainChange): { readonly bytes: Uint8Array; readonly hash: string } {
    const bytes = encodeChange({
      actor,
      seq,
      startOp,
      time: 0,
      message: null,
      author: null,
      deps: [...deps],
      ops: ops.map(({ key, value, pred }) =>
        value === undefined
          ? { action: 'del' as const, obj: '_root', key, pred: [...pred] }
          : { action: 'set' as const, obj: '_root', key, value, pred: [...pred] }
      )
    })
    return { bytes, hash: createHash('sha256').update(bytes.subarray(HASHED_FROM)).digest('hex') }
  }

  apply(change: Uint8Array, keys: readonly string[]): void {
    this.#waiting.push(change)
    for (const key of keys) this.#changed.add(key)
    if (this.#waiting.length >= BATCH) this.#flush()
  }

  heads(): readonly string[] {
    this.#flush()
    return this.#handle.getHeads().map(String).toSorted(compareText)
  }

  content(): readonly Held[] {
    this.#flush()
    for (const key of this.#isRead ? this.#changed : this.#handle.keys('_root')) this.#read(key)
    this.#isRead = true
    this.#changed.clear()
    return [...this.#content.values()].toSorted((a, b) => compareText(a.key, b.key))
  }

  /**
   * What `open` takes. Attack: an operation that says it replaces one that is not there is taken by Automerge, and the saved
   * document can never be read again (threats F3). So what is saved is read once before it takes the place of anything.
   * @throws RegistryError INTERNAL
   */
  save(): Uint8Array {
    this.#flush()
    const saved = this.#handle.save()
    const read = AutomergeDocument.open(saved)
    try {
      const [ours, theirs] = [this.heads(), read.heads()]
      if (ours.length === theirs.length && ours.every((head, i) => head === theirs[i])) return saved
    } finally {
      read.free()
    }
    throw new RegistryError('INTERNAL', 'a document that was saved reads as another one')
  }

  free(): void {
    this.#handle.free()
  }

  #flush(): void {
    if (this.#waiting.length > 0) this.#handle.applyChanges(this.#waiting)
    this.#waiting = []
  }

  #read(key: string): void {
    const values = this.#handle.getAll('_root', key).map(held => {
      const [, value, op] = held as readonly [string, unknown, string]
      return { value: value === true ? (true as const) : String(value), op }
    })
    // Automerge shows the last one.
    if (values.length > 0) this.#content.set(key, { key, values: values.toReversed() })
    else this.#content.delete(key)
  }
}

interface Held {
  readonly key: string
  readonly values: readonly { readonly value: DocumentValue; readonly op: string }[]
}
