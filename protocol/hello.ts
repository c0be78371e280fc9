import { compareText } from './bytes.ts'
import { decodeCbor, encodeCbor } from './cbor.ts'
import { factIdFromLink, toLink } from './cid.ts'
import type { RegistryId } from './cid.ts'
import { RegistryError } from './errors.ts'
import { recordOf } from './fact.ts'
import { LIMITS } from './limits.ts'

/** The first stream on every connection; nothing else is answered before it ends well. */
export const HELLO_PROTOCOL = '/ggen/hello/1'

/** The versions of ggen's own wire protocols that this program speaks. */
export const PROTOCOL_VERSIONS: readonly number[] = [1]

/** What a node offers to its neighbours. Claims, shown to people; no right follows from them. */
export const HELLO_ROLES = ['bootstrap', 'curator', 'mirror', 'peer'] as const
export type HelloRole = (typeof HELLO_ROLES)[number]

/** What a node says of itself before anything else: dag-cbor `{agent, registries, roles, versions}`, lists sorted. */
export interface Hello {
  readonly versions: readonly number[]
  readonly agent: string
  readonly registries: readonly RegistryId[]
  readonly roles: readonly HelloRole[]
}

/** Why a hello did not satisfy its reader. */
export const HELLO_REFUSALS = [
  'expired',
  'invite-over',
  'no-common-version',
  'not-a-member',
  'too-busy',
  'unknown-issuer',
  'unknown-peer'
] as const
export type HelloRefusal = (typeof HELLO_REFUSALS)[number]

/** The second and last message of each side: dag-cbor `{refused: null | reason}`. Both sides must send null. */
export interface HelloAnswer {
  readonly refused: HelloRefusal | null
}

/** Sorts and bounds the lists, so that a node that follows too many registries still has a hello to say. */
export function encodeHello(hello: Hello): Uint8Array {
  return encodeCbor(helloRecord(hello))
}

/** @throws RegistryError MALFORMED */
export function decodeHello(bytes: Uint8Array): Hello {
  return parseHello(recordOf(decodeCbor(bytes, 3), HELLO_KEYS))
}

/** What every introduction says, of a private swarm's host too. */
export const HELLO_KEYS = ['versions', 'agent', 'registries', 'roles'] as const

/** As it goes into dag-cbor. */
export function helloRecord(hello: Hello): Record<(typeof HELLO_KEYS)[number], unknown> {
  const registries = hello.registries.toSorted(compareText).slice(0, LIMITS.hello.registries)
  return {
    versions: hello.versions.toSorted((a, b) => a - b),
    agent: hello.agent,
    registries: registries.map(toLink),
    roles: hello.roles.toSorted(compareText)
  }
}

/** @throws RegistryError MALFORMED */
export function parseHello(record: Readonly<Record<(typeof HELLO_KEYS)[number], unknown>>): Hello {
  const { versions, agent, registries, roles } = record
  if (typeof agent !== 'string' || agent.length > LIMITS.hello.agentChars || !isPrintable(agent)) throw malformed()
  return {
    versions: sortedList(versions, LIMITS.hello.versions, parseVersion, (a, b) => a - b),
    agent,
    registries: sortedList(
      registries,
      LIMITS.hello.registries,
      link => factIdFromLink(link) as string as RegistryId,
      compareText
    ),
    roles: sortedList(roles, HELLO_ROLES.length, parseRole, compareText)
  }
}

export function encodeHelloAnswer(answer: HelloAnswer): Uint8Array {
  return encodeCbor({ refused: answer.refused })
}

/** @throws RegistryError MALFORMED */
export function decodeHelloAnswer(bytes: Uint8Array): HelloAnswer {
  return { refused: parseRefusal(recordOf(decodeCbor(bytes, 1), ['refused']).refused) }
}

/** A reason, or null for none. @throws RegistryError MALFORMED */
export function parseRefusal(value: unknown): HelloRefusal | null {
  if (value === null) return null
  const known = HELLO_REFUSALS.find(reason => reason === value)
  if (known === undefined) throw malformed()
  return known
}

/** The highest version that both sides speak, or undefined. */
export function commonVersion(ours: readonly number[], theirs: readonly number[]): number | undefined {
  return ours.filter(version => theirs.includes(version)).toSorted((a, b) => b - a)[0]
}

/** A list has one spelling: strictly ascending, so sorted and without doubles. */
function sortedList<T>(
  value: unknown,
  max: number,
  parse: (item: unknown) => T,
  compare: (a: T, b: T) => number
): readonly T[] {
  if (!Array.isArray(value) || value.length > max) throw malformed()
  const items = value.map(parse)
  items.forEach((item, index) => {
    const before = items[index - 1]
    if (before !== undefined && compare(before, item) >= 0) throw malformed()
  })
  return items
}

function parseVersion(value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > 0xffff) throw malformed()
  return value
}

function parseRole(value: unknown): HelloRole {
  const role = HELLO_ROLES.find(known => known === value)
  if (role === undefined) throw malformed()
  return role
}

/** Attack: an agent string with escape codes would write over the terminal of whoever lists the peers. */
function isPrintable(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text)
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'a hello does not have its shape')
}
