import { createHash } from 'node:crypto'
import { generateSecret, principalOf } from '../../attestation/keys.ts'
import type { Secret } from '../../attestation/keys.ts'
import { signCertificate, verifyCertificate } from '../../attestation/sign-membership.ts'
import type { Clock } from '../../node/p2p/components.ts'
import type { HelloSecret, KnownMember, MemberProof, Membership, MemberVerdict } from '../../node/p2p/membership.ts'
import { concatBytes } from '../../protocol/bytes.ts'
import type { Principal } from '../../protocol/did.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parseCertificate } from '../../protocol/membership/certificate.ts'
import type { Certificate } from '../../protocol/membership/certificate.ts'
import { privateKeys, privateNames } from '../../protocol/membership/names.ts'
import type { Role } from '../../protocol/role.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { registryNamed } from './fact-maker.ts'
import { testNode } from './swarm-node.ts'
import type { TestNode, TestNodeOptions } from './swarm-node.ts'
import type { TestClock } from './test-clock.ts'

/** A private registry whose members a test says; what follows from facts elsewhere is a map here. */
export const COMPANY = registryNamed('the company')

export interface Employee {
  readonly key: Principal
  readonly secret: Secret
  readonly role: Role
}

export function employee(name: string, role: Role = 'member'): Employee {
  const secret = generateSecret(createHash('sha256').update(`employee ${name}`).digest())
  return { key: principalOf(secret), secret, role }
}

export const secretOf = (epoch: number): Uint8Array => new Uint8Array(32).fill(epoch)
export const helloSecret = (epoch: number): HelloSecret => ({ epoch, key: privateKeys(secretOf(epoch)).hello })

/** Not the real record of a rotation, whose form the swarm does not look at: the epoch, then the secret. */
export const keyRecord = (epoch: number): Uint8Array => concatBytes([Uint8Array.of(epoch), secretOf(epoch)])

/** What one host of the company knows and decides, for tests to change while it runs. */
export class HostMembership implements Membership {
  readonly peer: string
  readonly self: Employee
  readonly staff: Map<Principal, Role>
  epochs: readonly number[] = [1]
  /** Who may be told first who we are: everybody, unless a test says otherwise. */
  known: ReadonlySet<string> | 'everybody' = 'everybody'
  readonly barred = new Set<string>()
  certificate: Uint8Array | null
  evidence: readonly Uint8Array[] = []
  readonly hosts = new Map<string, Uint8Array>()
  readonly judged: string[] = []
  /** How long the pages were that were taken over from others, and where each page that others asked for began. */
  readonly rosterPages: number[] = []
  readonly rosterAsked: (string | null)[] = []
  readonly askedForCertificate: string[] = []
  now: () => number = () => Date.now()
  readonly #listeners = new Set<() => void>()

  constructor(peer: string, self: Employee, staff: readonly Employee[]) {
    this.peer = peer
    this.self = self
    this.staff = new Map(staff.map(({ key, role }) => [key, role]))
    this.certificate = certificateOf({ peer, member: self.key, issuer: self })
  }

  /** Says that something has changed, as the real one does when facts or certificates have come. */
  changed(): void {
    for (const listener of this.#listeners) listener()
  }

  secrets(): readonly HelloSecret[] {
    return this.epochs.map(helloSecret)
  }

  async proof(): Promise<MemberProof> {
    return { certificate: this.certificate, binding: null, evidence: this.evidence }
  }

  isKnown(peer: string): boolean {
    return this.known === 'everybody' || this.known.has(peer)
  }

  isBarred(peer: string): boolean {
    return this.barred.has(peer)
  }

  async judge(peer: string, { certificate }: MemberProof): Promise<MemberVerdict> {
    this.judged.push(peer)
    if (certificate === null) return { accepted: false, reason: 'invite-over' }
    const signed = parseCertificate(certificate)
    const { member, expires, issuer } = signed.body
    const role = this.staff.get(member)
    if (signed.body.peer !== peer || role === undefined) return { accepted: false, reason: 'not-a-member' }
    if (expires <= this.now()) return { accepted: false, reason: 'expired' }
    if (!verifyCertificate(signed) || !this.staff.has(issuer)) return { accepted: false, reason: 'unknown-issuer' }
    return { accepted: true, member: { key: member, role, until: expires } }
  }

  stands(_peer: string, member: KnownMember): boolean {
    return this.staff.has(member.key) && member.until > this.now()
  }

  async certify(peer: string, { key }: KnownMember): Promise<Uint8Array | undefined> {
    this.askedForCertificate.push(peer)
    if (this.self.role !== 'owner') return undefined
    return certificateOf({ peer, member: key, issuer: this.self, issued: this.now() })
  }

  /** From a third of its life on. */
  needsCertificate(): boolean {
    if (this.certificate === null) return true
    const { issued, expires } = parseCertificate(this.certificate).body
    return expires - this.now() <= (expires - issued) / 3
  }

  async takeCertificate(certificate: Uint8Array): Promise<boolean> {
    this.certificate = certificate
    this.changed()
    return true
  }

  roster(after: string | null): readonly Uint8Array[] {
    this.rosterAsked.push(after)
    const hosts = [...this.hosts].filter(([peer]) => after === null || peer > after)
    return hosts.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, certificate]) => certificate)
  }

  async takeRoster(certificates: readonly Uint8Array[]): Promise<void> {
    this.rosterPages.push(certificates.length)
    for (const bytes of certificates) this.hosts.set(parseCertificate(bytes).body.peer, bytes)
    this.changed()
  }

  swarmKey(): Uint8Array | undefined {
    const [epoch = 1] = this.epochs
    return epoch > 1 ? keyRecord(epoch) : undefined
  }

  doubtsSecret(): boolean {
    return false
  }

  async takeSwarmKey(record: Uint8Array): Promise<void> {
    if (record.length !== 33) throw new RegistryError('MALFORMED', 'not a record of a swarm secret')
    const [newest = 1] = this.epochs
    const epoch = record[0] ?? 0
    if (epoch > newest) this.epochs = [epoch, newest]
    this.changed()
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}

export function certificateOf({
  peer,
  member,
  issuer,
  issued = Date.now() - 1_000,
  lifeMs = LIMITS.membership.certificateMs
}: Pick<Certificate, 'peer' | 'member'> & {
  readonly issuer: Employee
  readonly issued?: number
  readonly lifeMs?: number
}): Uint8Array {
  const body = { v: 1, registry: COMPANY, role: 'member', issued, expires: issued + lifeMs } as const
  return signCertificate({ ...body, peer, member, issuer: issuer.key }, issuer.secret)
}

/** A peer id that nobody has, of the only kind that hosts have. */
export function peerNumbered(i: number): string {
  const digits = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
  const tail = [3, 2, 1, 0].map(place => digits[Math.floor(i / digits.length ** place) % digits.length] ?? '1').join('')
  return `12D3KooW${'A'.repeat(40)}${tail}`
}

/** The clock of a swarm that stands still until a test moves it. */
export function movedBy(time: TestClock): Clock {
  return {
    now: () => time.now(),
    after: (ms, task) => {
      const abort = new AbortController()
      time.after(ms, task, abort.signal)
      return () => abort.abort()
    }
  }
}

export interface CompanyHost {
  readonly node: TestNode
  readonly membership: HostMembership
}

/** A real swarm of the company on 127.0.0.1, run by one of its staff. */
export async function companyHost(
  self: Employee,
  staff: readonly Employee[],
  options: TestNodeOptions & { readonly prepare?: (membership: HostMembership) => void } = {}
): Promise<CompanyHost> {
  const made: HostMembership[] = []
  const node = await testNode({
    registries: [COMPANY],
    ...options,
    config: { name: 'company', names: privateNames(secretOf(1)), ...options.config },
    membership: peer => {
      const membership = new HostMembership(peer, self, staff)
      options.prepare?.(membership)
      made.push(membership)
      return membership
    }
  })
  const [membership] = made
  if (membership === undefined) throw new Error('the swarm took no membership')
  return { node, membership }
}
