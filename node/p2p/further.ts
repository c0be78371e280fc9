import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import { toLink } from '../../protocol/cid.ts'
import type { ContentId } from '../../protocol/cid.ts'
import type { NamedPeer } from '../../protocol/dag/messages.ts'
import { messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { firstIpOf, isPrivateIp, needsDns } from './address.ts'
import type { Clock, Log } from './components.ts'
import { deadline } from './deadline.ts'
import type { Peers } from './peers.ts'
import type { ContentRouting } from './routing.ts'

/** Finds and reaches peers that are not here. Nothing of it throws, and each of it ends. */
export interface Further {
  /** Asks the DHT who has a root, and connects to some of them, to each as soon as it is named; told of each that is here. */
  find(root: ContentId, signal: AbortSignal, onHere?: (peer: string) => void): Promise<readonly string[]>
  /** Connects to a peer that somebody has named. */
  reach(peer: NamedPeer, signal: AbortSignal): Promise<void>
  /** Connects to a peer that was here before, where it was; resolves to whether it is here. */
  again(peer: string, signal: AbortSignal): Promise<boolean>
}

export interface FurtherComponents {
  readonly routing: Pick<ContentRouting, 'findProviders'>
  readonly peers: Pick<Peers, 'all' | 'connection'>
  readonly clock: Clock
  readonly log: Log
  /** See CheckedConfig: on the internet a private address that somebody names is not dialled. */
  readonly internet: boolean
  /** Where a peer was that was here, without its id at the end; nowhere for one that is not to be looked for. */
  readonly addressesOf: (peer: string) => readonly string[]
  /** Dials and waits for the introduction; without addresses those that are known of the peer. */
  readonly dial: (peer: string, addresses: readonly Multiaddr[], signal: AbortSignal) => Promise<void>
}

/**
 * The way to peers that are not here and may have some content: those that the DHT names, and those that a peer without
 * room names. Who is dialled proves who it is in the handshake, and is introduced like anybody.
 */
export function furtherPeers(components: FurtherComponents): Further {
  const { routing, peers, clock, log, internet, dial } = components
  const reach = async (
    peer: string,
    addresses: readonly Multiaddr[],
    { signal, ms = LIMITS.dag.namedDialMs }: { readonly signal: AbortSignal; readonly ms?: number }
  ): Promise<void> => {
    if (peers.connection(peer) !== undefined) return
    const time = deadline(clock, ms, signal)
    try {
      await dial(peer, addresses, time.signal)
    } catch (error) {
      log.debug('a peer that was named was not reached', { peer, error: messageOf(error) })
    } finally {
      time.clear()
    }
  }
  // Attack: an address that a peer says of another one is dialled from here, into the own site or somebody else's.
  const isUsable = (address: Multiaddr): boolean => {
    const ip = firstIpOf(address)
    return !needsDns(address) && ip !== undefined && !(internet && isPrivateIp(ip))
  }
  return {
    find: async (root, signal, onHere) => {
      // With nobody there is no DHT either, and to wait for one would only make a person wait.
      if (peers.all().length === 0) return []
      const dials: Promise<void>[] = []
      const bring = async (peer: string): Promise<void> => {
        await reach(peer, [], { signal })
        if (peers.connection(peer) !== undefined) onHere?.(peer)
      }
      const found = await routing.findProviders(toLink(root), signal, peer => {
        if (dials.length < LIMITS.dag.namedDials) dials.push(bring(peer))
      })
      await Promise.all(dials)
      return found
    },
    reach: async ({ id, addresses }, signal) => {
      const usable = addresses.flatMap(text => parsed(`${text}/p2p/${id}`) ?? []).filter(isUsable)
      if (isPeerId(id) && usable.length > 0) await reach(id, usable, { signal, ms: LIMITS.dag.crowdDialMs })
    },
    again: async (peer, signal) => {
      const known = components.addressesOf(peer).flatMap(text => parsed(`${text}/p2p/${peer}`) ?? [])
      if (known.length > 0) await reach(peer, known, { signal, ms: LIMITS.dag.lostDialMs })
      return peers.connection(peer) !== undefined
    }
  }
}

function isPeerId(text: string): boolean {
  try {
    return peerIdFromString(text).toString() === text
  } catch {
    return false
  }
}

function parsed(text: string): Multiaddr | undefined {
  try {
    return multiaddr(text)
  } catch {
    return undefined
  }
}
