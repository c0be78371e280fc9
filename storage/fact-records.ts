import { utf8 } from '../protocol/bytes.ts'
import { decodeCbor, encodeCbor } from '../protocol/cbor.ts'
import type { FactId, RegistryId } from '../protocol/cid.ts'
import { parsePrincipal } from '../protocol/did.ts'
import type { Principal } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { isDatedType, parseEnvelope } from '../protocol/fact.ts'
import type { Subject } from '../protocol/fact.ts'
import { LIMITS } from '../protocol/limits.ts'
import { namedKeys, parsePayload } from '../protocol/payload.ts'
import { ROW_RULES } from '../protocol/view-row.ts'
import type { KeyRange, KeyValueOp } from './key-value.ts'

/** A fact on its way into the store. */
export interface FactWrite {
  readonly id: FactId
  readonly subject: Subject
  readonly author: Principal
  /** Milliseconds since 1970, as the author says. */
  readonly time: number
  readonly bytes: Uint8Array
  /** The keys that it names. */
  readonly names: readonly Principal[]
  /** When it came here is worth remembering: its author can't be asked. */
  readonly isDated?: boolean
}

/** What the index says of a fact. */
export interface FactEntry {
  readonly time: number
  readonly subject: Subject
}

const TIME_BYTES = 8

/** The keys of a registry's records; `storage/fact-store.ts` says what each holds. */
export const KEYS = {
  fact: (registry: RegistryId, id: FactId): string => `fact!${registry}!${id}`,
  body: (registry: RegistryId, { id, subject }: { id: FactId; subject: Subject }): string =>
    `body!${registry}!${subject}!${id}`,
  cut: (registry: RegistryId, { id, subject }: { id: FactId; subject: Subject }): string =>
    `cut!${registry}!${subject}!${id}`,
  cutId: (registry: RegistryId, id: FactId): string => `cutid!${registry}!${id}`,
  who: (registry: RegistryId, { author, subject }: { author: Principal; subject: Subject }): string =>
    `who!${registry}!${author}!${subject}`,
  names: (registry: RegistryId, { author, id }: { author: Principal; id: FactId }): string =>
    `names!${registry}!${author}!${id}`,
  named: (registry: RegistryId, key: Principal): string => `named!${registry}!${key}`,
  view: (registry: RegistryId, subject: Subject): string => `view!${registry}!${subject}`,
  aside: (registry: RegistryId, subject: Subject): string => `aside!${registry}!${subject}`,
  document: (registry: RegistryId, subject: Subject): string => `doc!${registry}!${subject}`,
  documentSaved: (registry: RegistryId, subject: Subject): string => `docsave!${registry}!${subject}`,
  documentTodo: (registry: RegistryId, subject: Subject): string => `doctodo!${registry}!${subject}`,
  seen: (registry: RegistryId, id: FactId): string => `seen!${registry}!${id}`,
  stale: (registry: RegistryId): string => `stale!${registry}`,
  rules: (registry: RegistryId): string => `rules!${registry}`,
  head: (registry: RegistryId): string => `head!${registry}`
} as const

/** All kinds of records that begin with a registry's id, those of older stores included. */
export const FACT_KINDS = [
  'aside',
  'body',
  'cut',
  'cutid',
  'doc',
  'docsave',
  'doctodo',
  'fact',
  'log',
  'named',
  'names',
  'seen',
  'view',
  'who'
] as const

/** Every key that begins so. Keys end before `~`. */
export function keysFrom(prefix: string): Pick<KeyRange, 'gte' | 'lt'> {
  return { gte: prefix, lt: `${prefix}~` }
}

/** By which rules all rows are folded: a text, so that it is there to be read. */
export function rulesOp(registry: RegistryId): KeyValueOp {
  return { type: 'put', key: KEYS.rules(registry), value: utf8(`${ROW_RULES}`) }
}

/** A record whose being there is all it says. */
export function flag(key: string, is: boolean): KeyValueOp {
  return is ? { type: 'put', key, value: new Uint8Array(0) } : { type: 'del', key }
}

/** 8 bytes of time, big-endian, then the subject. */
export function encodeEntry({ time, subject }: FactEntry): Uint8Array {
  const text = new TextEncoder().encode(subject)
  const bytes = new Uint8Array(TIME_BYTES + text.length)
  bytes.set(encodeTime(time))
  bytes.set(text, TIME_BYTES)
  return bytes
}

/** A time of its own: 8 bytes, big-endian. */
export function encodeTime(time: number): Uint8Array {
  const bytes = new Uint8Array(TIME_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, Math.floor(time / 2 ** 32))
  view.setUint32(4, time % 2 ** 32)
  return bytes
}

export function decodeEntry(bytes: Uint8Array): FactEntry {
  return { time: timeIn(bytes), subject: new TextDecoder().decode(bytes.subarray(TIME_BYTES)) as Subject }
}

/** The time of an entry, without looking at the rest: what a start reads of every fact. */
export function timeIn(bytes: Uint8Array): number {
  let time = 0
  for (let at = 0; at < TIME_BYTES; at++) time = time * 256 + (bytes[at] ?? 0)
  return time
}

export function encodeNames(names: readonly Principal[]): Uint8Array {
  return encodeCbor(names)
}

export function decodeNames(bytes: Uint8Array): readonly Principal[] {
  const value = decodeCbor(bytes, 1, LIMITS.fact.cborItems)
  if (!Array.isArray(value)) throw new RegistryError('STORE_CORRUPT', 'the names in a fact cannot be read')
  return value.map(key => parsePrincipal(String(key)))
}

/** All that the store keeps of an envelope, or undefined when it is not the fact of that id and subject. */
export function readFact(bytes: Uint8Array, wanted: { id: string; subject: string }): FactWrite | undefined {
  try {
    const { id, body } = parseEnvelope(bytes)
    const { subject, author, time } = body
    if (id !== wanted.id || subject !== wanted.subject) return undefined
    return { id, subject, author, time, bytes, names: namedKeys(parsePayload(body)) }
  } catch (error) {
    if (error instanceof RegistryError) return undefined
    throw error
  }
}

/** Whether it is remembered when it came. */
export function isDatedFact(bytes: Uint8Array): boolean {
  try {
    return isDatedType(parseEnvelope(bytes).body.type)
  } catch (error) {
    if (error instanceof RegistryError) return false
    throw error
  }
}

/** The id at the end of a key, and the subject before it. */
export function placeIn(key: string, prefix: string): { readonly id: FactId; readonly subject: Subject } {
  const end = key.lastIndexOf('!')
  return {
    id: key.slice(end + 1) as FactId,
    subject: key.slice(prefix.length, Math.max(end, prefix.length)) as Subject
  }
}
