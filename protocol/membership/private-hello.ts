import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concatBytes, utf8 } from '../bytes.ts'
import { decodeCbor, encodeCbor } from '../cbor.ts'
import { RegistryError } from '../errors.ts'
import { recordOf } from '../fact.ts'
import { HELLO_KEYS, helloRecord, parseHello, parseRefusal } from '../hello.ts'
import type { Hello, HelloRefusal } from '../hello.ts'
import { LIMITS } from '../limits.ts'
import { MEMBERSHIP_LIMITS } from './limits.ts'

/**
 * How the hosts of a private swarm introduce themselves, docs/spec/hello.md section 3. Who does not know a secret of the
 * swarm gets nothing, and nobody says who he is before the other side is known or was judged.
 *
 *   dialler                                  listener
 *     opening {macs, nonce}           ->
 *                                     <-       reply {mac, nonce}
 *     proof   {introduction?, mac}    ->
 *                                     <-       turn {introduction?, refused?}
 *     turn                            ->
 *                                     <-       turn, when the dialler let the listener go first
 */
export interface Opening {
  readonly nonce: Uint8Array
  /** One for each secret that the dialler has, the newest first. */
  readonly macs: readonly Uint8Array[]
}

export interface Reply {
  readonly nonce: Uint8Array
  readonly mac: Uint8Array
}

/** Shows that the dialler knows the secret now: an opening could be an old one that somebody kept. */
export interface Proof {
  readonly mac: Uint8Array
  /** Null: after you. */
  readonly introduction: Introduction | null
}

/** Either an introduction, an end without complaint, or a refusal and nothing else. */
export interface Turn {
  readonly introduction: Introduction | null
  readonly refused: HelloRefusal | null
}

/** What a member says of itself, and how it proves that it is one. */
export interface Introduction extends Hello {
  /** Of the newest swarm secret that it has. */
  readonly epoch: number
  readonly certificate: Uint8Array | null
  readonly binding: Uint8Array | null
  readonly evidence: readonly Uint8Array[]
}

/** What the two sides of a connection are sure of. Peer ids as multihashes, which say their own length. */
export interface Sides {
  readonly dialler: Uint8Array
  readonly listener: Uint8Array
}

const NONCE_BYTES = 32
const MAC_BYTES = 32
const MAX_SECRETS = 1 + MEMBERSHIP_LIMITS.oldSecrets
/** Heads of items in the largest message: 64 registries, each a link, and lists and keys around them. */
const ITEMS = 2 * LIMITS.hello.registries + LIMITS.hello.versions + MEMBERSHIP_LIMITS.evidenceFacts + 48
/** Turn, introduction, list, link. */
const DEPTH = 4

/** Attack: a mac that somebody got elsewhere. Each one is for this message of these two, and one side's nonce is new. */
export function openingMac(key: Uint8Array, sides: Sides, nonce: Uint8Array): Uint8Array {
  return mac(key, 'ggen hello 1', sides, [nonce])
}

export function replyMac(key: Uint8Array, sides: Sides, nonces: readonly [Uint8Array, Uint8Array]): Uint8Array {
  return mac(key, 'ggen hello 2', sides, nonces)
}

export function proofMac(key: Uint8Array, sides: Sides, nonces: readonly [Uint8Array, Uint8Array]): Uint8Array {
  return mac(key, 'ggen hello 3', sides, nonces)
}

function mac(key: Uint8Array, what: string, { dialler, listener }: Sides, nonces: readonly Uint8Array[]): Uint8Array {
  return hmac(sha256, key, concatBytes([utf8(what), ...nonces, dialler, listener]))
}

/** Looks at every byte whatever it finds. Attack: the time until the first difference tells how much was right. */
export function isSameMac(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== MAC_BYTES || b.length !== MAC_BYTES) return false
  let difference = 0
  for (let i = 0; i < MAC_BYTES; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0)
  return difference === 0
}

export function encodeOpening({ nonce, macs }: Opening): Uint8Array {
  return encodeCbor({ nonce, macs: macs.slice(0, MAX_SECRETS) })
}

/** @throws RegistryError MALFORMED */
export function decodeOpening(bytes: Uint8Array): Opening {
  const { nonce, macs } = recordOf(decodeCbor(bytes, 2, ITEMS), ['nonce', 'macs'])
  if (!Array.isArray(macs) || macs.length < 1 || macs.length > MAX_SECRETS) throw malformed()
  return { nonce: bytesOf(nonce, NONCE_BYTES), macs: macs.map(each => bytesOf(each, MAC_BYTES)) }
}

export function encodeReply({ nonce, mac }: Reply): Uint8Array {
  return encodeCbor({ nonce, mac })
}

/** @throws RegistryError MALFORMED */
export function decodeReply(bytes: Uint8Array): Reply {
  const { nonce, mac } = recordOf(decodeCbor(bytes, 1, ITEMS), ['nonce', 'mac'])
  return { nonce: bytesOf(nonce, NONCE_BYTES), mac: bytesOf(mac, MAC_BYTES) }
}

export function encodeProof({ mac, introduction }: Proof): Uint8Array {
  return encodeCbor({ mac, introduction: introductionRecord(introduction) })
}

/** @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
export function decodeProof(bytes: Uint8Array): Proof {
  const { mac, introduction } = recordOf(decodeCbor(bytes, DEPTH, ITEMS), ['mac', 'introduction'])
  return { mac: bytesOf(mac, MAC_BYTES), introduction: parseIntroduction(introduction) }
}

export function encodeTurn({ introduction, refused }: Turn): Uint8Array {
  return encodeCbor({ introduction: introductionRecord(introduction), refused })
}

/** @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
export function decodeTurn(bytes: Uint8Array): Turn {
  const record = recordOf(decodeCbor(bytes, DEPTH, ITEMS), ['introduction', 'refused'])
  const refused = parseRefusal(record.refused)
  const introduction = parseIntroduction(record.introduction)
  if (refused !== null && introduction !== null) throw malformed()
  return { introduction, refused }
}

/** Facts that do not fit are left out from the end: the first ones matter most. */
function introductionRecord(introduction: Introduction | null): unknown {
  if (introduction === null) return null
  const { epoch, certificate, binding } = introduction
  const evidence: Uint8Array[] = []
  let room: number = MEMBERSHIP_LIMITS.evidenceBytes
  for (const fact of introduction.evidence.slice(0, MEMBERSHIP_LIMITS.evidenceFacts)) {
    room -= fact.length
    if (room < 0) break
    evidence.push(fact)
  }
  return { ...helloRecord(introduction), epoch, certificate, binding, evidence }
}

function parseIntroduction(value: unknown): Introduction | null {
  if (value === null) return null
  const keys = [...HELLO_KEYS, 'epoch', 'certificate', 'binding', 'evidence'] as const
  const record = recordOf(value, keys)
  const { epoch } = record
  if (typeof epoch !== 'number' || !Number.isSafeInteger(epoch) || epoch < 0) throw malformed()
  return {
    ...parseHello(record),
    epoch,
    certificate: nullOrBytes(record.certificate, MEMBERSHIP_LIMITS.certificateBytes),
    binding: nullOrBytes(record.binding, MEMBERSHIP_LIMITS.bindingBytes),
    evidence: parseEvidence(record.evidence)
  }
}

function parseEvidence(value: unknown): readonly Uint8Array[] {
  if (!Array.isArray(value) || value.length > MEMBERSHIP_LIMITS.evidenceFacts) throw malformed()
  const facts = value.map((fact: unknown) => {
    if (!(fact instanceof Uint8Array)) throw malformed()
    return fact
  })
  if (facts.reduce((sum, { length }) => sum + length, 0) > MEMBERSHIP_LIMITS.evidenceBytes) throw malformed()
  return facts
}

function nullOrBytes(value: unknown, maxBytes: number): Uint8Array | null {
  if (value === null) return null
  if (!(value instanceof Uint8Array) || value.length > maxBytes) throw malformed()
  return value
}

function bytesOf(value: unknown, length: number): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== length) throw malformed()
  return value
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'a message of an introduction does not have its shape')
}
