import type { Connection } from '@libp2p/interface'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'
import type { KnownMember, Membership } from './membership.ts'
import type { Peers } from './peers.ts'

export interface StandingComponents {
  readonly membership: Membership
  readonly peers: Peers
  readonly clock: Clock
  /** All connections, introduced or not. */
  readonly connections: () => readonly Connection[]
}

/** Looks again and again whether everybody who was let in is still a member, and ends the connections of who is not. */
export class Standing {
  readonly #components: StandingComponents
  #stopListening: () => void = () => {}
  #cancel: () => void = () => {}

  constructor(components: StandingComponents) {
    this.#components = components
  }

  start(): void {
    this.#stopListening = this.#components.membership.onChange(() => void this.recheck())
    this.#later()
  }

  stop(): void {
    this.#stopListening()
    this.#cancel()
  }

  /** Looks at everybody now; returns how many peers were cut. Nothing is awaited: when it returns, they are cut. */
  recheck(): number {
    const { membership, peers, connections } = this.#components
    const fallen = new Set<string>()
    for (const { id, member } of peers.all()) {
      if (member === undefined || !membership.stands(id, member)) fallen.add(id)
    }
    // Also whoever is in the middle of an introduction: it would be let in by what was true when it was judged.
    for (const { remotePeer } of connections()) {
      const peer = remotePeer.toString()
      if (membership.isBarred(peer)) fallen.add(peer)
    }
    for (const peer of fallen) peers.expel(peer)
    return fallen.size
  }

  /** Membership may have ended between the judgement and the last word of the introduction. */
  stillStands(peer: string, member: KnownMember | undefined): boolean {
    const { membership, peers } = this.#components
    const stands = member !== undefined && !membership.isBarred(peer) && membership.stands(peer, member)
    if (!stands) peers.expel(peer)
    return stands
  }

  #later(): void {
    this.#cancel = this.#components.clock.after(LIMITS.membership.recheckMs, () => {
      this.recheck()
      this.#later()
    })
  }
}
