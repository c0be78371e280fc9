import { verifyBinding, verifyCertificate } from '../../../attestation/sign-membership.ts'
import type { RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { isRegistryError } from '../../../protocol/errors.ts'
import { parseBinding, parseCertificate } from '../../../protocol/membership/certificate.ts'
import type { Binding, Certificate } from '../../../protocol/membership/certificate.ts'
import type { SignedRecord } from '../../../protocol/membership/signed-record.ts'

/** What a member shows of itself: `MemberProof` of `node/p2p/membership.ts`. */
export interface Proof {
  readonly certificate: Uint8Array | null
  readonly binding: Uint8Array | null
  readonly evidence: readonly Uint8Array[]
}

/** What the reader knows of whoever shows something. */
export interface Shower {
  readonly registry: RegistryId
  /** What the handshake of the connection proved. */
  readonly peer: string
}

/** What a host has shown: read, and about this host and this registry. */
export interface Showing {
  readonly peer: string
  readonly member: Principal
  readonly certificate: SignedRecord<Certificate> | null
  readonly binding: SignedRecord<Binding> | null
}

/** Undefined for what says nothing, or nothing of this host in this registry. No signature is checked here. */
export function readShowing({ certificate, binding }: Omit<Proof, 'evidence'>, shower: Shower): Showing | undefined {
  try {
    const showing = {
      certificate: certificate === null ? null : parseCertificate(certificate),
      binding: binding === null ? null : parseBinding(binding)
    }
    const bodies = [showing.certificate, showing.binding].flatMap(record => (record === null ? [] : [record.body]))
    const [first] = bodies
    if (first === undefined) return undefined
    // Attack: what was said of another host or another registry is shown here.
    const fits = bodies.every(body => body.registry === shower.registry && body.peer === shower.peer)
    // Attack: one member's certificate beside another member's word.
    if (!fits || bodies.some(body => body.member !== first.member)) return undefined
    return { ...showing, peer: shower.peer, member: first.member }
  } catch (error) {
    if (!isRegistryError(error)) throw error
    return undefined
  }
}

/** Standing is asked again for every connection whenever something changes: a signature is checked once. */
const checked = new WeakMap<SignedRecord<Certificate | Binding>, boolean>()

/** Ask only when the registry's facts have named the issuer. */
export function certificateHolds(certificate: SignedRecord<Certificate>): boolean {
  return remembered(certificate, verifyCertificate)
}

/** Ask only when the registry's facts have named the member, or an invite of that key. */
export function bindingHolds({ binding }: Pick<Showing, 'binding'>): boolean {
  return binding !== null && remembered(binding, verifyBinding)
}

function remembered<Body extends Certificate | Binding>(
  record: SignedRecord<Body>,
  verify: (record: SignedRecord<Body>) => boolean
): boolean {
  const known = checked.get(record)
  if (known !== undefined) return known
  const holds = verify(record)
  checked.set(record, holds)
  return holds
}
