import { equalBytes } from '../../protocol/bytes.ts'
import { messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Role } from '../../protocol/role.ts'
import type { Clock, Log } from './components.ts'
import { isLie } from './facts-client.ts'
import { askCertificate, askSwarmKey, readRoster } from './member-client.ts'
import type { Asking } from './member-client.ts'
import type { Membership } from './membership.ts'
import type { KnownPeer, Peers } from './peers.ts'

export interface MemberLineComponents {
  readonly membership: Membership
  readonly peers: Pick<Peers, 'all' | 'get' | 'connection' | 'blame'>
  readonly clock: Clock
  readonly log: Log
}

const ISSUERS: readonly Role[] = ['owner', 'curator']

/**
 * What the hosts of a private swarm ask each other of their own accord: a newer swarm secret, a certificate, who else is
 * there. Whoever is here is visited when it comes, when something has changed and at intervals; a visit at which nothing
 * is due asks nothing.
 *
 * Invariants:
 * 1. One visit to a peer at a time.
 * 2. A roster is read at most once in `rosterEveryMs` of each peer; nobody is asked twice within `recheckMs` for a
 *    certificate or a secret on one connection.
 * 3. A certificate of ours that holds for long enough is not asked for, and neither is a secret that we have.
 */
export class MemberLine {
  readonly #components: MemberLineComponents
  readonly #visits = new Map<string, Promise<void>>()
  /** Peers that are to be visited once more when the visit that runs is over. */
  readonly #again = new Set<string>()
  /** When each peer was last asked for a roster, also of those who left: coming again must not cost a walk each time. */
  readonly #rosters = new Map<string, number>()
  readonly #asked = new Map<string, { certificate?: number; secret?: number }>()
  readonly #abort = new AbortController()
  #stopListening: () => void = () => {}
  #cancel: () => void = () => {}

  constructor(components: MemberLineComponents) {
    this.#components = components
  }

  start(): void {
    this.#stopListening = this.#components.membership.onChange(() => this.#visitAll())
    this.#later()
  }

  async stop(): Promise<void> {
    this.#stopListening()
    this.#cancel()
    this.#abort.abort()
    await Promise.all(this.#visits.values())
  }

  onPeer(peer: string): void {
    this.#visit(peer)
  }

  onPeerGone(peer: string): void {
    this.#asked.delete(peer)
  }

  #visitAll(): void {
    for (const { id } of this.#components.peers.all()) this.#visit(id)
  }

  #later(): void {
    this.#cancel = this.#components.clock.after(LIMITS.membership.recheckMs, () => {
      this.#visitAll()
      this.#later()
    })
  }

  #visit(peer: string): void {
    if (this.#abort.signal.aborted) return
    if (this.#visits.has(peer)) return void this.#again.add(peer)
    const visit = this.#ask(peer).finally(() => {
      this.#visits.delete(peer)
      if (this.#again.delete(peer)) this.#visit(peer)
    })
    this.#visits.set(peer, visit)
  }

  /** Never throws. */
  async #ask(peer: string): Promise<void> {
    const { peers, log } = this.#components
    for (const step of [this.#secret, this.#certificate, this.#roster]) {
      const known = peers.get(peer)
      if (known === undefined || this.#abort.signal.aborted) return
      try {
        await step(known)
      } catch (error) {
        log.debug('a member could not be asked', { peer, error: messageOf(error) })
        if (isLie(error)) peers.blame(peer, 'malformed-message')
      }
    }
  }

  readonly #secret = async (peer: KnownPeer): Promise<void> => {
    const { membership } = this.#components
    const { id } = peer
    if (!this.#hasOther(peer) || !this.#mayAsk(id, 'secret')) return
    const record = await this.#with(id, askSwarmKey)
    if (record !== undefined) await membership.takeSwarmKey(record)
  }

  /**
   * Has a peer a secret that we should have? Two owners who rotate at about the same time make two of one epoch: then both
   * sides ask, and the records decide. Attack: who is an owner no longer gives a secret of its own to whoever has not heard
   * of that, and of an epoch so high that everybody else's is older.
   */
  #hasOther({ epoch, under }: KnownPeer): boolean {
    const { membership } = this.#components
    const [ours] = membership.secrets()
    if (epoch === undefined || ours === undefined) return false
    if (epoch > ours.epoch) return true
    const isShared = under !== undefined && equalBytes(under, ours.key)
    return !isShared && (epoch === ours.epoch || membership.doubtsSecret())
  }

  readonly #certificate = async ({ id, member }: KnownPeer): Promise<void> => {
    const { membership, log } = this.#components
    if (member === undefined || !ISSUERS.includes(member.role)) return
    if (!membership.needsCertificate() || !this.#mayAsk(id, 'certificate')) return
    const certificate = await this.#with(id, askCertificate)
    if (certificate === undefined || (await membership.takeCertificate(certificate))) return
    log.warn('a certificate is of no use', { peer: id })
  }

  readonly #roster = async ({ id }: KnownPeer): Promise<void> => {
    const { membership, clock } = this.#components
    const { rosterEveryMs, peersTracked } = LIMITS.membership
    const now = clock.now()
    if (now - (this.#rosters.get(id) ?? -Infinity) < rosterEveryMs) return
    this.#rosters.delete(id)
    this.#rosters.set(id, now)
    if (this.#rosters.size > peersTracked) {
      const oldest = this.#rosters.keys().next().value
      if (oldest !== undefined) this.#rosters.delete(oldest)
    }
    const read = await this.#with(
      id,
      async asking => await readRoster(asking, async page => await membership.takeRoster(page))
    )
    // A busy peer is asked again sooner.
    if (read === false) this.#rosters.set(id, now - rosterEveryMs + LIMITS.membership.recheckMs)
  }

  #mayAsk(peer: string, what: 'certificate' | 'secret'): boolean {
    const now = this.#components.clock.now()
    const asked = this.#asked.get(peer) ?? {}
    if (now - (asked[what] ?? -Infinity) < LIMITS.membership.recheckMs) return false
    this.#asked.set(peer, { ...asked, [what]: now })
    return true
  }

  async #with<T>(peer: string, ask: (asking: Asking) => Promise<T>): Promise<T | undefined> {
    const connection = this.#components.peers.connection(peer)
    if (connection === undefined) return undefined
    return await ask({ connection, clock: this.#components.clock, signal: this.#abort.signal })
  }
}
