import { publicKeyOf } from '../protocol/did.ts'
import {
  bindingSignedBytes,
  certificateSignedBytes,
  encodeBinding,
  encodeCertificate,
  encodeSigned
} from '../protocol/membership/certificate.ts'
import type { Binding, Certificate, SignedRecord } from '../protocol/membership/certificate.ts'
import { sign, verify } from './keys.ts'
import type { Secret } from './keys.ts'

/** A certificate under the issuer's key: at most `LIMITS.membership.certificateBytes`. */
export function signCertificate(body: Certificate, secret: Secret): Uint8Array {
  const bytes = encodeCertificate(body)
  return encodeSigned(bytes, sign(secret, certificateSignedBytes(bytes)))
}

/** Whether the issuer signed exactly these bytes. Says something only of a key that the registry's facts have named. */
export function verifyCertificate({ bodyBytes, body, signature }: SignedRecord<Certificate>): boolean {
  return verify(publicKeyOf(body.issuer), certificateSignedBytes(bodyBytes), signature)
}

/** A member's word that a host is his. */
export function signBinding(body: Binding, secret: Secret): Uint8Array {
  const bytes = encodeBinding(body)
  return encodeSigned(bytes, sign(secret, bindingSignedBytes(bytes)))
}

/** Whether the member signed exactly these bytes. Says something only of a key that the registry's facts have named. */
export function verifyBinding({ bodyBytes, body, signature }: SignedRecord<Binding>): boolean {
  return verify(publicKeyOf(body.member), bindingSignedBytes(bodyBytes), signature)
}
