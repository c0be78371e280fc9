import type { RegistryId } from '../protocol/cid.ts'
import { equalBytes } from '../protocol/bytes.ts'
import type { Subject } from '../protocol/fact.ts'
import { isDamage } from './fact-stock.ts'
import { KEYS, keysFrom } from './fact-records.ts'
import type { FactStore } from './fact-store.ts'
import type { KeyValue, KeyValueOp } from './key-value.ts'

/** A document as it is written: what it says, and what it is made of. Both sealed (protocol/document/saved.ts). */
export interface DocumentWrite {
  readonly state: Uint8Array
  readonly saved: Uint8Array
}

/**
 * Documents of metadata, derived from facts like the rows of the view:
 *
 *   doc!<registry>!<subject>      -> what it says
 *   docsave!<registry>!<subject>  -> the library's form of it, and how each fact became part of it
 *   doctodo!<registry>!<subject>  -> generation of the head: facts came or went since it was made
 *
 * Invariants:
 * 1. A note to look at a document is written with the facts that change it, so no crash forgets one.
 * 2. It is taken back with the document that was made, and only if no facts came meanwhile.
 * 3. Of a registry that nobody follows any more nothing is written: what was purged stays so.
 * 4. Nothing here is believed when it is damaged: it is made again from the facts.
 */
export class DocumentStore {
  readonly #kv: KeyValue
  readonly #facts: Pick<FactStore, 'exclusively' | 'isOpen'>

  constructor(kv: KeyValue, facts: Pick<FactStore, 'exclusively' | 'isOpen'>) {
    this.#kv = kv
    this.#facts = facts
  }

  state(registry: RegistryId, subject: Subject): Promise<Uint8Array | undefined> {
    return this.#read(KEYS.document(registry, subject))
  }

  saved(registry: RegistryId, subject: Subject): Promise<Uint8Array | undefined> {
    return this.#read(KEYS.documentSaved(registry, subject))
  }

  /** What every document of a registry says, by subject. */
  async *states(registry: RegistryId): AsyncGenerator<readonly [Subject, Uint8Array]> {
    const prefix = `doc!${registry}!`
    const range = { ...keysFrom(prefix), onDamage: () => undefined }
    for await (const [key, value] of this.#kv.iterate(range)) yield [key.slice(prefix.length) as Subject, value]
  }

  /** Documents that have to be looked at: at most so many. */
  async todo(registry: RegistryId, limit: number): Promise<readonly Subject[]> {
    const prefix = `doctodo!${registry}!`
    const found: Subject[] = []
    for await (const [key] of this.#kv.iterate({ ...keysFrom(prefix), limit, keysOnly: true }))
      found.push(key.slice(prefix.length) as Subject)
    return found
  }

  /**
   * The note of a document. Not told in the middle of a write: its facts are not yet known to whoever reads them next, who
   * would then take the note back without them.
   */
  async since(registry: RegistryId, subject: Subject): Promise<Uint8Array | undefined> {
    return this.#facts.exclusively(registry, () => this.#read(KEYS.documentTodo(registry, subject)))
  }

  /** Writes a document, or that there is none, and takes the note back that was there when it was begun. */
  async put(
    registry: RegistryId,
    { subject, since }: { readonly subject: Subject; readonly since: Uint8Array | undefined },
    document: DocumentWrite | 'same' | undefined
  ): Promise<void> {
    await this.#facts.exclusively(registry, async () => {
      if (!this.#facts.isOpen(registry)) return
      const todo = KEYS.documentTodo(registry, subject)
      const now = await this.#read(todo)
      const isDone = since !== undefined && now !== undefined && equalBytes(now, since)
      const ops = [...writeOf(registry, subject, document), ...(isDone ? [{ type: 'del' as const, key: todo }] : [])]
      if (ops.length > 0) await this.#kv.batch(ops)
    })
  }

  async #read(key: string): Promise<Uint8Array | undefined> {
    try {
      return await this.#kv.get(key)
    } catch (error) {
      if (isDamage(error)) return undefined
      throw error
    }
  }
}

function writeOf(
  registry: RegistryId,
  subject: Subject,
  document: DocumentWrite | 'same' | undefined
): readonly KeyValueOp[] {
  if (document === 'same') return []
  const [state, saved] = [KEYS.document(registry, subject), KEYS.documentSaved(registry, subject)]
  if (document === undefined)
    return [
      { type: 'del', key: state },
      { type: 'del', key: saved }
    ]
  return [
    { type: 'put', key: state, value: document.state },
    { type: 'put', key: saved, value: document.saved }
  ]
}
