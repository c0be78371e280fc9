import { compareText, equalBytes } from '../../../protocol/bytes.ts'
import type { Principal } from '../../../protocol/did.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { parseCertificate } from '../../../protocol/membership/certificate.ts'
import type { Certificate } from '../../../protocol/membership/certificate.ts'
import type { SignedRecord } from '../../../protocol/membership/signed-record.ts'
import type { RosterRow, SwarmStore } from './swarm-store.ts'

/** A host of a member, as it is known here. */
export interface Host {
  readonly peer: string
  readonly member: Principal
  readonly certificate: SignedRecord<Certificate> | null
  /** When it proved itself to us last; null for who is only known from others. */
  readonly lastSeen: number | null
}

export interface RosterComponents {
  readonly store: Pick<SwarmStore, 'roster' | 'putRoster' | 'deleteRoster'>
  readonly onFailed: (error: unknown) => void
}

/**
 * The hosts of a swarm that showed themselves here or were passed on: who may be shown something first, whose host is
 * whose, and who was seen when. A cache with a bound, and no authority: each row is held against the facts when it is used.
 *
 * Invariants:
 * 1. What a host has shown of itself is not overwritten by what others say whose it is, and makes no room for it.
 * 2. No member has more than `LIMITS.membership.hostsPerMember` rows: whoever may certify, or has many hosts, takes no
 *    room from others.
 * 3. Memory is ahead of the store by writes under way, and those are made in turn.
 */
export class Roster {
  readonly #components: RosterComponents
  readonly #hosts = new Map<string, Host>()
  /** Peer ids by member. */
  readonly #byMember = new Map<Principal, Set<string>>()
  /** Peer ids in their order; undefined after a host came or went. */
  #sorted: readonly string[] | undefined
  #last: Promise<void> = Promise.resolve()

  private constructor(components: RosterComponents) {
    this.#components = components
  }

  static async open(components: RosterComponents): Promise<Roster> {
    const roster = new Roster(components)
    for (const { certificate, ...row } of await components.store.roster()) {
      roster.#set({ ...row, certificate: certificate === null ? null : parseCertificate(certificate) })
    }
    return roster
  }

  get(peer: string): Host | undefined {
    return this.#hosts.get(peer)
  }

  all(): IterableIterator<Host> {
    return this.#hosts.values()
  }

  of(member: Principal): readonly Host[] {
    return [...(this.#byMember.get(member) ?? [])].flatMap(peer => this.#hosts.get(peer) ?? [])
  }

  /** How many other hosts of a member have a certificate that is not over. */
  certifiedBeside(peer: string, member: Principal, now: number): number {
    return this.of(member).filter(host => host.peer !== peer && (host.certificate?.body.expires ?? 0) > now).length
  }

  /** In the order of their peer ids, those after the one named. */
  *after(peer: string | null): Generator<Host> {
    this.#sorted ??= [...this.#hosts.keys()].toSorted(compareText)
    for (const at of this.#sorted.slice(peer === null ? 0 : firstAfter(this.#sorted, peer))) {
      const host = this.#hosts.get(at)
      if (host !== undefined) yield host
    }
  }

  /** A host proved itself to us. */
  seen(host: Host & { readonly lastSeen: number }): void {
    const before = this.#hosts.get(host.peer)
    const isSame = before?.member === host.member
    const certificate = isSame ? later(before.certificate, host.certificate) : host.certificate
    this.#set({ ...host, certificate })
    const isFresh = isSame && before.lastSeen !== null && host.lastSeen - before.lastSeen < LIMITS.membership.graceMs
    // A peer that connects again and again costs no write each time.
    if (!isFresh || !isEqual(before.certificate, certificate)) this.#write([{ ...host, certificate }])
  }

  /** Certificates that hold, passed on by others. */
  learn(certificates: readonly SignedRecord<Certificate>[]): void {
    const fresh: Host[] = []
    for (const certificate of certificates) {
      const { peer, member } = certificate.body
      const before = this.#hosts.get(peer)
      if (!this.isNews(certificate)) continue
      const host = { peer, member, certificate, lastSeen: before?.lastSeen ?? null }
      this.#set(host)
      fresh.push(host)
    }
    if (fresh.length > 0) this.#write(fresh)
  }

  /** Would a certificate tell something that is not known here? Asked before its signature is looked at. */
  isNews({ body }: SignedRecord<Certificate>): boolean {
    const before = this.#hosts.get(body.peer)
    // Attack: whoever may certify gives the host of an honest member to one that was expelled.
    if (before !== undefined && before.lastSeen !== null && before.member !== body.member) return false
    if (before?.member !== body.member && !this.#hasRoom(body.member, before !== undefined)) return false
    if (before === undefined) return true
    return before.certificate === null || before.certificate.body.expires < body.expires
  }

  /**
   * Forgets hosts that were neither seen nor certified for as long as a certificate lives, and those of nobody who is in
   * that were never seen. A host that showed itself is kept: by it who was put out is known again.
   */
  prune(now: number, isIn: (member: Principal) => boolean): void {
    const old = [...this.#hosts.values()].filter(({ member, lastSeen, certificate }) => {
      if (lastSeen === null && !isIn(member)) return true
      const last = Math.max(lastSeen ?? 0, certificate?.body.expires ?? 0)
      return last + LIMITS.membership.certificateMs < now
    })
    this.#forget(old)
  }

  /** Resolves when all that was said so far is in the store, or has failed to get there. */
  settled(): Promise<void> {
    return this.#last
  }

  #set(host: Host): void {
    const before = this.#hosts.get(host.peer)
    if (before?.member !== host.member) {
      const own = this.of(host.member)
      if (own.length >= LIMITS.membership.hostsPerMember) this.#forget(leastOf(own))
      if (before === undefined && this.#hosts.size >= LIMITS.membership.members) this.#makeRoom()
      if (before !== undefined) this.#unlist(before)
      const peers = this.#byMember.get(host.member) ?? new Set()
      this.#byMember.set(host.member, peers.add(host.peer))
    }
    if (before === undefined) this.#sorted = undefined
    this.#hosts.set(host.peer, host)
  }

  /** Is there room for a host of a member that others speak of? */
  #hasRoom(member: Principal, isThere: boolean): boolean {
    const own = this.#byMember.get(member)?.size ?? 0
    if (own >= LIMITS.membership.hostsPerMember) return false
    return isThere || this.#hosts.size < LIMITS.membership.members || (this.#mostUnmet()?.rows ?? 0) > own + 1
  }

  /**
   * Who is only known from others goes first, of the member of whom there is most. Attack: an issuer makes hosts up until
   * nothing is learned of honest ones. Then who was seen longest ago.
   */
  #makeRoom(): void {
    const unmet = this.#mostUnmet()?.host
    this.#forget(unmet === undefined ? leastOf([...this.#hosts.values()]) : [unmet])
  }

  #mostUnmet(): { readonly host: Host; readonly rows: number } | undefined {
    let most: { readonly host: Host; readonly rows: number } | undefined
    for (const host of this.#hosts.values()) {
      if (host.lastSeen !== null) continue
      const rows = this.#byMember.get(host.member)?.size ?? 0
      if (most === undefined || rows > most.rows) most = { host, rows }
    }
    return most
  }

  #forget(hosts: readonly Host[]): void {
    if (hosts.length === 0) return
    for (const host of hosts) {
      this.#hosts.delete(host.peer)
      this.#unlist(host)
    }
    this.#sorted = undefined
    this.#inTurn(() => this.#components.store.deleteRoster(hosts.map(({ peer }) => peer)))
  }

  #unlist({ peer, member }: Host): void {
    const peers = this.#byMember.get(member)
    peers?.delete(peer)
    if (peers?.size === 0) this.#byMember.delete(member)
  }

  #write(hosts: readonly Host[]): void {
    const rows = hosts.map(({ certificate, ...host }): RosterRow => ({
      ...host,
      certificate: certificate?.bytes ?? null
    }))
    this.#inTurn(() => this.#components.store.putRoster(rows))
  }

  /** A row that is not written is learned again: nothing else depends on it. */
  #inTurn(task: () => Promise<void>): void {
    this.#last = this.#last.then(task).catch((error: unknown) => this.#components.onFailed(error))
  }
}

/** The host that is missed least: one that was never seen, then one without a certificate, then the one seen longest ago. */
function leastOf(hosts: readonly Host[]): readonly Host[] {
  const rank = ({ lastSeen, certificate }: Host): number => (lastSeen === null ? 0 : certificate === null ? 1 : 2)
  let least: Host | undefined
  for (const host of hosts) {
    const by = least === undefined ? -1 : rank(host) - rank(least) || (host.lastSeen ?? 0) - (least.lastSeen ?? 0)
    if (by < 0) least = host
  }
  return least === undefined ? [] : [least]
}

/** The index of the first text that sorts after another. */
function firstAfter(sorted: readonly string[], text: string): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareText(sorted[middle] ?? '', text) <= 0) low = middle + 1
    else high = middle
  }
  return low
}

function later(
  a: SignedRecord<Certificate> | null,
  b: SignedRecord<Certificate> | null
): SignedRecord<Certificate> | null {
  if (a === null || b === null) return a ?? b
  return b.body.expires >= a.body.expires ? b : a
}

function isEqual(a: SignedRecord<Certificate> | null, b: SignedRecord<Certificate> | null): boolean {
  return a === b || (a !== null && b !== null && equalBytes(a.bytes, b.bytes))
}
