import { encodeCbor } from '../cbor.ts'
import { toLink } from '../cid.ts'
import type { RegistryId } from '../cid.ts'
import type { Principal } from '../did.ts'
import { preAuthEncoding, recordOf } from '../fact.ts'
import { isRole } from '../role.ts'
import type { Role } from '../role.ts'
import { MEMBERSHIP_LIMITS } from './limits.ts'
import { badRecord, parseKey, parsePeer, parseRegistry, parseSigned, parseWhole } from './signed-record.ts'
import type { SignedRecord } from './signed-record.ts'

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

export function encodeCertificate(body: Certificate): Uint8Array {
  return encodeCbor({ ...body, registry: toLink(body.registry) })
}

export function encodeBinding(body: Binding): Uint8Array {
  return encodeCbor({ ...body, registry: toLink(body.registry) })
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
    if (v !== 1 || !isRole(role)) throw badRecord()
    const [issued, expires] = [parseWhole(record.issued), parseWhole(record.expires)]
    if (expires <= issued || expires - issued > MEMBERSHIP_LIMITS.certificateMs) throw badRecord()
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
    if (record.v !== 1) throw badRecord()
    return {
      v: record.v,
      registry: parseRegistry(record.registry),
      peer: parsePeer(record.peer),
      member: parseKey(record.member),
      time: parseWhole(record.time)
    }
  })
}
