import { decodeCbor, encodeCbor } from '../protocol/cbor.ts'
import { parseContentId, parseRegistryId } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { recordOf } from '../protocol/fact.ts'
import type { Subject } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { parseAnySubject } from '../protocol/subject.ts'
import { keysFrom } from './fact-records.ts'
import type { KeyValue, KeyValueOp } from './key-value.ts'

/** Where a fact is to name a content. */
export interface Naming {
  readonly registry: RegistryId
  readonly subject: Subject
}

/** A content that was brought here for facts which are not known to be written. */
export interface UnsaidRoot {
  readonly root: ContentId
  /** It was here, for other reasons, before. */
  readonly wasKept: boolean
  readonly by: readonly Naming[]
}

/**
 * Contents that were stored, and are pinned, before the fact that names them is written:
 *
 *   unsaid!<swarm>!<content root>  -> {by: [<registry> <subject>, …], wasKept}
 *
 * Written before the record that pins it, and deleted after the fact: whatever a crash leaves of it, the facts tell whether
 * somebody named it after all.
 */
export class UnsaidRecords {
  readonly #kv: KeyValue

  constructor(kv: KeyValue) {
    this.#kv = kv
  }

  async get(swarm: string, root: ContentId): Promise<UnsaidRoot | undefined> {
    const value = await this.#kv.get(keyOf(swarm, root))
    return value === undefined ? undefined : decode(root, value)
  }

  async put(swarm: string, { root, wasKept, by }: UnsaidRoot): Promise<void> {
    const value = encodeCbor({ by: by.map(({ registry, subject }) => `${registry} ${subject}`), wasKept })
    await this.#kv.batch([{ type: 'put', key: keyOf(swarm, root), value }])
  }

  async delete(swarm: string, root: ContentId): Promise<void> {
    await this.#kv.batch([{ type: 'del', key: keyOf(swarm, root) }])
  }

  /** Forgets those of private swarms that this node is in no more: one of the same name may be another. */
  async forgetBut(swarms: readonly string[]): Promise<void> {
    const left: KeyValueOp[] = []
    for await (const [key] of this.#kv.iterate({ gte: 'unsaid!', lt: 'unsaid!~', keysOnly: true })) {
      if (!swarms.includes(key.split('!')[1] ?? '')) left.push({ type: 'del', key })
    }
    for (let from = 0; from < left.length; from += LIMITS.admission.keysPerWrite) {
      await this.#kv.batch(left.slice(from, from + LIMITS.admission.keysPerWrite))
    }
  }

  /** What cannot be read is passed over: a content that stays too long costs room, one that is deleted may be gone for good. */
  async *all(swarm: string): AsyncGenerator<UnsaidRoot> {
    const prefix = `unsaid!${swarm}!`
    for await (const [key, value] of this.#kv.iterate({ ...keysFrom(prefix), onDamage: () => undefined })) {
      const found = decode(key.slice(prefix.length) as ContentId, value)
      if (found !== undefined) yield found
    }
  }
}

function keyOf(swarm: string, root: ContentId): string {
  return `unsaid!${swarm}!${root}`
}

function decode(key: ContentId, value: Uint8Array): UnsaidRoot | undefined {
  try {
    const { by, wasKept } = recordOf(decodeCbor(value, 2), ['by', 'wasKept'])
    if (!Array.isArray(by) || by.length > LIMITS.store.unsaidBy || typeof wasKept !== 'boolean') return undefined
    const namings = by.map((each: unknown): Naming => {
      const [registry = '', subject = ''] = String(each).split(' ')
      return { registry: parseRegistryId(registry), subject: parseAnySubject(subject) }
    })
    return { root: parseContentId(key), wasKept, by: namings }
  } catch (error) {
    if (isRegistryError(error)) return undefined
    throw error
  }
}
