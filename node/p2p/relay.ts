import { circuitRelayServer, circuitRelayTransport, RELAY_V2_HOP_CODEC } from '@libp2p/circuit-relay-v2'
import type { CircuitRelayService } from '@libp2p/circuit-relay-v2'
import type { Connection, MultiaddrConnection, PeerId, Stream, Transport, Upgrader } from '@libp2p/interface'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { relayOf } from './address.ts'
import type { Carried } from './meter.ts'

type TransportComponents = Parameters<ReturnType<typeof circuitRelayTransport>>[0]
type ServerComponents = Parameters<ReturnType<typeof circuitRelayServer>>[0]

/** What `listen` says once for each relay that a place is wanted at. */
export const ANY_RELAY = '/p2p-circuit'

/** The parts of the library's transport that its types do not name. */
interface Internals {
  onStop(stream: Stream, connection: Connection): Promise<void>
  readonly reservationStore: { hasReservation(peer: PeerId): boolean }
  readonly discovery: {
    startDiscovery(): void
    safeDispatchEvent(type: 'relay:discover', event: { detail: PeerId }): boolean
  }
}

/**
 * Dials and is dialled through relays (circuit relay v2). A place is kept at up to two of the connected peers that relay,
 * without any configuration: who relays says so in its identify, after the introduction.
 *
 * What is relayed is a connection like any other: gater, pre-shared key, noise and the introduction come again, from end
 * to end. It is not told that it is limited, for then half of the protocols would not use it; the relay ends it when its
 * bytes or its time are used up, and whoever needs it dials again.
 */
export function relayClient(): (components: TransportComponents) => Transport {
  const { circuitsPerPeer, reserveMs, waitingReservations, used } = LIMITS.reach.relay
  return components => {
    const own = Object.create(components, {
      upgrader: { value: unlimited(components.upgrader) }
    }) as TransportComponents
    const transport = circuitRelayTransport({
      maxInboundStopStreams: circuitsPerPeer,
      maxOutboundStopStreams: circuitsPerPeer,
      reservationCompletionTimeout: reserveMs,
      reservationConcurrency: used,
      maxReservationQueueLength: waitingReservations
    })(own)
    tame(transport as Transport & Internals, components)
    return transport
  }
}

/**
 * Two habits of the library that are not for us. It looks for relays by walking the DHT at random and dialling whom it
 * meets; here only peers that are connected are asked. And whoever opens a relayed stream to it is made one of its relays.
 */
function tame(transport: Internals, { connectionManager, peerStore }: TransportComponents): void {
  const { discovery, reservationStore } = transport
  const lookAround = async (): Promise<void> => {
    for (const { remotePeer } of connectionManager.getConnections()) {
      const known = await peerStore.get(remotePeer).catch(() => undefined)
      if (known?.protocols.includes(RELAY_V2_HOP_CODEC) !== true) continue
      discovery.safeDispatchEvent('relay:discover', { detail: remotePeer })
    }
  }
  discovery.startDiscovery = () => void lookAround()
  const accept = transport.onStop.bind(transport)
  transport.onStop = async (stream, connection) => {
    if (reservationStore.hasReservation(connection.remotePeer)) return await accept(stream, connection)
    stream.abort(new RegistryError('PEER_LIED', 'a relayed connection from a peer that is no relay of ours'))
  }
}

function unlimited(upgrader: Upgrader): Upgrader {
  const inbound: Upgrader['upgradeInbound'] = async (connection, options) => {
    count(connection)
    await upgrader.upgradeInbound(connection, without(options, 'limits'))
  }
  const outbound: Upgrader['upgradeOutbound'] = async (connection, options) => {
    count(connection)
    return await upgrader.upgradeOutbound(connection, without(options, 'limits'))
  }
  return Object.create(upgrader, {
    upgradeInbound: { value: inbound },
    upgradeOutbound: { value: outbound },
    createInboundAbortSignal: { value: (signal: AbortSignal) => upgrader.createInboundAbortSignal(signal) }
  }) as Upgrader
}

/**
 * Counts what a relayed connection carries and leaves the count where the meter looks for a socket. By the methods that
 * the bytes pass, as a listener would make the connection hand out what nobody is there for yet.
 */
function count(connection: MultiaddrConnection): void {
  const via = relayOf(connection.remoteAddr)
  // Of a relay that dialled us, the address does not say who it is.
  if (via === undefined || via === '') return
  const counted = connection as MultiaddrConnection & { onData(data: { readonly byteLength: number }): void }
  const carried: Carried = { bytesRead: 0, bytesWritten: 0, via }
  const [take, send] = [counted.onData.bind(counted), counted.send.bind(counted)]
  counted.onData = data => {
    carried.bytesRead += data.byteLength
    take(data)
  }
  counted.send = data => {
    carried.bytesWritten += data.byteLength
    return send(data)
  }
  Object.assign(connection, { socket: carried })
}

function without<T extends object, K extends keyof T>(value: T, key: K): Omit<T, K> {
  const rest: T = { ...value }
  delete rest[key]
  return rest
}

/** Carries connections between peers that are connected here and cannot reach each other. For peers that were introduced, and no others. */
export function relayServer(): (
  components: ServerComponents & Pick<TransportComponents, 'events'>
) => CircuitRelayService {
  const { circuitsPerPeer, handshakeMs, reservations, reservationMs, bytes, durationMs } = LIMITS.reach.relay
  const create = circuitRelayServer({
    hopTimeout: handshakeMs,
    maxInboundHopStreams: circuitsPerPeer,
    maxOutboundHopStreams: circuitsPerPeer,
    maxOutboundStopStreams: circuitsPerPeer,
    reservations: {
      maxReservations: reservations,
      reservationTtl: reservationMs,
      defaultDataLimit: BigInt(bytes),
      defaultDurationLimit: durationMs
    }
  })
  return components => {
    const server = create(components)
    // The library keeps the place of a peer that has left until its hour is over: 64 that came and went would fill the relay.
    components.events.addEventListener('peer:disconnect', ({ detail }) => void server.reservations.delete(detail))
    return server
  }
}
