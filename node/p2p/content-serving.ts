import { DAG_PROTOCOL } from '../../protocol/dag/messages.ts'
import { HAVE_PROTOCOL } from '../../protocol/have/messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { SwarmComponents } from './components.ts'
import { dagHandler } from './dag-server.ts'
import { HaveTable } from './have-table.ts'
import { HaveTeller } from './have-teller.ts'
import type { Host } from './libp2p.ts'
import type { Peers } from './peers.ts'
import type { RememberedPeers } from './remembered.ts'

/** What is told and heard of who holds which content. */
export interface Have {
  readonly teller: HaveTeller
  readonly table: HaveTable
}

export function haveOf(
  { held, isLeech = false, clock, log }: SwarmComponents,
  peers: Peers,
  onTold?: () => void
): Have {
  return {
    teller: new HaveTeller({ held: isLeech ? undefined : held, peers, clock, log }),
    table: new HaveTable({ peers, clock, log, onTold })
  }
}

interface ContentServing {
  readonly peers: Peers
  readonly have: Have
  readonly remembered: RememberedPeers
}

/** Answers what peers ask of content, and hears what they hold. A host that gives nothing only hears. */
export async function serveContent(
  host: Host,
  { blocks, sight, clock, log, throttles, isLeech = false, onServed = () => {} }: SwarmComponents,
  { peers, have, remembered }: ContentServing
): Promise<void> {
  const { table } = have
  const { streams: told } = LIMITS.have
  await host.handle(HAVE_PROTOCOL, table.accept, { maxInboundStreams: told, maxOutboundStreams: told })
  if (isLeech) return
  const handler = dagHandler({
    blocks,
    sight,
    clock,
    log,
    throttle: throttles?.upload,
    onServed,
    holders: root => table.holders(root),
    isPeer: peer => peers.get(peer) !== undefined,
    addressesOf: peer => remembered.addressesOf(peer),
    onMalformed: peer => peers.blame(peer, 'malformed-message')
  })
  const { streams } = LIMITS.dag
  await host.handle(DAG_PROTOCOL, handler, { maxInboundStreams: streams, maxOutboundStreams: streams })
}
