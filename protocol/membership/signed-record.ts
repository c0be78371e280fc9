import { decodeCbor, encodeCbor } from '../cbor.ts'
import { factIdFromLink } from '../cid.ts'
import type { RegistryId } from '../cid.ts'
import { parsePrincipal } from '../did.ts'
import type { Principal } from '../did.ts'
import { RegistryError } from '../errors.ts'
import { recordOf } from '../fact.ts'

/** Something that a key has said beside the facts, as it travels: `{body: bytes, sig: bytes(64)}`. */
export interface SignedRecord<Body> {
  readonly bytes: Uint8Array
  readonly bodyBytes: Uint8Array
  readonly body: Body
  readonly signature: Uint8Array
}

export function encodeSigned(bodyBytes: Uint8Array, signature: Uint8Array): Uint8Array {
  return encodeCbor({ body: bodyBytes, sig: signature })
}

/** Reads the envelope and the body; the signature is NOT checked here. @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
export function parseSigned<Body>(
  bytes: Uint8Array,
  maxBytes: number,
  read: (raw: unknown) => Body
): SignedRecord<Body> {
  // Attack: exhaustion. The size is known before anything is decoded.
  if (bytes.length > maxBytes)
    throw new RegistryError('LIMIT_EXCEEDED', `a signed record has at most ${maxBytes} bytes`)
  const { body, sig } = recordOf(decodeCbor(bytes, 1), ['body', 'sig'])
  if (!(body instanceof Uint8Array) || !(sig instanceof Uint8Array) || sig.length !== 64) throw badRecord()
  return { bytes, bodyBytes: body, body: read(decodeCbor(body, 2)), signature: sig }
}

/** base58 of the identity multihash of an Ed25519 public key: the only kind of peer id that our hosts have. */
export function parsePeer(value: unknown): string {
  if (typeof value !== 'string' || !/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/.test(value)) throw badRecord()
  return value
}

export function parseRegistry(value: unknown): RegistryId {
  return factIdFromLink(value) as string as RegistryId
}

export function parseKey(value: unknown): Principal {
  if (typeof value !== 'string') throw badRecord()
  return parsePrincipal(value)
}

/** Milliseconds since 1970, or a count. */
export function parseWhole(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw badRecord()
  return value
}

export function badRecord(): RegistryError {
  return new RegistryError('MALFORMED', 'a signed record does not have its shape')
}
