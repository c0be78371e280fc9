import { decodeCbor, encodeCbor } from '../cbor.ts'
import { factIdFromLink, toLink } from '../cid.ts'
import type { RegistryId } from '../cid.ts'
import { parsePrincipal } from '../did.ts'
import type { Principal } from '../did.ts'
import { RegistryError } from '../errors.ts'
import { preAuthEncoding, recordOf } from '../fact.ts'
import { isRole } from '../role.ts'
import type { Role } from '../role.ts'
import { MEMBERSHIP_LIMITS } from './limits.ts'

/**
 * What a host shows to prove that it may be in a private swarm, docs/spec/membership.md section 4:
 *
 *   {v: 1, registry: link, peer: text, member: key, role: text, issuer: key, issued: ms, expires: ms}
 *
 * Not a fact: it is in no set, and ends by itself. Whether its issuer may say so is for the reader's own fold.
 */
export interface Certificate {
  readonly v: 1
  readonly registry: RegistryId
  /** The libp2p peer id of the host, in its base58 form: what the handshake of the connection proves. */
  readonly peer: string
  readonly member: Principal
  /** The strongest role that the member held when it was issued: shown, no right follows from it. */
  readonly role: Role
  readonly issuer: Principal
  readonly issued: number
  readonly expires: number
}

/** A host that a member says is his, signed by the member: `{v: 1, registry: link, peer: text, member: key, time: ms}`. */
export interface Binding {
  readonly v: 1
  readonly registry: RegistryId
  readonly peer: string
  readonly member: Principal
  readonly time: number
}

/** Either of them as it travels: `{body: bytes, sig: bytes(64)}`. */
export interface SignedRecord<Body> {
  readonly bytes: Uint8Array
  readonly bodyBytes: Uint8Array
  readonly body: Body
  readonly signature: Uint8Array
}

export function encodeCertificate(body: Certificate): Uint8Array {
  return encodeCbor({ ...body, registry: toLink(body.registry) })
}

export function encodeBinding(body: Binding): Uint8Array {
  return encodeCbor({ ...body, registry: toLink(body.registry) })
}

export function encodeSigned(bodyBytes: Uint8Array, signature: Uint8Array): Uint8Array {
  return encodeCbor({ body: bodyBytes, sig: signature })
}

/** What the issuer signs. */
export function certificateSignedBytes(bodyBytes: Uint8Array): Uint8Array {
  return preAuthEncoding('application/vnd.ggen.certificate+cbor', bodyBytes)
}

/** What the member signs. */
export function bindingSignedBytes(bodyBytes: Uint8Array): Uint8Array {
  return preAuthEncoding('application/vnd.ggen.host+cbor', bodyBytes)
}

/** Reads a certificate; the signature is NOT checked here. @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
export function parseCertificate(bytes: Uint8Array): SignedRecord<Certificate> {
  return parseSigned(bytes, MEMBERSHIP_LIMITS.certificateBytes, raw => {
    const keys = ['v', 'registry', 'peer', 'member', 'role', 'issuer', 'issued', 'expires'] as const
    const record = recordOf(raw, keys)
    const { v, role } = record
    if (v !== 1 || !isRole(role)) throw malformed()
    const [issued, expires] = [parseTime(record.issued), parseTime(record.expires)]
    if (expires <= issued || expires - issued > MEMBERSHIP_LIMITS.certificateMs) throw malformed()
    return {
      v,
      registry: parseRegistry(record.registry),
      peer: parsePeer(record.peer),
      member: parseKey(record.member),
      role,
      issuer: parseKey(record.issuer),
      issued,
      expires
    }
  })
}

/** Reads a binding; the signature is NOT checked here. @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
export function parseBinding(bytes: Uint8Array): SignedRecord<Binding> {
  return parseSigned(bytes, MEMBERSHIP_LIMITS.bindingBytes, raw => {
    const record = recordOf(raw, ['v', 'registry', 'peer', 'member', 'time'])
    if (record.v !== 1) throw malformed()
    return {
      v: record.v,
      registry: parseRegistry(record.registry),
      peer: parsePeer(record.peer),
      member: parseKey(record.member),
      time: parseTime(record.time)
    }
  })
}

function parseSigned<Body>(bytes: Uint8Array, maxBytes: number, read: (raw: unknown) => Body): SignedRecord<Body> {
  // Attack: exhaustion. The size is known before anything is decoded.
  if (bytes.length > maxBytes)
    throw new RegistryError('LIMIT_EXCEEDED', `a signed record has at most ${maxBytes} bytes`)
  const { body, sig } = recordOf(decodeCbor(bytes, 1), ['body', 'sig'])
  if (!(body instanceof Uint8Array) || !(sig instanceof Uint8Array) || sig.length !== 64) throw malformed()
  return { bytes, bodyBytes: body, body: read(decodeCbor(body, 2)), signature: sig }
}

/** base58 of the identity multihash of an Ed25519 public key: the only kind of peer id that our hosts have. */
function parsePeer(value: unknown): string {
  if (typeof value !== 'string' || !/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/.test(value)) throw malformed()
  return value
}

function parseRegistry(value: unknown): RegistryId {
  return factIdFromLink(value) as string as RegistryId
}

function parseKey(value: unknown): Principal {
  if (typeof value !== 'string') throw malformed()
  return parsePrincipal(value)
}

function parseTime(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw malformed()
  return value
}

function malformed(): RegistryError {
  return new RegistryError('MALFORMED', 'a certificate or binding does not have its shape')
}
