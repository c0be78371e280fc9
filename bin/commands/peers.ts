import { bytesText, report, table } from './print.ts'
import { argument, withNode } from './run.ts'
import type { Session } from './run.ts'

/** `ggen-node peers`. */
export async function peers(session: Session): Promise<void> {
  const { found, isRunning } = await withNode(session, { network: false }, async client => ({
    found: await client.call('peers', {}),
    // A node that lives in this command has no network, and so no peer id.
    isRunning: (await client.call('status', {})).peerId !== null
  }))
  report(session, { peers: found }, () => [
    ...(found.length === 0
      ? [isRunning ? 'No peers yet: ggen-node connect ADDRESS' : 'No node is running: ggen-node start']
      : table([
          ['SWARM', 'PEER', 'ADDRESS', 'WAY', 'STATE', 'IN', 'OUT', 'AGENT'],
          ...found.map(peer => [
            peer.swarm,
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
