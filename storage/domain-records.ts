import { decodeCbor, encodeCbor } from '../protocol/cbor.ts'
import { parsePrincipal } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { recordOf } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { parseDomain } from '../protocol/publisher/domain.ts'
import type { Domain } from '../protocol/publisher/domain.ts'
import type { DomainRecord, LookupFault } from '../protocol/publisher/binding.ts'
import { keysFrom } from './fact-records.ts'
import type { KeyValue } from './key-value.ts'

const FAULTS: readonly LookupFault[] = ['no-answer', 'timeout', 'too-large', 'busy']

/**
 * What domains answered, and when:
 *
 *   dns!<domain>  -> {answer: {keys, time} / null, failure: {fault, time} / null}
 *
 * All of it can be asked again, so nothing is synced, and what cannot be read is as good as never asked.
 */
export class DomainRecords {
  readonly #kv: KeyValue
  #count: Promise<number> | undefined

  constructor(kv: KeyValue) {
    this.#kv = kv
  }

  async get(domain: Domain): Promise<DomainRecord | undefined> {
    const value = await this.#kv.get(keyOf(domain))
    if (value === undefined) return undefined
    try {
      return { domain: parseDomain(domain), ...parse(value) }
    } catch (error) {
      if (error instanceof RegistryError) return undefined
      throw error
    }
  }

  /** Attack: a key in every fact of a registry, each of another domain. When there are too many, all are forgotten. */
  async put({ domain, answer, failure }: DomainRecord): Promise<void> {
    const isNew = !(await this.#kv.has(keyOf(domain)))
    const count = (await (this.#count ??= this.#counted())) + (isNew ? 1 : 0)
    if (count > LIMITS.publisher.remembered) await this.#forget()
    this.#count = Promise.resolve(count > LIMITS.publisher.remembered ? 1 : count)
    await this.#kv.batch([{ type: 'put', key: keyOf(domain), value: encodeCbor({ answer, failure }) }], { sync: false })
  }

  async #counted(): Promise<number> {
    let count = 0
    for await (const _ of this.#kv.iterate({ ...keysFrom(PREFIX), limit: LIMITS.publisher.remembered + 1 })) count += 1
    return count
  }

  async #forget(): Promise<void> {
    const keys: string[] = []
    for await (const [key] of this.#kv.iterate({ ...keysFrom(PREFIX), limit: LIMITS.publisher.remembered + 1 }))
      keys.push(key)
    await this.#kv.batch(
      keys.map(key => ({ type: 'del', key })),
      { sync: false }
    )
  }
}

const PREFIX = 'dns!'

function keyOf(domain: Domain): string {
  return `${PREFIX}${domain}`
}

function parse(value: Uint8Array): Omit<DomainRecord, 'domain'> {
  const { answer, failure } = recordOf(decodeCbor(value, 4), ['answer', 'failure'])
  return {
    answer: answer === null ? null : parseAnswer(answer),
    failure: failure === null ? null : parseFailure(failure)
  }
}

function parseAnswer(raw: unknown): DomainRecord['answer'] {
  const { keys, time } = recordOf(raw, ['keys', 'time'])
  if (!Array.isArray(keys) || typeof time !== 'number') throw unreadable()
  return { keys: keys.map(key => parsePrincipal(String(key))), time }
}

function parseFailure(raw: unknown): DomainRecord['failure'] {
  const { fault, time } = recordOf(raw, ['fault', 'time'])
  const known = FAULTS.find(one => one === fault)
  if (known === undefined || typeof time !== 'number') throw unreadable()
  return { fault: known, time }
}

function unreadable(): RegistryError {
  return new RegistryError('STORE_CORRUPT', 'what a domain answered cannot be read')
}
