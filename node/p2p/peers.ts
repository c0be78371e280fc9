import type { Connection } from '@libp2p/interface'
import { RegistryError } from '../../protocol/errors.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import type { Hello } from '../../protocol/hello.ts'
import { ipOf, isPrivateIp } from './address.ts'
import type { Bans } from './bans.ts'
import type { Clock, CutReason, Log, SwarmEvents } from './components.ts'
import { CUT_BELOW } from './conduct.ts'
import type { Conduct } from './conduct.ts'
import type { HelloVerdict } from './hello.ts'
import type { KnownMember } from './membership.ts'

/** A peer that has introduced itself, and the connections on which it did. */
export interface KnownPeer {
  readonly id: string
  readonly hello: Hello
  readonly version: number
  /** Of a private swarm: who it is, and the newest swarm secret that it has. */
  readonly member: KnownMember | undefined
  readonly epoch: number | undefined
  /** Of the swarm secret that the introduction was held under: the newest that both had then. */
  readonly under: Uint8Array | undefined
  readonly connections: ReadonlySet<Connection>
}

export interface PeersComponents {
  readonly bans: Bans
  readonly conduct: Conduct
  readonly clock: Clock
  readonly log: Log
  readonly events: SwarmEvents
  readonly allowPeers: ReadonlySet<string>
  /** All connections of a peer, introduced or not. */
  readonly connectionsOf: (peer: string) => readonly Connection[]
}

/** Who is here, what they have been caught at, and the way out. */
export class Peers {
  readonly #components: PeersComponents
  readonly #known = new Map<string, KnownPeer & { readonly connections: Set<Connection> }>()

  constructor(components: PeersComponents) {
    this.#components = components
  }

  all(): readonly KnownPeer[] {
    return [...this.#known.values()]
  }

  get(peer: string): KnownPeer | undefined {
    return this.#known.get(peer)
  }

  following(registry: RegistryId): readonly KnownPeer[] {
    return this.all().filter(({ hello }) => hello.registries.includes(registry))
  }

  /** A connection to use for a peer that has introduced itself. */
  connection(peer: string): Connection | undefined {
    return [...(this.#known.get(peer)?.connections ?? [])].find(({ status }) => status === 'open')
  }

  onVerdict(connection: Connection, verdict: HelloVerdict): void {
    const id = connection.remotePeer.toString()
    if (!verdict.accepted) {
      this.#components.log.debug('peer not accepted', { peer: id, reason: verdict.reason })
      return
    }
    const before = this.#known.get(id)
    const connections = before?.connections ?? new Set<Connection>()
    connections.add(connection)
    // Map and set stay the same object over several connections; the newest hello is the one that holds.
    const { hello, version, member, epoch, under } = verdict
    this.#known.set(id, { id, hello, version, member, epoch, under, connections })
    connection.addEventListener('close', () => this.#leave(id, connection), { once: true })
    if (connection.status !== 'open') this.#leave(id, connection)
    else if (before === undefined) this.#components.events.onPeer?.(id)
  }

  /** Strikes a peer for something it has been proven to have sent; at eight strikes it is cut. */
  blame(peer: string, reason: CutReason, weight = 1): void {
    const { conduct, clock } = this.#components
    if (conduct.blame(peer, clock.now(), weight) < CUT_BELOW) this.cut(peer, reason)
  }

  /** Ends every connection of a peer now and keeps it out for a while. */
  cut(peer: string, reason: CutReason): void {
    const { bans, clock, log, events, allowPeers, connectionsOf } = this.#components
    if (bans.has(peer, clock.now())) return
    const bannedUntil = bans.ban(peer, clock.now())
    for (const connection of connectionsOf(peer)) {
      const ip = ipOf(connection.remoteAddr)
      // One address may be a whole office: a private one is never banned, and an allow-listed peer bans nobody else.
      if (ip !== undefined && !isPrivateIp(ip) && !allowPeers.has(peer)) bans.ban(`ip:${ip}`, clock.now())
      connection.abort(new RegistryError('PEER_LIED', `cut: ${reason}`))
    }
    log.warn('peer cut', { peer, reason, bannedUntil })
    events.onCut?.({ peer, reason, bannedUntil })
  }

  /**
   * Ends every connection of a peer now, in the middle of whatever is on it. Not a punishment: neither the peer nor its
   * address is kept out here, and it may come again when it is a member again.
   */
  expel(peer: string): void {
    const { log, events, connectionsOf } = this.#components
    for (const connection of connectionsOf(peer)) {
      connection.abort(new RegistryError('NOT_AUTHORIZED', 'the peer is no member of the swarm any more'))
    }
    log.info('peer expelled', { peer })
    events.onExpelled?.(peer)
  }

  #leave(id: string, connection: Connection): void {
    const peer = this.#known.get(id)
    if (peer === undefined || !peer.connections.delete(connection) || peer.connections.size > 0) return
    this.#known.delete(id)
    this.#components.events.onPeerGone?.(id)
  }
}
