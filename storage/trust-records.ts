import { decodeCbor, encodeCbor } from '../protocol/cbor.ts'
import { RegistryError } from '../protocol/errors.ts'
import { recordOf } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { keysFrom } from './fact-records.ts'
import type { KeyValue, KeyValueOp } from './key-value.ts'

/** Somebody whose word the operator takes for something: a registry id or a key. */
export interface TrustRecord {
  readonly purpose: string
  readonly who: string
  readonly time: number
}

/**
 * Whose word is taken, and for what:
 *
 *   trust!<purpose>!<registry id or did:key>  -> {time}
 *
 * Durable before somebody is told. Nothing of it is told to peers: whom one listens to is nobody's business.
 */
export class TrustRecords {
  readonly #kv: KeyValue
  /** All of them, since they were read: every judgement asks for each release. */
  #known: readonly TrustRecord[] | undefined
  #changes = 0

  constructor(kv: KeyValue) {
    this.#kv = kv
  }

  /** In the order of purposes, then of names. */
  async all(): Promise<readonly TrustRecord[]> {
    const changes = this.#changes
    const known = this.#known ?? (await this.#readAll())
    // What was read while somebody changed it may be from before.
    if (changes === this.#changes) this.#known = known
    return known
  }

  async #readAll(): Promise<readonly TrustRecord[]> {
    const found: TrustRecord[] = []
    for await (const [key, value] of this.#kv.iterate({ ...keysFrom('trust!'), limit: LIMITS.attestations.trusted })) {
      const [, purpose = '', who = ''] = key.split('!')
      const { time } = recordOf(decodeCbor(value, 1), ['time'])
      if (typeof time !== 'number') throw new RegistryError('STORE_CORRUPT', 'a record of trust cannot be read')
      found.push({ purpose, who, time })
    }
    return found
  }

  /** False when it was there already. @throws RegistryError LIMIT_EXCEEDED */
  async add({ purpose, who, time }: TrustRecord): Promise<boolean> {
    const known = await this.all()
    if (known.some(one => one.purpose === purpose && one.who === who)) return false
    if (known.length >= LIMITS.attestations.trusted)
      throw new RegistryError(
        'LIMIT_EXCEEDED',
        `at most ${LIMITS.attestations.trusted} registries and keys are trusted`
      )
    await this.#write({ type: 'put', key: keyOf(purpose, who), value: encodeCbor({ time }) })
    return true
  }

  /** False when it was not there. */
  async remove(purpose: string, who: string): Promise<boolean> {
    if (!(await this.#kv.has(keyOf(purpose, who)))) return false
    await this.#write({ type: 'del', key: keyOf(purpose, who) })
    return true
  }

  /** Nothing that was read before is believed afterwards: a write that reported a failure may have landed. */
  async #write(operation: KeyValueOp): Promise<void> {
    try {
      await this.#kv.batch([operation], { sync: true })
    } finally {
      this.#changes += 1
      this.#known = undefined
    }
  }
}

function keyOf(purpose: string, who: string): string {
  return `trust!${purpose}!${who}`
}
