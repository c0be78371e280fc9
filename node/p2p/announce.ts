import type { Libp2pEvents, TypedEventTarget } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { relayOf } from './address.ts'

/** The few things of libp2p that this stands on. */
export interface AnnounceComponents {
  readonly events: TypedEventTarget<Libp2pEvents>
  readonly addressManager: { confirmObservedAddr(address: Multiaddr, options: { type: 'transport' }): void }
}

/**
 * Announces the addresses that this host listens on, those of the internet too. libp2p 3 keeps the latter to itself until
 * AutoNAT has seen them dialled from outside: a server with an address of its own would tell nobody where it is, and be
 * printed without an address. An address is bound to an interface of this machine before it gets here, which is reason
 * enough; where a firewall lets nobody in, whoever dials it loses a few seconds.
 */
export function announceOwn(): (components: AnnounceComponents) => object {
  return ({ events, addressManager }) => {
    events.addEventListener('transport:listening', ({ detail: listener }) => {
      for (const address of listener.getAddrs()) {
        // What leads through a relay is confirmed and withdrawn by who keeps the place there.
        if (relayOf(address) === undefined) addressManager.confirmObservedAddr(address, { type: 'transport' })
      }
    })
    return {}
  }
}
