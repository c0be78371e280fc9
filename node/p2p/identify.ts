import type { Connection } from '@libp2p/interface'
import { messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Log } from './components.ts'
import { deadline } from './deadline.ts'
import type { Host } from './libp2p.ts'
import type { RememberedPeers } from './remembered.ts'
import type { Shown } from './shown.ts'

export interface IdentifyComponents {
  readonly host: Host
  readonly remembered: Pick<RememberedPeers, 'note'>
  readonly shown: Pick<Shown, 'answered'>
  readonly clock: Clock
  readonly log: Log
  readonly timeoutMs: number
}

/**
 * Gossip, DHT and bitswap learn of a peer from identify; without it the peer is served but never asked. One that is too busy
 * for an answer is asked again, with more time: its connection may last for days.
 */
export function identifyLater(components: IdentifyComponents, connection: Connection): void {
  const peer = connection.remotePeer.toString()
  if (connection.direction === 'outbound') components.remembered.note(peer, { dialled: connection.remoteAddr })
  identify(components, connection).catch((error: unknown) =>
    components.log.debug('identify failed', { peer, error: messageOf(error) })
  )
}

async function identify({ host, shown, clock, timeoutMs }: IdentifyComponents, connection: Connection): Promise<void> {
  for (let tries = 1; ; tries++) {
    const started = clock.now()
    const time = deadline(clock, timeoutMs * 2 ** (tries - 1))
    try {
      await host.services.identify.identify(connection, { signal: time.signal })
      // The first thing that is known of how soon a peer answers.
      shown.answered(connection.remotePeer.toString(), clock.now() - started)
      return
    } catch (error) {
      if (tries >= LIMITS.connections.identifyTries || connection.status !== 'open' || !time.signal.aborted) throw error
    } finally {
      time.clear()
    }
  }
}
