import type { Connection, ConnectionGater, PeerId } from '@libp2p/interface'
import type { Host } from '../../node/p2p/libp2p.ts'

/** A cable that can be cut between a node and some of its peers. */
export interface Partition {
  /** Ends the connections with these peers and lets no new ones be made; all others are let be. */
  forbid(peers: readonly string[]): void
}

/**
 * Puts itself before the connection gater of a running host, whose own answers still hold. What is cut is cut as a
 * cable is: without a word, and the other side learns of it from its own end.
 */
export function partitionOf(host: Host): Partition {
  let forbidden: ReadonlySet<string> = new Set()
  const gater = gaterOf(host)
  const isForbidden = (peer: PeerId): boolean => forbidden.has(peer.toString())
  const own = { ...gater }
  gater.denyDialPeer = peer => isForbidden(peer) || (own.denyDialPeer?.(peer) ?? false)
  gater.denyInboundEncryptedConnection = (peer, connection) =>
    isForbidden(peer) || (own.denyInboundEncryptedConnection?.(peer, connection) ?? false)
  gater.denyOutboundEncryptedConnection = (peer, connection) =>
    isForbidden(peer) || (own.denyOutboundEncryptedConnection?.(peer, connection) ?? false)
  return {
    forbid: peers => {
      forbidden = new Set(peers)
      for (const connection of host.getConnections()) if (isForbidden(connection.remotePeer)) cut(connection)
    }
  }
}

function cut(connection: Connection): void {
  connection.abort(new Error('the bench cut this connection'))
}

/** libp2p reads its gater from a table that its types do not name, anew for every connection. */
function gaterOf(host: Host): ConnectionGater {
  const components: unknown = Reflect.get(host, 'components')
  const gater: unknown =
    typeof components === 'object' && components !== null ? Reflect.get(components, 'connectionGater') : null
  if (typeof gater !== 'object' || gater === null || !('denyDialPeer' in gater)) {
    throw new Error('libp2p no longer keeps its gater where it can be replaced')
  }
  return gater as ConnectionGater
}
