import { publicKeyOf } from '../protocol/did.ts'
import {
  bindingSignedBytes,
  certificateSignedBytes,
  encodeBinding,
  encodeCertificate
} from '../protocol/membership/certificate.ts'
import type { Binding, Certificate } from '../protocol/membership/certificate.ts'
import { encodeSigned } from '../protocol/membership/signed-record.ts'
import type { SignedRecord } from '../protocol/membership/signed-record.ts'
import { encodeSwarmKey, swarmKeySignedBytes } from '../protocol/membership/swarm-key.ts'
import type { SwarmKey } from '../protocol/membership/swarm-key.ts'
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

/** A new swarm secret, in an owner's word. */
export function signSwarmKey(body: SwarmKey, secret: Secret): Uint8Array {
  const bytes = encodeSwarmKey(body)
  return encodeSigned(bytes, sign(secret, swarmKeySignedBytes(bytes)))
}

/** Whether the owner signed exactly these bytes. Says something only of a key that the registry's facts have named. */
export function verifySwarmKey({ bodyBytes, body, signature }: SignedRecord<SwarmKey>): boolean {
  return verify(publicKeyOf(body.by), swarmKeySignedBytes(bodyBytes), signature)
}
