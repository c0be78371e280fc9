import { bytesText, report, table } from './print.ts'
import { argument, withNode } from './run.ts'
import type { Session } from './run.ts'

/** `ggen-node peers`. */
export async function peers(session: Session): Promise<void> {
  const found = await withNode(session, { network: false }, client => client.call('peers', {}))
  report(session, { peers: found }, () => [
    ...(found.length === 0
      ? ['No peers: is the node running? ggen-node start, then ggen-node connect ADDRESS']
      : table([
          ['PEER', 'ADDRESS', 'WAY', 'STATE', 'IN', 'OUT', 'AGENT'],
          ...found.map(peer => [
            peer.id,
            peer.address,
            peer.direction,
            peer.verdict,
            bytesText(peer.bytesIn),
            bytesText(peer.bytesOut),
            peer.agent
          ])
        ]))
  ])
}

/** `ggen-node connect`. */
export async function connect(session: Session, args: readonly string[]): Promise<void> {
  const address = argument(args, 0)
  const peer = await withNode(session, { network: true }, client =>
    client.call('connect', { address }, { signal: session.signal })
  )
  report(session, peer, () => [`Connected ${peer.peerId}, which follows ${peer.registries.length} of our registries`])
}
