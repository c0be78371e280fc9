import { setImmediate } from 'node:timers/promises'
import type { Authority } from '../../../protocol/authority.ts'
import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { Subject } from '../../../protocol/fact.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { parseCertificate } from '../../../protocol/membership/certificate.ts'
import type { Certificate } from '../../../protocol/membership/certificate.ts'
import { mayCertify, mayCertifyByName, mayCertifyMember, standingOf } from '../../../protocol/membership/members.ts'
import type { Standing } from '../../../protocol/membership/members.ts'
import type { SignedRecord } from '../../../protocol/membership/signed-record.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import { Credentials } from './credentials.ts'
import { Recent } from './recent.ts'
import { readPage } from './roster-page.ts'
import { Roster } from './roster.ts'
import { Secrets } from './secrets.ts'
import type { SecretOfHello } from './secrets.ts'
import { certificateHolds, readShowing } from './showing.ts'
import type { Proof, Showing } from './showing.ts'
import { ShownFacts } from './shown-facts.ts'
import type { ShownFactsComponents } from './shown-facts.ts'
import type { HostSigner, MemberSigner } from './signer.ts'
import type { SwarmStore } from './swarm-store.ts'
import { mayIssue, refuse, weigh } from './weigh.ts'
import type { Accepted, Verdict } from './weigh.ts'

type State = NonNullable<ReturnType<ShownFactsComponents['gate']['state']>> & {
  factsOf(subject: Subject): Promise<readonly VerifiedFact[]>
}

export interface MembersComponents {
  readonly registry: RegistryId
  /** Our own host. */
  readonly peer: string
  readonly signer: MemberSigner
  readonly gate: Pick<ShownFactsComponents['gate'], 'admitMany'> & { state(registry: RegistryId): State | undefined }
  readonly store: SwarmStore
  readonly envelope: (id: FactId) => Promise<Uint8Array | undefined>
  /** When the registry was last compared to the end with somebody; undefined when it never was since the start. */
  readonly comparedAt: () => number | undefined
  readonly announce: ShownFactsComponents['announce']
  /** Peers that the operator has named. */
  readonly isConfigured: (peer: string) => boolean
  /** Peers that have introduced themselves and are connected. */
  readonly connected: () => Iterable<string>
  readonly clock: Pick<Clock, 'now' | 'every'>
  readonly log: Log
}

/**
 * Who is in a private swarm, as its own host sees it: `Membership` of `node/p2p/membership.ts`.
 *
 * Invariants:
 * 1. Nothing is remembered of what a host may do. What it has shown is, and is weighed again against the facts whenever
 *    somebody asks.
 * 2. A certificate is issued only to a host whose member has said that it is his: an issuer that is cut off later leaves
 *    nothing behind that others have repeated.
 * 3. Everything that grows with what strangers send has a bound.
 */
export class MembersOfSwarm {
  readonly hosts: Roster
  readonly keys: Secrets
  readonly credentials: Credentials
  readonly #components: MembersComponents
  readonly #vouched: ReadonlySet<string>
  readonly #listeners = new Set<() => void>()
  readonly #shownFacts: ShownFacts
  readonly #shown = new Recent<string, Showing>(LIMITS.membership.shownHosts)
  /** Hosts of expelled members that no row names. */
  readonly #refused = new Recent<string, Principal>(LIMITS.membership.shownHosts)
  /** Certified keys that no fact here names, and since when. */
  readonly #unknown = new Recent<Principal, number>(LIMITS.membership.unknownMembers)
  /** Rows of members that no fact here names yet, as others told them: whoever joins is told of hosts before facts. */
  readonly #early = new Recent<string, SignedRecord<Certificate>>(LIMITS.membership.unknownMembers)
  /** To which comparison they were held last. */
  #heldAt: number | undefined

  private constructor(
    components: MembersComponents,
    parts: { hosts: Roster; keys: Secrets; credentials: Credentials; vouched: ReadonlySet<string> }
  ) {
    this.#components = components
    this.hosts = parts.hosts
    this.keys = parts.keys
    this.credentials = parts.credentials
    this.#vouched = parts.vouched
    this.#shownFacts = new ShownFacts(components)
  }

  static async open(components: MembersComponents): Promise<MembersOfSwarm> {
    const { registry, peer, signer, gate, store, envelope, clock, log } = components
    const record = await store.read()
    const now = (): number => clock.now()
    const authority = (): Authority | undefined => gate.state(registry)?.authority
    const facts = async (): Promise<readonly VerifiedFact[]> => (await gate.state(registry)?.factsOf('registry')) ?? []
    const own = { registry, peer, signer, store, authority, facts, envelope, now }
    const onFailed = (error: unknown): void => log.warn({ error }, 'the roster of a swarm could not be written')
    return new MembersOfSwarm(components, {
      hosts: await Roster.open({ store, onFailed }),
      keys: new Secrets({ registry, store, authority, now }, record.secrets),
      credentials: new Credentials(own, record.certificate),
      vouched: new Set(record.vouched.map(address => address.slice(address.lastIndexOf('/') + 1)))
    })
  }

  /** Looks at everything each minute, until the signal is aborted. */
  start(signal: AbortSignal): void {
    this.#components.clock.every(LIMITS.membership.recheckMs, () => this.recheck(), signal)
  }

  /** Call it whenever facts about the registry came in. Renews what is due, and tells whoever listens. */
  async recheck(): Promise<void> {
    const now = this.#components.clock.now()
    for (const peer of this.#components.connected()) {
      const showing = this.#shown.get(peer)
      if (showing !== undefined && this.#weigh(showing).accepted) this.#noteSeen(showing, now)
    }
    this.hosts.prune(now, member => (this.#standing(member) ?? 'member') === 'member')
    await this.#learnEarly()
    try {
      await this.credentials.renew()
    } catch (error) {
      this.#components.log.warn({ error }, 'a certificate of ours could not be kept')
    }
    this.#noteOwn(now)
    this.#tell()
  }

  /** Lets this host in by an invite, for as long as our own key is no member. */
  enterAs(guest: HostSigner | undefined): void {
    this.credentials.enterAs(guest)
    this.#tell()
  }

  secrets(): readonly SecretOfHello[] {
    return this.keys.forHello()
  }

  proof(): Promise<Proof> {
    return this.credentials.proof()
  }

  /** Should an owner or curator be asked for a certificate? */
  needsCertificate(): boolean {
    return this.credentials.needsCertificate()
  }

  isKnown(peer: string): boolean {
    // Attack: who was expelled waits at the address that the configuration names, to be told who comes.
    if (this.isBarred(peer)) return false
    if (this.#vouched.has(peer) || this.#components.isConfigured(peer)) return true
    const host = this.hosts.get(peer)
    if (host === undefined || this.#standing(host.member) !== 'member') return false
    return host.lastSeen !== null || this.#isGood(host.certificate)
  }

  isBarred(peer: string): boolean {
    const host = this.hosts.get(peer)
    // Attack: an issuer says that an honest host is that of somebody who soon is a member no longer. What others say of a
    // host keeps nobody out: it was not there to show whose it is.
    const member = host === undefined || host.lastSeen === null ? this.#refused.get(peer) : host.member
    if (member === undefined) return false
    const standing = this.#standing(member)
    return standing === 'ended' || standing === 'expired'
  }

  async judge(peer: string, proof: Proof, signal: AbortSignal): Promise<Verdict> {
    const { registry, clock } = this.#components
    const { evidenceFacts, evidenceBytes } = LIMITS.membership
    const bytes = proof.evidence.reduce((sum, { length }) => sum + length, 0)
    const showing = readShowing(proof, { registry, peer })
    if (showing === undefined || proof.evidence.length > evidenceFacts || bytes > evidenceBytes)
      return refuse('not-a-member')
    const evidence = signal.aborted ? [] : proof.evidence
    const verdict = await this.#shownFacts.judge(showing, evidence, authority => this.#weigh(showing, authority))
    if (verdict.accepted) {
      this.#shown.set(peer, showing)
      this.#refused.delete(peer)
      this.#noteSeen(showing, clock.now())
    } else if (verdict.reason === 'not-a-member' && this.#standing(showing.member) === 'ended') {
      this.#refused.set(peer, showing.member)
    }
    return verdict
  }

  stands(peer: string, member: Accepted): boolean {
    const showing = this.#shown.get(peer)
    if (showing?.member === member.key) return this.#weigh(showing).accepted
    return this.#standing(member.key) === 'member' && member.until > this.#components.clock.now()
  }

  async certify(peer: string, member: Accepted): Promise<Uint8Array | undefined> {
    const { signer, clock } = this.#components
    const showing = this.#shown.get(peer)
    const authority = this.#authority
    const now = clock.now()
    if (showing?.member !== member.key || authority === undefined) return undefined
    const issuing = { issuer: signer.principal, member: member.key }
    if (!mayCertifyMember(authority, issuing, now) || standingOf(authority, member.key, now) !== 'member')
      return undefined
    // Without the member's own word nobody is accepted. Attack: an issuer that is cut off tomorrow certifies a stranger's
    // host, which asks others to say so too today.
    if (!this.#weigh(showing).accepted) return undefined
    const known = this.hosts.get(peer)?.certificate
    const isOurs = known?.body.issuer === signer.principal && known.body.member === member.key
    if (isOurs && known.body.expires - now > LIMITS.membership.renewFromLeftMs) return known.bytes
    // Attack: a member has hosts without end certified, and fills the rosters of all with them.
    if (this.hosts.certifiedBeside(peer, member.key, now) >= LIMITS.membership.hostsPerMember - 1) return undefined
    const certificate = this.credentials.issue(peer, { key: member.key })
    this.hosts.seen({ peer, member: member.key, certificate: parseCertificate(certificate), lastSeen: now })
    return certificate
  }

  async takeCertificate(certificate: Uint8Array): Promise<boolean> {
    const taken = await this.credentials.take(certificate)
    if (taken) {
      this.#noteOwn(this.#components.clock.now())
      this.#tell()
    }
    return taken
  }

  roster(after: string | null): readonly Uint8Array[] {
    const page: Uint8Array[] = []
    for (const { member, certificate } of this.hosts.after(after)) {
      if (page.length >= LIMITS.membership.rosterPage) break
      if (certificate === null || this.#standing(member) !== 'member') continue
      if (this.#isGood(certificate) && this.#isForAll(certificate.body)) page.push(certificate.bytes)
    }
    return page
  }

  async takeRoster(certificates: readonly Uint8Array[]): Promise<void> {
    const { registry, peer } = this.#components
    const others = readPage(certificates, registry).filter(({ body }) => body.peer !== peer)
    for (const certificate of others) {
      const standing = this.#standing(certificate.body.member)
      const isEarly = standing === undefined || standing === 'unknown'
      if (isEarly && this.hosts.isNews(certificate)) this.#early.set(certificate.body.peer, certificate)
    }
    if (await this.#learn(others)) this.#tell()
  }

  swarmKey(): Uint8Array | undefined {
    return this.keys.current.record ?? undefined
  }

  doubtsSecret(): boolean {
    return this.keys.isDoubtful
  }

  async takeSwarmKey(record: Uint8Array): Promise<void> {
    if (await this.keys.take(record)) this.#tell()
  }

  /** Listeners must not throw. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  get #authority(): Authority | undefined {
    const { gate, registry } = this.#components
    return gate.state(registry)?.authority
  }

  #standing(key: Principal): Standing | undefined {
    const authority = this.#authority
    return authority === undefined ? undefined : standingOf(authority, key, this.#components.clock.now())
  }

  #weigh(showing: Showing, authority = this.#authority): Verdict {
    const { clock, signer } = this.#components
    const now = clock.now()
    return weigh(showing, {
      authority,
      now,
      isIssuer: authority !== undefined && mayCertify(authority, signer.principal, now),
      isVouched: this.#vouched.has(showing.peer),
      isOverdue: key => this.#isOverdue(key)
    })
  }

  /** Facts travel apart from certificates: who is certified and not in them yet is given the time they take. */
  #isOverdue(key: Principal): boolean {
    const { clock, comparedAt } = this.#components
    const now = clock.now()
    const since = this.#unknown.get(key)
    if (since === undefined) {
      this.#unknown.set(key, now)
      return false
    }
    const compared = comparedAt()
    return compared !== undefined && compared > since && now - since >= LIMITS.membership.graceMs
  }

  /** Would a certificate be believed today? Its signature is not looked at. */
  #isGood(certificate: SignedRecord<Certificate> | null): boolean {
    const authority = this.#authority
    const now = this.#components.clock.now()
    if (certificate === null || authority === undefined) return false
    const { body } = certificate
    const isInTime = body.expires > now && body.issued <= now + LIMITS.membership.clockSkewMs
    return isInTime && mayIssue(authority, body, now)
  }

  /** Attack: a member for a time, who certifies itself, fills the rosters of all with hosts that it made up. */
  #isForAll({ issuer, member }: Certificate): boolean {
    const authority = this.#authority
    if (issuer !== member) return true
    return authority !== undefined && mayCertifyByName(authority, issuer, this.#components.clock.now())
  }

  /** Takes over what is news and holds; whether anything was. */
  async #learn(certificates: readonly SignedRecord<Certificate>[]): Promise<boolean> {
    const good: SignedRecord<Certificate>[] = []
    for (const certificate of certificates) {
      if (!this.hosts.isNews(certificate) || !this.#isForAll(certificate.body)) continue
      if (this.#standing(certificate.body.member) !== 'member' || !this.#isGood(certificate)) continue
      // Signature checks are 0.2 ms each: let the network breathe.
      if (good.length % 16 === 15) await setImmediate()
      if (certificateHolds(certificate)) good.push(certificate)
    }
    if (good.length > 0) this.hosts.learn(good)
    return good.length > 0
  }

  /** What came before the facts is looked at again when the set was compared with somebody meanwhile, and not more often. */
  async #learnEarly(): Promise<void> {
    const compared = this.#components.comparedAt()
    if (compared === undefined || compared === this.#heldAt) return
    this.#heldAt = compared
    const early = [...this.#early.values()]
    await this.#learn(early)
    for (const { body } of early) {
      const standing = this.#standing(body.member)
      if (standing !== undefined && standing !== 'unknown') this.#early.delete(body.peer)
    }
  }

  #noteSeen({ peer, member, certificate }: Showing, now: number): void {
    if (this.#standing(member) === 'member') this.hosts.seen({ peer, member, certificate, lastSeen: now })
  }

  /** Others hear of our host as of everybody's. */
  #noteOwn(now: number): void {
    const { peer, signer } = this.#components
    const { certificate } = this.credentials
    if (this.#standing(signer.principal) === 'member')
      this.hosts.seen({ peer, member: signer.principal, certificate, lastSeen: now })
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}
