import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { RegistryError, isRegistryError, messageOf } from '../../protocol/errors.ts'
import type { Host } from './libp2p.ts'

/** Dials and waits for the introduction. @throws RegistryError PEER_UNREACHABLE | PEER_SILENT | PEER_INCOMPATIBLE */
export async function dial(host: Host, address: Multiaddr | Multiaddr[], signal: AbortSignal): Promise<string> {
  let connection = await openConnection(host, address, signal)
  let verdict = await host.services.hello.verdict(connection)
  if (!verdict.accepted && verdict.reason === 'closed') {
    // libp2p hands out a connection that it has already; it may have been the other side's, about to close.
    connection = await openConnection(host, address, signal)
    verdict = await host.services.hello.verdict(connection)
  }
  const peer = connection.remotePeer.toString()
  if (verdict.accepted) return peer
  if (verdict.reason === 'no-common-version') {
    throw new RegistryError('PEER_INCOMPATIBLE', `${peer} speaks no protocol version that this node speaks`, {
      next: 'update the older of the two nodes'
    })
  }
  throw new RegistryError('PEER_SILENT', `${peer} was reached but not accepted: ${verdict.reason}`, {
    tried: [address].flat().map(String),
    next: 'check that a ggen-node of the same swarm listens there'
  })
}

async function openConnection(host: Host, address: Multiaddr | Multiaddr[], signal: AbortSignal): Promise<Connection> {
  try {
    return await host.dial(address, { signal })
  } catch (cause) {
    if (isRegistryError(cause)) throw cause
    throw new RegistryError('PEER_UNREACHABLE', `no connection to ${String(address)}: ${messageOf(cause)}`, {
      cause,
      tried: [address].flat().map(String),
      next: 'check the address and that the node runs'
    })
  }
}
