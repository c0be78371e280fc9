import type { Host } from './libp2p.ts'

/**
 * Timers that the libraries leave armed when they stop: they would keep a process alive for a second that has nothing
 * left to do, and then run on a closed store. Look before the stop, call what comes back after it.
 *
 * - gossipsub forgets the next heartbeat when it drops the state that held it;
 * - libp2p's address manager puts off noting that the listeners are gone, and nobody tells it to stop;
 * - identify puts off telling neighbours that addresses changed, which they did when the listeners went.
 *
 * Fields with these names are not API: where one is missing, nothing is cleared, and the test of embedding sees it.
 */
export function leftoverTimers(host: Host): () => void {
  // The state object itself: heartbeats that run until the stop go on replacing the timer in it.
  const started = field(host.services.pubsub, 'status')
  const putOff = [
    field(field(field(host, 'components'), 'addressManager'), '_updatePeerStoreAddresses'),
    field(host.services.identifyPush, '_push')
  ]
  return () => {
    clearTimeout(field(started, 'heartbeatTimeout') as NodeJS.Timeout | undefined)
    for (const debounced of putOff) {
      const stop = field(debounced, 'stop')
      if (typeof stop === 'function') Reflect.apply(stop, debounced, [])
    }
  }
}

function field(owner: unknown, name: string): unknown {
  const isOwner = (typeof owner === 'object' && owner !== null) || typeof owner === 'function'
  return isOwner ? Reflect.get(owner, name) : undefined
}
