import { factIdFromLink, toLink } from '../cid.ts'
import type { FactId } from '../cid.ts'
import type { Principal } from '../did.ts'
import { recordOf } from '../fact.ts'
import { LIMITS } from '../limits.ts'
import { malformed, parseKeys } from '../payload-shape.ts'
import { sha256Of } from '../subject.ts'
import type { DigestSubject } from '../subject.ts'
import { IN_TOTO_TYPE, parseDsse } from './envelope.ts'
import type { DsseEnvelope } from './envelope.ts'
import { parseStatement } from './statement.ts'
import type { Statement } from './statement.ts'

/**
 * What a fact of type `attestation` holds: an envelope as its author got or made it, byte for byte, and the keys whose signatures
 * over it hold. Those keys are not named by it: nobody becomes an author of the registry because of what is in an envelope.
 */
export interface Attestation {
  /** The head of the registry's authority that the author saw. */
  readonly head: FactId
  readonly envelope: Uint8Array
  /** Ascending, distinct, 1 to `LIMITS.attest.signatures`: of each a signature holds (`attestation/verify-envelope.ts`). */
  readonly keys: readonly Principal[]
  /** What the envelope is read as; no part of the payload. */
  readonly dsse: DsseEnvelope
  readonly statement: Statement
}

export function attestationRecord({ head, envelope, keys }: Pick<Attestation, 'head' | 'envelope' | 'keys'>): unknown {
  return { head: toLink(head), envelope, keys }
}

/** @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
export function parseAttestation(raw: unknown, subject: DigestSubject): Attestation {
  const { head, envelope, keys } = recordOf(raw, ['head', 'envelope', 'keys'])
  if (!(envelope instanceof Uint8Array)) throw malformed('envelope')
  const signers = parseKeys(keys)
  if (signers.length > LIMITS.attest.signatures) throw malformed('keys: too many')
  const dsse = parseDsse(envelope, LIMITS.attest.envelopeBytes)
  if (dsse.payloadType !== IN_TOTO_TYPE) throw malformed('envelope: it holds no in-toto statement')
  const statement = parseStatement(dsse.payload)
  // Attack: a good statement about some bytes, filed under the digest of others.
  if (!isAbout(statement, sha256Of(subject))) throw malformed('envelope: its statement is not about the subject')
  return { head: factIdFromLink(head), envelope, keys: signers, dsse, statement }
}

/** Whether one of the subjects has this sha2-256, in hexadecimal. */
export function isAbout({ subjects }: Statement, sha256: string): boolean {
  return subjects.some(({ digests }) => digests.get('sha256') === sha256)
}
