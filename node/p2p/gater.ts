import type { ConnectionGater } from '@libp2p/interface'
import { LIMITS } from '../../protocol/limits.ts'
import { firstIpOf, ipOf, isPrivateIp, needsDns, relayOf, subnetOf } from './address.ts'
import type { HasComponents } from './address.ts'
import { endWhenSilent } from './alive.ts'
import type { Heard } from './alive.ts'
import type { Bans } from './bans.ts'
import type { Reached } from './company.ts'
import type { Clock, SwarmTuning } from './components.ts'
import type { RawConnection, SocketMeter } from './meter.ts'

export interface GaterComponents {
  readonly bans: Bans
  readonly meter: SocketMeter
  readonly clock: Clock
  readonly tuning: SwarmTuning
  /** A socket that was dialled from here is open, before anything was said on it. */
  readonly onReached: (socket: Reached) => void
  readonly allowPeers: ReadonlySet<string>
  /** Host names that the operator wrote into the configuration. */
  readonly allowHosts: ReadonlySet<string>
  /** Of a private swarm: who is known to be a member, and has room beside all others. */
  readonly isMember?: (peer: string) => boolean
  /** Of a private swarm: who is known to be no member. */
  readonly isBarred?: (peer: string) => boolean
}

type Raw = RawConnection & Heard & { readonly remoteAddr: HasComponents }

/**
 * Who may connect. Addresses are checked before the handshake (rate, ban) and after it (caps), because only the
 * handshake says whether it is a peer that the caps do not apply to; handshakes in flight have a cap of their own.
 */
export function connectionGater(components: GaterComponents): ConnectionGater {
  const { bans, meter, clock, allowPeers } = components
  const rates = new HostRates(clock)
  const caps = new AddressCaps(components.tuning)
  const handshakes = new Handshakes()
  const isBanned = (key: string): boolean => bans.has(key, clock.now())
  const isKeptOut = (peer: string): boolean => isBanned(peer) || components.isBarred?.(peer) === true
  return {
    denyDialPeer: peer => isKeptOut(peer.toString()),
    denyDialMultiaddr: address => isUndialable(address, components),
    denyInboundConnection: connection => {
      const ip = ipOf(connection.remoteAddr)
      if (ip !== undefined) {
        const isDenied = isBanned(`ip:${ip}`) || !rates.take(ip, rateOf(ip, components.tuning))
        return isDenied || !handshakes.begin(ip, connection)
      }
      // Behind a relay anybody may be anybody: all that come through it share one rate.
      const relay = relayOf(connection.remoteAddr)
      return relay !== undefined && !rates.take(`relay:${relay}`, LIMITS.reach.relay.inboundPerRelayPerSecond)
    },
    denyOutboundConnection: (_, connection) => {
      components.onReached(connection)
      return false
    },
    // Who is kept out gets no place at this relay, nor anybody through it, nor in here through another one.
    denyInboundRelayReservation: peer => isBanned(peer.toString()),
    denyOutboundRelayedConnection: (from, to) => isBanned(from.toString()) || isBanned(to.toString()),
    denyInboundRelayedConnection: (relay, peer) => isBanned(relay.toString()) || isBanned(peer.toString()),
    denyInboundEncryptedConnection: (peer, connection) => {
      const id = peer.toString()
      // Not one step later, when the connection is there: libp2p waits for that answer between making the muxer and listening
      // to it, and gives up a connection on which more than ten streams come meanwhile.
      handshakes.end(connection)
      if (isKeptOut(id)) return true
      const isExempt = allowPeers.has(id) || components.isMember?.(id) === true
      if (!isExempt && !caps.take(connection)) return true
      meter.track(id, connection)
      endWhenSilent(connection, components.tuning.aliveLookMs)
      return false
    },
    denyOutboundEncryptedConnection: (peer, connection) => {
      if (isKeptOut(peer.toString())) return true
      meter.track(peer.toString(), connection)
      endWhenSilent(connection, components.tuning.aliveLookMs)
      return false
    },
    // What a stranger says of himself ends up in the peer store and is dialled later.
    filterMultiaddrForPeer: (_, address) => !isUndialable(address, components)
  }
}

/** Attack: an address that is a host name makes this node ask the DNS for whatever a stranger likes. */
function isUndialable(address: HasComponents, { allowHosts, bans, clock }: GaterComponents): boolean {
  if (needsDns(address)) {
    return address.getComponents().some(({ name, value }) => name.startsWith('dns') && !allowHosts.has(value ?? ''))
  }
  const ip = firstIpOf(address)
  return ip !== undefined && bans.has(`ip:${ip}`, clock.now())
}

function rateOf(ip: string, tuning: SwarmTuning): number {
  return isPrivateIp(ip) ? tuning.inboundPerPrivateHostPerSecond : LIMITS.connections.inboundPerHostPerSecond
}

/** New connections per second and address, or relay: a token bucket that is as deep as it is fast. */
class HostRates {
  readonly #buckets = new Map<string, { tokens: number; at: number }>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  take(ip: string, rate: number): boolean {
    const now = this.#clock.now()
    const before = this.#buckets.get(ip) ?? { tokens: rate, at: now }
    const tokens = Math.min(rate, before.tokens + (Math.max(0, now - before.at) / 1000) * rate)
    this.#buckets.delete(ip)
    this.#buckets.set(ip, { tokens: Math.max(0, tokens - 1), at: now })
    if (this.#buckets.size > LIMITS.connections.hostsTracked) {
      const oldest = this.#buckets.keys().next().value
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    return tokens >= 1
  }
}

/**
 * Handshakes under way per address. Attack: sockets that say nothing, each of which holds a place until it is given up;
 * from one address they would hold all there are, and nobody could connect.
 */
class Handshakes {
  readonly #counts = new Map<string, number>()
  readonly #ends = new WeakMap<Raw, () => void>()

  /** Counts it until it ends or closes; false, and nothing counted, when the address has as many as it may. */
  begin(ip: string, connection: Raw): boolean {
    const isNear = isPrivateIp(ip)
    const key = isNear ? 'private' : ip
    const count = this.#counts.get(key) ?? 0
    const { pendingPerAddress, pendingPrivate } = LIMITS.connections
    if (count >= (isNear ? pendingPrivate : pendingPerAddress)) return false
    this.#counts.set(key, count + 1)
    const end = (): void => {
      if (!this.#ends.delete(connection)) return
      const left = (this.#counts.get(key) ?? 1) - 1
      if (left > 0) this.#counts.set(key, left)
      else this.#counts.delete(key)
    }
    this.#ends.set(connection, end)
    connection.addEventListener('close', end, { once: true })
    return true
  }

  end(connection: Raw): void {
    this.#ends.get(connection)?.()
  }
}

/**
 * Open inbound connections of strangers: in all, per address, per subnet; loopback and private ranges are one group of their
 * own. Those that the limits don't apply to are not counted: friends must not fill the room that the next one comes in by.
 */
class AddressCaps {
  readonly #tuning: SwarmTuning
  readonly #counts = new Map<string, number>()

  constructor(tuning: SwarmTuning) {
    this.#tuning = tuning
  }

  /** Counts the connection until it closes; false, and nothing counted, when a cap is reached. */
  take(connection: Raw): boolean {
    const keys = this.#keysOf(connection)
    if (keys.some(([key, cap]) => (this.#counts.get(key) ?? 0) >= cap)) return false
    for (const [key] of keys) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    connection.addEventListener('close', () => keys.forEach(([key]) => this.#release(key)), { once: true })
    return true
  }

  #keysOf(connection: Raw): readonly (readonly [string, number])[] {
    const all = ['all', this.#tuning.inbound] as const
    const ip = ipOf(connection.remoteAddr)
    if (ip === undefined) return [all, ...relayKeysOf(connection)]
    if (isPrivateIp(ip)) return [all, ['private', this.#tuning.perPrivateRange]]
    return [all, [`ip:${ip}`, LIMITS.connections.perAddress], [`net:${subnetOf(ip)}`, LIMITS.connections.perSubnet]]
  }

  #release(key: string): void {
    const count = (this.#counts.get(key) ?? 1) - 1
    if (count > 0) this.#counts.set(key, count)
    else this.#counts.delete(key)
  }
}

function relayKeysOf({ remoteAddr }: Raw): readonly (readonly [string, number])[] {
  const relay = relayOf(remoteAddr)
  if (relay === undefined) return []
  const { inbound, inboundPerRelay } = LIMITS.reach.relay
  return [
    ['relayed', inbound],
    [`relay:${relay}`, inboundPerRelay]
  ]
}
