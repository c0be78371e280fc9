import { decodeCbor, encodeCbor } from './cbor.ts'
import { factIdFromLink, factIdOf, toLink } from './cid.ts'
import type { FactId, RegistryId } from './cid.ts'
import type { Brand } from './brand.ts'
import { parsePrincipal } from './did.ts'
import type { Principal } from './did.ts'
import { RegistryError } from './errors.ts'
import { preAuthEncoding, recordOf } from './fact.ts'
import { LIMITS } from './limits.ts'
import { textFault } from './manifest-text.ts'

/** CID of the body of a submission, in base32. Not a fact: it is in no set. */
export type SubmissionId = Brand<string, 'SubmissionId'>

/**
 * A stranger asks for a name: the body that is signed, docs/spec/submit.md section 1.
 *
 *   {v: 1, registry: link, name: text, keys: [1*8 key], threshold, note: text, time, nonce: bytes(16)}
 */
export interface Submission {
  readonly v: 1
  readonly registry: RegistryId
  /** Bounded text: whether it can name a package is for whoever is asked to say, with words. */
  readonly name: string
  /** Who shall own the name. In order, each once. */
  readonly keys: readonly Principal[]
  /** How many of them must sign. */
  readonly threshold: number
  /** Words for the person who decides, or nothing. */
  readonly note: string
  /** As the author says: shown, never trusted. */
  readonly time: number
  readonly nonce: Uint8Array
}

/** A submission as it travels: `{body: bytes, sig: bytes(64), author: key}`. */
export interface SubmissionEnvelope {
  readonly id: SubmissionId
  readonly bytes: Uint8Array
  readonly bodyBytes: Uint8Array
  readonly body: Submission
  readonly author: Principal
  readonly signature: Uint8Array
}

const BODY_KEYS = ['v', 'registry', 'name', 'keys', 'threshold', 'note', 'time', 'nonce'] as const
const ENVELOPE_ITEMS = 7
/** A map of eight keys, a link of two items, a list with its keys. */
const BODY_ITEMS = 18 + LIMITS.submit.keys
const NONCE_BYTES = 16

export function encodeSubmission(body: Submission): Uint8Array {
  return encodeCbor({ ...body, registry: toLink(body.registry) })
}

/** What the author signs: the pre-authentication encoding under a type of its own, so that it never passes for a fact. */
export function submissionSignedBytes(bodyBytes: Uint8Array): Uint8Array {
  return preAuthEncoding('application/vnd.ggen.submission+cbor', bodyBytes)
}

export function encodeSubmissionEnvelope(bodyBytes: Uint8Array, author: Principal, signature: Uint8Array): Uint8Array {
  return encodeCbor({ body: bodyBytes, sig: signature, author })
}

/**
 * Reads a submission. Neither the signature nor the keys are checked here.
 * @throws RegistryError LIMIT_EXCEEDED | MALFORMED
 */
export function parseSubmission(bytes: Uint8Array): SubmissionEnvelope {
  // Attack: exhaustion. The size is known before anything is decoded.
  if (bytes.length > LIMITS.submit.envelopeBytes) {
    throw new RegistryError('LIMIT_EXCEEDED', `a submission has at most ${LIMITS.submit.envelopeBytes} bytes`)
  }
  const { body: bodyBytes, sig, author } = recordOf(decodeCbor(bytes, 1, ENVELOPE_ITEMS), ['body', 'sig', 'author'])
  if (!(bodyBytes instanceof Uint8Array) || !(sig instanceof Uint8Array) || sig.length !== 64)
    throw malformed('envelope')
  const by = parseKey(author)
  const body = parseBody(bodyBytes)
  // Attack: names asked for on behalf of keys that know nothing of it, to use up what one key may ask for.
  if (!body.keys.includes(by)) throw malformed('author: one of the keys')
  return { id: submissionIdOf(bodyBytes), bytes, bodyBytes, body, author: by, signature: sig }
}

export function submissionIdOf(bodyBytes: Uint8Array): SubmissionId {
  return factIdOf(bodyBytes) as string as SubmissionId
}

/** The id that a dag-cbor link stands for. @throws RegistryError MALFORMED */
export function submissionIdFromLink(link: unknown): SubmissionId {
  return factIdFromLink(link) as string as SubmissionId
}

/** The link that stands for an id. */
export function submissionLink(id: SubmissionId): ReturnType<typeof toLink> {
  return toLink(id as string as FactId)
}

function parseBody(bytes: Uint8Array): Submission {
  const raw = recordOf(decodeCbor(bytes, 2, BODY_ITEMS), BODY_KEYS)
  const { v, name, note, nonce } = raw
  if (v !== 1 || typeof name !== 'string' || typeof note !== 'string') throw malformed('body')
  if (name.length === 0 || name.length > LIMITS.submit.nameChars) throw malformed('name')
  if (note !== '' && textFault(note, LIMITS.submit.noteChars) !== undefined) throw malformed('note')
  if (!(nonce instanceof Uint8Array) || nonce.length !== NONCE_BYTES) throw malformed('nonce')
  const keys = parseKeys(raw.keys)
  return {
    v,
    registry: factIdFromLink(raw.registry) as string as RegistryId,
    name,
    keys,
    threshold: parseNumber(raw.threshold, 1, keys.length),
    note,
    time: parseNumber(raw.time, 0, Number.MAX_SAFE_INTEGER),
    nonce
  }
}

/** One spelling: in order, each once. Nobody is counted twice toward a threshold. */
function parseKeys(raw: unknown): readonly Principal[] {
  if (!Array.isArray(raw) || raw.length === 0 || raw.length > LIMITS.submit.keys) throw malformed('keys')
  const keys = raw.map(parseKey)
  if (!keys.every((key, i) => i === 0 || (keys[i - 1] ?? '') < key)) throw malformed('keys: sorted and distinct')
  return keys
}

function parseKey(raw: unknown): Principal {
  if (typeof raw !== 'string') throw malformed('key')
  return parsePrincipal(raw)
}

function parseNumber(raw: unknown, min: number, max: number): number {
  if (typeof raw !== 'number' || !Number.isSafeInteger(raw) || raw < min || raw > max) throw malformed('number')
  return raw
}

function malformed(what: string): RegistryError {
  return new RegistryError('MALFORMED', `a submission does not have its shape: ${what}`)
}
