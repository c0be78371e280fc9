import { utf8 } from '../bytes.ts'
import { RegistryError } from '../errors.ts'
import { preAuthEncoding } from '../fact.ts'
import { LIMITS } from '../limits.ts'
import { fromBase64, toBase64 } from './base64.ts'
import { isJsonObject, parseStrictJson } from './strict-json.ts'

/** What an in-toto statement travels as. */
export const IN_TOTO_TYPE = 'application/vnd.in-toto+json'

export interface DsseSignature {
  /** A hint and nothing more: empty where none was given. */
  readonly keyid: string
  readonly sig: Uint8Array
}

/**
 * A DSSE envelope (secure-systems-lab/dsse, envelope.md):
 *
 *   { "payloadType": TYPE, "payload": base64(PAYLOAD), "signatures": [ { "keyid": HINT, "sig": base64(SIG) }, … ] }
 *
 * Either alphabet of base64 is read; the standard one is written. Fields that are not known here are left alone.
 * Nothing in it is to be believed before `attestation/verify-envelope.ts` says whose signatures hold.
 */
export interface DsseEnvelope {
  readonly payloadType: string
  readonly payload: Uint8Array
  readonly signatures: readonly DsseSignature[]
}

/** What the signatures of an envelope cover. */
export function signedPart({ payloadType, payload }: Pick<DsseEnvelope, 'payloadType' | 'payload'>): Uint8Array {
  return preAuthEncoding(payloadType, payload)
}

/**
 * Reads an envelope and leaves its payload alone.
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED
 */
export function parseDsse(bytes: Uint8Array, maxBytes: number = LIMITS.attest.fileBytes): DsseEnvelope {
  // Attack: exhaustion. The size is known before anything is decoded, the signatures before any is.
  if (bytes.length > maxBytes)
    throw new RegistryError('LIMIT_EXCEEDED', `an envelope has at most ${maxBytes} bytes, this one ${bytes.length}`)
  const raw = parseStrictJson(bytes)
  if (!isJsonObject(raw)) throw malformed('no object')
  const { payloadType, payload, signatures } = raw
  if (typeof payloadType !== 'string' || payloadType.length > LIMITS.attest.payloadTypeChars)
    throw malformed('payloadType')
  if (!Array.isArray(signatures) || signatures.length === 0) throw malformed('signatures')
  if (signatures.length > LIMITS.attest.signatures) {
    throw new RegistryError(
      'LIMIT_EXCEEDED',
      `an envelope has at most ${LIMITS.attest.signatures} signatures, this one ${signatures.length}`
    )
  }
  const decoded = typeof payload === 'string' ? fromBase64(payload) : undefined
  if (decoded === undefined) throw malformed('payload')
  return { payloadType, payload: decoded, signatures: signatures.map(parseSignature) }
}

function parseSignature(raw: unknown): DsseSignature {
  if (!isJsonObject(raw)) throw malformed('signature')
  const { keyid = '', sig } = raw
  // Other tools write null where they have no hint.
  const hint = keyid ?? ''
  if (typeof hint !== 'string' || hint.length > LIMITS.attest.keyidChars) throw malformed('keyid')
  const decoded = typeof sig === 'string' ? fromBase64(sig) : undefined
  if (decoded === undefined || decoded.length === 0 || decoded.length > LIMITS.attest.signatureBytes)
    throw malformed('sig')
  return { keyid: hint, sig: decoded }
}

/** The bytes of an envelope as we write it: no white space, fields in the order of the specification. */
export function formatDsse({ payloadType, payload, signatures }: DsseEnvelope): Uint8Array {
  return utf8(
    JSON.stringify({
      payloadType,
      payload: toBase64(payload),
      signatures: signatures.map(({ keyid, sig }) =>
        keyid === '' ? { sig: toBase64(sig) } : { keyid, sig: toBase64(sig) }
      )
    })
  )
}

function malformed(what: string): RegistryError {
  return new RegistryError('MALFORMED', `a DSSE envelope does not have its shape: ${what}`)
}
