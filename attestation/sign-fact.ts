import { publicKeyOf } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { encodeBody, encodeEnvelope, signedBytes } from '../protocol/fact.ts'
import type { Envelope, FactBody } from '../protocol/fact.ts'
import { principalOf, sign, verify } from './keys.ts'
import type { Secret } from './keys.ts'

/** The wire form of a fact, signed by its author. @throws RegistryError NOT_AUTHORIZED | LIMIT_EXCEEDED */
export function signFact(body: FactBody, secret: Secret): Uint8Array {
  if (principalOf(secret) !== body.author) {
    throw new RegistryError('NOT_AUTHORIZED', 'a fact is signed by its author and by nobody else')
  }
  const bodyBytes = encodeBody(body)
  return encodeEnvelope(bodyBytes, sign(secret, signedBytes(body.type, bodyBytes)))
}

/**
 * Whether the author of a parsed fact signed exactly these bytes. The author's key must have been admitted
 * (`admitKey`) when a fact named it.
 */
export function verifyFact({ body, bodyBytes, signature }: Envelope): boolean {
  return verify(publicKeyOf(body.author), signedBytes(body.type, bodyBytes), signature)
}
