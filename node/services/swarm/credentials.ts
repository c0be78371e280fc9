import { verifyCertificate } from '../../../attestation/sign-membership.ts'
import type { Authority } from '../../../protocol/authority.ts'
import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import { isRegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { parseCertificate } from '../../../protocol/membership/certificate.ts'
import type { Certificate } from '../../../protocol/membership/certificate.ts'
import { mayCertify, rolesOfMember, standingOf } from '../../../protocol/membership/members.ts'
import type { SignedRecord } from '../../../protocol/membership/signed-record.ts'
import { evidenceOf } from './evidence.ts'
import type { Proof } from './showing.ts'
import type { HostSigner, MemberSigner } from './signer.ts'
import { holdsExpiringGrant } from './standings.ts'
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
    const { authority, signer } = this.#components
    await this.renew()
    const known = authority()
    const isMember = known !== undefined && standingOf(known, signer.principal, this.#components.now()) === 'member'
    if (!isMember && this.#guest !== undefined)
      return { certificate: null, binding: this.#bind(this.#guest), evidence: [] }
    const evidence = known === undefined ? [] : await this.#evidenceOf(known)
    // The member's own word goes with every certificate: it holds on when the issuer is cut off, and lets others renew it.
    return { certificate: this.#shown()?.bytes ?? null, binding: this.#bind(signer), evidence }
  }

  /** Whether an owner or curator should be asked for a certificate. */
  needsCertificate(): boolean {
    const { authority, signer, now } = this.#components
    const known = authority()
    if (known === undefined || standingOf(known, signer.principal, now()) !== 'member') return false
    if (mayCertify(known, signer.principal, now())) return false
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
    const before = this.#shown()
    const isBetter = before === null || this.#isStale(before, known) || before.body.expires < certificate.body.expires
    if (!isBetter) return false
    await this.#keep(bytes)
    return true
  }

  #isOurs({ registry, peer, member, issued, expires }: Certificate): boolean {
    const { now, signer, ...own } = this.#components
    const isInTime = expires > now() && issued <= now() + LIMITS.membership.clockSkewMs
    return isInTime && registry === own.registry && peer === own.peer && member === signer.principal
  }

  /** Ours, unless it is over. */
  #shown(): SignedRecord<Certificate> | null {
    const certificate = this.#certificate
    return certificate === null || certificate.body.expires <= this.#components.now() ? null : certificate
  }

  /** From a third of its life left on, or when its issuer can no longer vouch for anybody. */
  #isDue(authority: Authority | undefined): boolean {
    const certificate = this.#shown()
    if (certificate === null || this.#isStale(certificate, authority)) return true
    const { issued, expires } = certificate.body
    const { certificateMs, renewFromLeftMs } = LIMITS.membership
    return expires - this.#components.now() <= ((expires - issued) * renewFromLeftMs) / certificateMs
  }

  #isStale({ body }: SignedRecord<Certificate>, authority: Authority | undefined): boolean {
    // Attack: none, but a clock that was ahead has dated ours into a time that others refuse.
    if (body.issued > this.#components.now() + LIMITS.membership.clockSkewMs) return true
    return !this.#isOurs(body) || (authority !== undefined && !mayIssue(authority, body, this.#components.now()))
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
  if (mayCertify(authority, key, now)) return LIMITS.membership.certificateMs
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
