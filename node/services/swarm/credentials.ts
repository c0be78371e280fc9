import { verifyCertificate } from '../../../attestation/sign-membership.ts'
import type { Authority } from '../../../protocol/authority.ts'
import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import { isRegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { parseCertificate } from '../../../protocol/membership/certificate.ts'
import type { Certificate } from '../../../protocol/membership/certificate.ts'
import { mayCertifyByName, rolesOfMember, standingOf } from '../../../protocol/membership/members.ts'
import type { SignedRecord } from '../../../protocol/membership/signed-record.ts'
import { evidenceOf } from './evidence.ts'
import type { Proof } from './showing.ts'
import type { HostSigner, MemberSigner } from './signer.ts'
import { couldCertify, holdsExpiringGrant } from './standings.ts'
import type { SwarmStore } from './swarm-store.ts'
import { mayIssue } from './weigh.ts'

export interface CredentialsComponents {
  readonly registry: RegistryId
  /** Our own host. */
  readonly peer: string
  readonly signer: MemberSigner
  readonly store: Pick<SwarmStore, 'putCertificate'>
  readonly authority: () => Authority | undefined
  /** Facts about the registry itself. */
  readonly facts: () => Promise<readonly VerifiedFact[]>
  readonly envelope: (id: FactId) => Promise<Uint8Array | undefined>
  readonly now: () => number
}

/** What this host shows of itself, and how it stays good. */
export class Credentials {
  readonly #components: CredentialsComponents
  #certificate: SignedRecord<Certificate> | null
  /** The key of the invite by which this host is let in while its own key is no member yet. */
  #guest: HostSigner | undefined
  #evidence: { readonly of: Authority; readonly envelopes: readonly Uint8Array[] } | undefined

  constructor(components: CredentialsComponents, certificate: Uint8Array | null) {
    this.#components = components
    this.#certificate = certificate === null ? null : parseCertificate(certificate)
  }

  get certificate(): SignedRecord<Certificate> | null {
    return this.#certificate
  }

  enterAs(guest: HostSigner | undefined): void {
    this.#guest = guest
  }

  /** What is shown now. Whoever may issue certificates has a good one after it. */
  async proof(): Promise<Proof> {
    const { authority, signer, now } = this.#components
    const known = authority()
    const isMember = known !== undefined && standingOf(known, signer.principal, now()) === 'member'
    if (!isMember && this.#guest !== undefined)
      return { certificate: null, binding: this.#bind(this.#guest), evidence: [] }
    await this.renew()
    const evidence = known === undefined ? [] : await this.#evidenceOf(known)
    // The member's own word goes with every certificate: it holds on when the issuer is cut off, and lets others renew it.
    return { certificate: this.#believed(known)?.bytes ?? null, binding: this.#bind(signer), evidence }
  }

  /** Whether an owner or curator should be asked for a certificate. */
  needsCertificate(): boolean {
    const { authority, signer, now } = this.#components
    const known = authority()
    if (known === undefined || standingOf(known, signer.principal, now()) !== 'member') return false
    if (mayCertifyByName(known, signer.principal, now())) return false
    return this.#isDue(known)
  }

  /** Issues our own, when we may and it is due. @returns true when there is a new one */
  async renew(): Promise<boolean> {
    const { authority, signer, now } = this.#components
    const known = authority()
    const lifeMs = lifeOfOwn(known, signer.principal, now())
    if (lifeMs === undefined || !this.#isDue(known)) return false
    const certificate = this.issue(this.#components.peer, { key: signer.principal, lifeMs })
    await this.#keep(certificate)
    return true
  }

  /** Signs a certificate for a host of a member. Whether we may is for the reader's fold. */
  issue(
    peer: string,
    { key, lifeMs = LIMITS.membership.certificateMs }: { readonly key: Certificate['member']; readonly lifeMs?: number }
  ): Uint8Array {
    const { registry, signer, authority, now } = this.#components
    const issued = now()
    const known = authority()
    const role = known === undefined ? undefined : rolesOfMember(known, key, issued)[0]
    return signer.signCertificate({
      v: 1,
      registry,
      peer,
      member: key,
      role: role ?? 'member',
      issuer: signer.principal,
      issued,
      expires: issued + lifeMs
    })
  }

  /** Takes over a certificate of ours that somebody has issued, when it is better than what is here. */
  async take(bytes: Uint8Array): Promise<boolean> {
    const { authority } = this.#components
    const known = authority()
    const certificate = readCertificate(bytes)
    if (certificate === undefined || known === undefined || !this.#isOurs(certificate.body)) return false
    if (!mayIssue(known, certificate.body, this.#components.now()) || !verifyCertificate(certificate)) return false
    const before = this.#believed(known)
    const isStale = before === null || !mayIssue(known, before.body, this.#components.now())
    if (!isStale && before.body.expires >= certificate.body.expires) return false
    await this.#keep(bytes)
    return true
  }

  /** Of this host and this key, and good by our clock: one that was ahead has dated ours into a time that others refuse. */
  #isOurs({ registry, peer, member, issued, expires }: Certificate): boolean {
    const { now, signer, ...own } = this.#components
    const isInTime = expires > now() && issued <= now() + LIMITS.membership.clockSkewMs
    return isInTime && registry === own.registry && peer === own.peer && member === signer.principal
  }

  /** Ours, as far as others believe it: together with our own word also when its issuer was cut off meanwhile. */
  #believed(authority: Authority | undefined): SignedRecord<Certificate> | null {
    const certificate = this.#certificate
    if (certificate === null || !this.#isOurs(certificate.body)) return null
    if (authority === undefined || mayIssue(authority, certificate.body, this.#components.now())) return certificate
    const { issuer, member } = certificate.body
    return issuer !== member && couldCertify(authority, issuer) ? certificate : null
  }

  /** From a third of its life left on, or when its issuer can no longer vouch for anybody. */
  #isDue(authority: Authority | undefined): boolean {
    const now = this.#components.now()
    const certificate = this.#believed(authority)
    if (certificate === null) return true
    if (authority !== undefined && !mayIssue(authority, certificate.body, now)) return true
    const { issued, expires } = certificate.body
    const { certificateMs, renewFromLeftMs } = LIMITS.membership
    return expires - now <= ((expires - issued) * renewFromLeftMs) / certificateMs
  }

  #bind(signer: HostSigner): Uint8Array {
    const { registry, peer, now } = this.#components
    return signer.signBinding({ v: 1, registry, peer, member: signer.principal, time: now() })
  }

  async #evidenceOf(authority: Authority): Promise<readonly Uint8Array[]> {
    if (this.#evidence?.of === authority) return this.#evidence.envelopes
    const { signer, facts, envelope } = this.#components
    const envelopes = await evidenceOf(authority, signer.principal, { facts: await facts(), envelope })
    this.#evidence = { of: authority, envelopes }
    return envelopes
  }

  async #keep(certificate: Uint8Array): Promise<void> {
    await this.#components.store.putCertificate(certificate)
    this.#certificate = parseCertificate(certificate)
  }
}

/** How long a certificate lives that a key gives itself; undefined when nobody would believe it. */
function lifeOfOwn(authority: Authority | undefined, key: Certificate['member'], now: number): number | undefined {
  // A machine of a day knows no facts yet, and whoever lets it in does.
  if (authority === undefined) return LIMITS.membership.ownCertificateMs
  if (mayCertifyByName(authority, key, now)) return LIMITS.membership.certificateMs
  return holdsExpiringGrant(authority, key, now) ? LIMITS.membership.ownCertificateMs : undefined
}

function readCertificate(bytes: Uint8Array): SignedRecord<Certificate> | undefined {
  try {
    return parseCertificate(bytes)
  } catch (error) {
    if (!isRegistryError(error)) throw error
    return undefined
  }
}
