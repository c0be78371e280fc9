import { CID } from 'multiformats/cid'
import { concatBytes, fromHex, toHex, utf8 } from './bytes.ts'
import { decodeCbor, encodeCbor } from './cbor.ts'
import { factIdFromLink, factIdOf, toLink } from './cid.ts'
import type { FactId, RegistryId } from './cid.ts'
import { parsePrincipal } from './did.ts'
import type { Principal } from './did.ts'
import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { parsePackageName } from './package-name.ts'
import { parseDigestSubject } from './subject.ts'
import type { Subject } from './subject.ts'

export type { Subject } from './subject.ts'

export const FACT_TYPES = [
  'genesis',
  'grant',
  'revoke',
  'cosign',
  'claim',
  'release',
  'yank',
  'unyank',
  'resolve',
  'metadata',
  'invite',
  'redeem',
  'attestation',
  'quarantine',
  'unquarantine',
  'advisory',
  'policy',
  'observation'
] as const
export type FactType = (typeof FACT_TYPES)[number]

/** Whether it is remembered when facts of a type came: of releases, whose age is asked for, and of what a registry begins with. */
export function isDatedType(type: FactType): boolean {
  return type === 'release' || type === 'genesis'
}

/**
 * The signed body of a fact, docs/spec/fact.md section 2. `payload` is the deterministic dag-cbor of one of the
 * shapes in `payload.ts`, kept as bytes so that nobody reads it before the signature holds.
 */
export interface FactBody {
  readonly v: 1
  readonly type: FactType
  /** Empty only in a genesis, whose own id is the registry's id. */
  readonly registry: RegistryId | null
  readonly subject: Subject
  readonly author: Principal
  /** 32 lower-case hex characters standing for 16 bytes. */
  readonly chain: string
  readonly seq: number
  readonly prev: FactId | null
  /** Milliseconds since 1970 as the author says: shown, a sort key, never trusted. */
  readonly time: number
  readonly payload: Uint8Array
}

/** A fact as it travels: the exact bytes of the body and the author's signature over them. */
export interface Envelope {
  readonly id: FactId
  readonly bytes: Uint8Array
  readonly bodyBytes: Uint8Array
  readonly body: FactBody
  readonly signature: Uint8Array
}

const BODY_KEYS = ['v', 'type', 'registry', 'subject', 'author', 'chain', 'seq', 'prev', 'time', 'payload'] as const

/** A map, its keys and its values; a link is two items. Strangers' bytes are decoded no further than they can be right. */
const ENVELOPE_ITEMS = 5
const BODY_ITEMS = 23

export function encodeBody(body: FactBody): Uint8Array {
  const bytes = encodeCbor({
    ...body,
    registry: body.registry === null ? null : toLink(body.registry),
    chain: parseChain(body.chain),
    prev: body.prev === null ? null : toLink(body.prev)
  })
  if (bytes.length > LIMITS.fact.bodyBytes) {
    throw new RegistryError(
      'LIMIT_EXCEEDED',
      `a fact has at most ${LIMITS.fact.bodyBytes} bytes, this one ${bytes.length}`
    )
  }
  return bytes
}

/** The wire form: dag-cbor of `{body: bytes, sig: bytes}`. */
export function encodeEnvelope(bodyBytes: Uint8Array, signature: Uint8Array): Uint8Array {
  return encodeCbor({ body: bodyBytes, sig: signature })
}

/**
 * What the signature covers: DSSE's pre-authentication encoding (secure-systems-lab/dsse, protocol.md) of the body
 * under `application/vnd.ggen.<type>+cbor`. Lengths are bytes.
 */
export function signedBytes(type: FactType, bodyBytes: Uint8Array): Uint8Array {
  return preAuthEncoding(`application/vnd.ggen.${type}+cbor`, bodyBytes)
}

export function preAuthEncoding(payloadType: string, payload: Uint8Array): Uint8Array {
  const type = utf8(payloadType)
  return concatBytes([utf8(`DSSEv1 ${type.length} `), type, utf8(` ${payload.length} `), payload])
}

/**
 * Reads envelope and body header, leaves the payload alone. The signature is NOT checked here.
 * @throws RegistryError LIMIT_EXCEEDED | MALFORMED
 */
export function parseEnvelope(bytes: Uint8Array): Envelope {
  // Attack: exhaustion. The size is known before anything is decoded.
  if (bytes.length > LIMITS.fact.envelopeBytes) {
    throw new RegistryError(
      'LIMIT_EXCEEDED',
      `a fact has at most ${LIMITS.fact.envelopeBytes} bytes, this one ${bytes.length}`
    )
  }
  const { body: bodyBytes, sig } = recordOf(decodeCbor(bytes, 1, ENVELOPE_ITEMS), ['body', 'sig'])
  if (!(bodyBytes instanceof Uint8Array) || !(sig instanceof Uint8Array) || sig.length !== 64)
    throw malformed('envelope')
  if (bodyBytes.length > LIMITS.fact.bodyBytes)
    throw new RegistryError('LIMIT_EXCEEDED', 'the body of a fact is too large')
  return { id: factIdOf(bodyBytes), bytes, bodyBytes, body: parseBody(bodyBytes), signature: sig }
}

function parseBody(bytes: Uint8Array): FactBody {
  const raw = recordOf(decodeCbor(bytes, 2, BODY_ITEMS), BODY_KEYS)
  const { v, type, subject, author, chain, seq, time, payload } = raw
  if (v !== 1 || !isFactType(type) || typeof subject !== 'string' || typeof author !== 'string') throw malformed('body')
  if (!(chain instanceof Uint8Array) || chain.length !== 16 || !(payload instanceof Uint8Array)) throw malformed('body')
  if (!isIndex(seq, LIMITS.fact.seq) || !isIndex(time, Number.MAX_SAFE_INTEGER)) throw malformed('body')
  const registry = raw['registry'] === null ? null : (factIdFromLink(raw['registry']) as string as RegistryId)
  const prev = raw['prev'] === null ? null : factIdFromLink(raw['prev'])
  // A genesis starts its registry and every chain starts at nought: all else is a place that cannot exist.
  if ((registry === null) !== (type === 'genesis') || (prev === null) !== (seq === 0)) throw malformed('position')
  if (type === 'genesis' && seq !== 0) throw malformed('position')
  return {
    v,
    type,
    registry,
    subject: parseSubject(type, subject),
    author: parsePrincipal(author),
    chain: formatChain(chain),
    seq,
    prev,
    time,
    payload
  }
}

/** Facts about who may do what, and words, are about the registry or about one package. */
const EITHER: readonly FactType[] = ['grant', 'revoke', 'cosign', 'resolve', 'metadata']

/** Nobody is invited into a package. */
const REGISTRY_ONLY: readonly FactType[] = ['genesis', 'invite', 'redeem', 'policy']

function parseSubject(type: FactType, subject: string): Subject {
  if (type === 'attestation') return parseDigestSubject(subject)
  if (subject === 'registry') {
    if (!REGISTRY_ONLY.includes(type) && !EITHER.includes(type)) throw malformed('subject')
    return 'registry'
  }
  if (REGISTRY_ONLY.includes(type)) throw malformed('subject')
  try {
    return parsePackageName(subject)
  } catch (cause) {
    throw new RegistryError('MALFORMED', 'the subject of a fact is not a package name', { cause })
  }
}

export function formatChain(bytes: Uint8Array): string {
  return toHex(bytes)
}

/** The 16 bytes of a chain. @throws RegistryError MALFORMED */
export function parseChain(text: string): Uint8Array {
  const bytes = fromHex(text)
  if (bytes === undefined || bytes.length !== 16) throw malformed('chain')
  return bytes
}

function isFactType(value: unknown): value is FactType {
  return typeof value === 'string' && (FACT_TYPES as readonly string[]).includes(value)
}

function isIndex(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max
}

/** An object that has exactly these keys. @throws RegistryError MALFORMED */
export function recordOf<K extends string>(value: unknown, keys: readonly K[]): Record<K, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array)
    throw malformed('record')
  if (value instanceof CID || Object.keys(value).length !== keys.length) throw malformed('record')
  if (!keys.every(key => Object.hasOwn(value, key))) throw malformed('record')
  return value as Record<K, unknown>
}

function malformed(what: string): RegistryError {
  return new RegistryError('MALFORMED', `the ${what} of a fact does not have its shape`)
}
