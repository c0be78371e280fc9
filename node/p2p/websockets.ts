import { serviceCapabilities, transportSymbol } from '@libp2p/interface'
import type {
  Connection,
  CreateListenerOptions,
  Listener,
  MultiaddrConnection,
  Transport,
  Upgrader
} from '@libp2p/interface'
import type { webSockets as create } from '@libp2p/websockets'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Socket } from 'node:net'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { HasComponents } from './address.ts'

type Components = Parameters<ReturnType<typeof create>>[0]
type Library = { readonly webSockets: typeof create }
type DialOptions = Parameters<Transport['dial']>[1]

/** Does an address go through a WebSocket, and not through a relay behind one? */
export function isWebSocket(address: HasComponents): boolean {
  const names = new Set(address.getComponents().map(({ name }) => name))
  return (names.has('ws') || names.has('wss')) && !names.has('p2p-circuit')
}

/**
 * WebSockets, for those between whom there are proxies that let nothing else through. The library is loaded by the first
 * address that needs it: few nodes have one.
 *
 * @param listens whether an address to listen on needs it, which is when it must be there from the start
 */
export async function webSockets(listens: boolean): Promise<(components: Components) => Transport> {
  const loaded = listens ? await import('@libp2p/websockets') : undefined
  return components => new LazyWebSockets(components, loaded)
}

class LazyWebSockets implements Transport {
  readonly [transportSymbol] = true as const
  readonly [Symbol.toStringTag] = '@ggen/websockets'
  readonly [serviceCapabilities]: string[] = ['@libp2p/transport']
  readonly #components: Components
  #inner: Transport | undefined

  constructor(components: Components, loaded: Library | undefined) {
    this.#components = components
    if (loaded !== undefined) this.#inner = make(loaded, components)
  }

  async dial(address: Multiaddr, options: DialOptions): Promise<Connection> {
    this.#inner ??= make(await import('@libp2p/websockets'), this.#components)
    const upgrader = resetting(options.upgrader, options.signal)
    return await this.#inner.dial(address, { ...options, signal: unseen(options.signal), upgrader })
  }

  createListener(options: CreateListenerOptions): Listener {
    if (this.#inner === undefined) throw new RegistryError('INTERNAL', 'WebSockets were not loaded to listen')
    return bounded(this.#inner.createListener({ ...options, upgrader: resetting(options.upgrader) }))
  }

  listenFilter(addresses: Multiaddr[]): Multiaddr[] {
    return addresses.filter(isWebSocket)
  }

  dialFilter(addresses: Multiaddr[]): Multiaddr[] {
    return addresses.filter(isWebSocket)
  }
}

function make(library: Library, components: Components): Transport {
  const { requestMs, requestBytes } = LIMITS.reach.webSocket
  const http = { headersTimeout: requestMs, requestTimeout: requestMs, maxHeaderSize: requestBytes }
  return library.webSockets({ http: { ...http, connectionsCheckingInterval: requestMs } })(components)
}

/**
 * A signal that ends a wait, and of which nobody sees that it has. @libp2p/websockets 10.1.21 closes the socket of a dial that
 * fails, except where it sees that the dial was given up: a server that agrees later would have a socket that nobody owns.
 */
function unseen(signal: AbortSignal): AbortSignal {
  return {
    aborted: false,
    get reason(): unknown {
      return signal.reason as unknown
    },
    throwIfAborted: () => signal.throwIfAborted(),
    addEventListener: signal.addEventListener.bind(signal),
    removeEventListener: signal.removeEventListener.bind(signal)
  } as unknown as AbortSignal
}

/**
 * An upgrader whose connections can be cut. @libp2p/websockets 10.1.21 resets one by closing it with code 1006, which
 * both WebSocket implementations refuse with an exception: the socket stays as it is, and whoever was cut stays connected.
 *
 * @param dialled the signal of a dial, as it is
 */
function resetting(upgrader: Upgrader, dialled?: AbortSignal): Upgrader {
  const fix = (connection: MultiaddrConnection): void => {
    const { websocket } = connection as MultiaddrConnection & { websocket: { close(): void; terminate?(): void } }
    const reset = (): void => (websocket.terminate === undefined ? websocket.close() : websocket.terminate())
    Object.assign(connection, { sendReset: reset })
  }
  return Object.create(upgrader, {
    upgradeInbound: {
      value: async (connection: MultiaddrConnection, options: Parameters<Upgrader['upgradeInbound']>[1]) => {
        fix(connection)
        await upgrader.upgradeInbound(connection, options)
      }
    },
    upgradeOutbound: {
      value: async (connection: MultiaddrConnection, options: Parameters<Upgrader['upgradeOutbound']>[1]) => {
        fix(connection)
        try {
          return await upgrader.upgradeOutbound(connection, { ...options, ...(dialled && { signal: dialled }) })
        } catch (error) {
          // As the transport of TCP does it: nobody else has the socket.
          connection.abort(error as Error)
          throw error
        }
      }
    }
  }) as Upgrader
}

/** What the library's listener is made of, as far as it must be bounded. */
interface Internals {
  readonly server: {
    maxConnections: number
    prependListener(event: 'connection', listener: (socket: Socket) => void): void
  }
  readonly wsServer: { readonly options: { maxPayload: number } }
}

/**
 * Bounds what a stranger can do before the gater and the handshake have a say: sockets that never send a byte, and frames
 * of the 100 MiB that `ws` allows. The time ends with the request: from there on the upgrade has its own.
 */
function bounded(listener: Listener): Listener {
  const { server, wsServer } = listener as Listener & Internals
  const { sockets, requestMs, frameBytes } = LIMITS.reach.webSocket
  server.maxConnections = sockets
  // `ws` turns the socket's timer off when the request was taken.
  server.prependListener('connection', socket => void socket.setTimeout(requestMs, () => socket.destroy()))
  wsServer.options.maxPayload = frameBytes
  return listener
}
