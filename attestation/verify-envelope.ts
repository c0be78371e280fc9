import { publicKeyOf } from '../protocol/did.ts'
import type { Principal } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { formatDsse, IN_TOTO_TYPE, signedPart } from '../protocol/attest/envelope.ts'
import type { DsseEnvelope, DsseSignature } from '../protocol/attest/envelope.ts'
import { admitKey, principalOf, sign, verify } from './keys.ts'
import type { Secret } from './keys.ts'

/** Whose signatures are wanted. */
export interface EnvelopeTrust {
  /** Each is tried under every signature that may be its own. */
  readonly keys: readonly Principal[]
  /** How many of them must have signed. */
  readonly threshold: number
  /** Types of payload that the caller understands. */
  readonly payloadTypes: readonly string[]
}

/**
 * The keys whose signatures hold, once there are as many as must be. Whoever reads a payload does so after this.
 * @throws RegistryError LIMIT_EXCEEDED | MALFORMED | INADMISSIBLE_KEY | BAD_SIGNATURE
 */
export function verifyEnvelope(envelope: DsseEnvelope, trust: EnvelopeTrust): readonly Principal[] {
  const { signatures, payloadType } = envelope
  // Attack: exhaustion. What comes is bounded before any of it is looked at.
  if (signatures.length > LIMITS.attest.signatures)
    throw new RegistryError('LIMIT_EXCEEDED', `an envelope has at most ${LIMITS.attest.signatures} signatures`)
  // Attack: a signature made for one kind of document, shown as another. The type is part of what is signed, and only types
  // that the caller reads as what they are may come.
  if (!trust.payloadTypes.includes(payloadType))
    throw new RegistryError('MALFORMED', `the envelope holds ${JSON.stringify(payloadType.slice(0, 80))}`, {
      next: `only envelopes of ${trust.payloadTypes.join(', ')} are read here`
    })
  const message = signedPart(envelope)
  let tries = 0
  // Attack: one key counted twice. The threshold counts keys by their own bytes, never signatures and never what they claim.
  const signers: Principal[] = []
  for (const key of new Set(trust.keys)) {
    const publicKey = publicKeyOf(key)
    admitKey(publicKey)
    const isItsOwn = signatures.some(signature => {
      if (!mayBeOf(signature, key)) return false
      tries += 1
      // Attack: sixteen signatures without a hint under sixteen keys are 256 checks, 50 ms for one message.
      if (tries > LIMITS.attest.tries) throw new RegistryError('LIMIT_EXCEEDED', 'too many signatures without a hint')
      return verify(publicKey, message, signature.sig)
    })
    if (isItsOwn) signers.push(key)
  }
  if (signers.length >= trust.threshold && signers.length > 0) return signers
  throw new RegistryError('BAD_SIGNATURE', `${signers.length} of ${trust.threshold} keys have signed the envelope`)
}

/** Every key of a fact must have signed what it brings. @throws RegistryError as `verifyEnvelope` */
export function verifyAttestation({
  dsse,
  keys
}: {
  readonly dsse: DsseEnvelope
  readonly keys: readonly Principal[]
}): void {
  verifyEnvelope(dsse, { keys, threshold: keys.length, payloadTypes: [IN_TOTO_TYPE] })
}

/** A hint spares tries and proves nothing: a did:key in it is another key's signature, all else says nothing to us. */
function mayBeOf({ keyid }: DsseSignature, key: Principal): boolean {
  return keyid === key || !keyid.startsWith('did:key:')
}

/** An envelope around an in-toto statement, signed by one key. */
export function signStatement(payload: Uint8Array, secret: Secret): Uint8Array {
  const part = { payloadType: IN_TOTO_TYPE, payload }
  return formatDsse({ ...part, signatures: [{ keyid: principalOf(secret), sig: sign(secret, signedPart(part)) }] })
}
