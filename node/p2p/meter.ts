import { LIMITS } from '../../protocol/limits.ts'

/** Bytes on the wire, encryption and framing included. */
export interface Traffic {
  readonly bytesIn: number
  readonly bytesOut: number
}

interface Socket {
  readonly bytesRead: number
  readonly bytesWritten: number
}

/** What a relayed connection has carried so far, and the peer through whose socket it came. */
export interface Carried {
  bytesRead: number
  bytesWritten: number
  readonly via: string
}

/** The raw connection below the encryption. */
export interface RawConnection {
  addEventListener(type: 'close', listener: () => void, options: { once: true }): void
}

/**
 * Counts what went over the sockets of each peer. It reads the kernel's side of the socket, so handshakes and what the
 * libraries send of their own accord are in it. Totals of closed connections are kept for a bounded number of peers.
 */
export class SocketMeter {
  readonly #live = new Map<string, Set<Socket>>()
  readonly #closed = new Map<string, Traffic>()
  #forgotten: Traffic = { bytesIn: 0, bytesOut: 0 }

  track(peer: string, connection: RawConnection): void {
    const socket = socketOf(connection)
    if (socket === undefined) return
    this.#add(peer, socket, connection)
    // What one peer has sent through another was counted at that one's socket: there it is taken off again.
    if ('via' in socket) this.#add(socket.via, less(socket), connection)
  }

  #add(peer: string, socket: Socket, connection: RawConnection): void {
    const sockets = this.#live.get(peer) ?? new Set()
    if (sockets.has(socket)) return
    sockets.add(socket)
    this.#live.set(peer, sockets)
    connection.addEventListener('close', () => this.#retire(peer, sockets, socket), { once: true })
  }

  of(peer: string): Traffic {
    let { bytesIn, bytesOut } = this.#closed.get(peer) ?? { bytesIn: 0, bytesOut: 0 }
    for (const socket of this.#live.get(peer) ?? []) {
      bytesIn += socket.bytesRead
      bytesOut += socket.bytesWritten
    }
    return { bytesIn, bytesOut }
  }

  /** Everything since the start, peers that are forgotten included. */
  total(): Traffic {
    let { bytesIn, bytesOut } = this.#forgotten
    for (const peer of this.peers()) {
      const traffic = this.of(peer)
      bytesIn += traffic.bytesIn
      bytesOut += traffic.bytesOut
    }
    return { bytesIn, bytesOut }
  }

  /** Every peer that is counted. */
  peers(): readonly string[] {
    return [...new Set([...this.#closed.keys(), ...this.#live.keys()])]
  }

  #retire(peer: string, sockets: Set<Socket>, socket: Socket): void {
    const before = this.#closed.get(peer) ?? { bytesIn: 0, bytesOut: 0 }
    sockets.delete(socket)
    if (sockets.size === 0) this.#live.delete(peer)
    this.#closed.delete(peer)
    this.#closed.set(peer, {
      bytesIn: before.bytesIn + socket.bytesRead,
      bytesOut: before.bytesOut + socket.bytesWritten
    })
    if (this.#closed.size <= LIMITS.peers.remembered) return
    const oldest = this.#closed.keys().next().value
    if (oldest === undefined) return
    const { bytesIn, bytesOut } = this.#closed.get(oldest) ?? { bytesIn: 0, bytesOut: 0 }
    this.#forgotten = { bytesIn: this.#forgotten.bytesIn + bytesIn, bytesOut: this.#forgotten.bytesOut + bytesOut }
    this.#closed.delete(oldest)
  }
}

/** Whether the other side has said anything yet; true where that cannot be seen. */
export function hasSpoken(connection: RawConnection): boolean {
  return socketOf(connection)?.bytesRead !== 0
}

/**
 * libp2p's TCP connection keeps its `net.Socket` in a field that its types do not name, and the WebSocket that was accepted
 * one of `ws`, which keeps it one deeper. A WebSocket that was dialled shows none. relay.ts leaves its count in the same field.
 */
function socketOf(connection: RawConnection): Socket | Carried | undefined {
  const socket = fieldOf(connection, 'socket') ?? fieldOf(fieldOf(connection, 'websocket'), '_socket')
  const counts = [fieldOf(socket, 'bytesRead'), fieldOf(socket, 'bytesWritten')]
  return counts.every(count => typeof count === 'number') ? (socket as Socket | Carried) : undefined
}

function less(carried: Carried): Socket {
  return {
    get bytesRead() {
      return -carried.bytesRead
    },
    get bytesWritten() {
      return -carried.bytesWritten
    }
  }
}

function fieldOf(owner: unknown, name: string): unknown {
  return typeof owner === 'object' && owner !== null ? Reflect.get(owner, name) : undefined
}
