import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { RegistryError, isRegistryError, messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from '../runtime/clock.ts'
import { say } from './answer.ts'
import type { Exchange } from './answer.ts'
import { formatHttpAddress, isLocalHostHeader } from './http-address.ts'
import type { HttpAddress } from './http-address.ts'
import { Turnstile } from './turnstile.ts'

/** Answers what it is asked, if that is its own; false when it is not. */
export type Route = (exchange: Exchange) => Promise<boolean>

export interface ListenerInit {
  readonly address: HttpAddress
  readonly routes: (turnstile: Turnstile, isLocal: boolean) => readonly Route[]
  readonly clock: Pick<Clock, 'now' | 'after'>
  /** What went wrong in the middle of an answer: to whoever asked it is a connection that ended. */
  readonly onFault: (error: unknown) => void
}

/** A port with plain HTTP, open. */
export interface Listener {
  /** `127.0.0.1:8080`, with the port that it got. */
  readonly address: string
  readonly isLocal: boolean
  close(): Promise<void>
}

/**
 * Opens a port for GET and HEAD. It trusts nobody: everything that a request may hold or last is bounded, and whoever asks
 * gives no orders. On an address of this machine alone it answers no web pages (`isFromPage`).
 * @throws RegistryError PORT_IN_USE | USAGE
 */
export async function openListener({ address, routes, clock, onFault }: ListenerInit): Promise<Listener> {
  const { gateway } = LIMITS
  const { isLocal } = address
  const turnstile = new Turnstile(clock)
  const stopping = new AbortController()
  const own = routes(turnstile, isLocal)
  const server = createServer(
    {
      maxHeaderSize: gateway.headerBytes,
      headersTimeout: gateway.headersMs,
      requestTimeout: gateway.headersMs,
      keepAliveTimeout: gateway.keepAliveMs,
      connectionsCheckingInterval: 1_000
    },
    (request, response) => {
      answer({ request, response }, { own, turnstile, isLocal, clock, stopping: stopping.signal }).catch(
        (error: unknown) => {
          onFault(error)
          // The head may be out and the body cut short: the end of the connection is what says so.
          if (response.headersSent || response.destroyed) return void request.socket.destroy()
          const isLate = isRegistryError(error) && error.code === 'TIMEOUT'
          response.writeHead(isLate ? 503 : 500, { 'content-length': 0, 'retry-after': '5', connection: 'close' }).end()
        }
      )
    }
  )
  server.maxConnections = gateway.connections
  server.maxHeadersCount = gateway.headers
  server.maxRequestsPerSocket = gateway.requestsPerConnection
  server.on('connection', socket => {
    const closed = turnstile.connect(socket.remoteAddress ?? '')
    if (closed === undefined) socket.destroy()
    else socket.once('close', closed)
  })
  await listen(server, address)
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : address.port
  return {
    address: formatHttpAddress(address.host, port),
    isLocal,
    close: () => {
      stopping.abort(new RegistryError('CANCELLED', 'the node is stopping'))
      return new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    }
  }
}

interface Answering {
  readonly own: readonly Route[]
  readonly turnstile: Turnstile
  readonly isLocal: boolean
  readonly clock: Pick<Clock, 'after'>
  readonly stopping: AbortSignal
}

async function answer(
  { request, response }: { readonly request: IncomingMessage; readonly response: ServerResponse },
  { own, turnstile, isLocal, clock, stopping }: Answering
): Promise<void> {
  const gone = new AbortController()
  const signal = AbortSignal.any([gone.signal, stopping])
  const ip = request.socket.remoteAddress ?? ''
  const exchange: Exchange = { request, response, ip, signal }
  response.once('close', () => gone.abort(new RegistryError('CANCELLED', 'the reader is gone')))
  clock.after(
    LIMITS.gateway.answerMs,
    () => gone.abort(new RegistryError('TIMEOUT', 'the answer takes too long')),
    gone.signal
  )
  response.setHeader('x-content-type-options', 'nosniff')
  if (isLocal) response.setHeader('cross-origin-resource-policy', 'same-origin')
  if (isLocal && isFromPage(request)) {
    return say(exchange, 403, 'this address answers programs of this machine, and no web page')
  }
  if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined) {
    return say(exchange, 400, 'a request here has no body', { connection: 'close' })
  }
  if (!['GET', 'HEAD', 'OPTIONS'].includes(request.method ?? '')) {
    return say(exchange, 405, 'this address is for reading', { allow: 'GET, HEAD, OPTIONS', connection: 'close' })
  }
  const leave = turnstile.enter(ip)
  if (typeof leave === 'object') {
    return say(exchange, leave.status, 'too much is asked at once, ask again later', { 'retry-after': leave.seconds })
  }
  response.once('close', leave)
  for (const route of own) if (await route(exchange)) return
  say(exchange, 404, 'there is nothing at this address')
}

/** A browser says on whose behalf it asks: by the name in Host, by Origin, and by Sec-Fetch-Site where it sends no Origin. */
function isFromPage({ headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site']
  const isForeign = site !== undefined && site !== 'none' && site !== 'same-origin'
  return headers.origin !== undefined || isForeign || !isLocalHostHeader(headers.host)
}

function listen(server: Server, { host, port }: HttpAddress): Promise<void> {
  const where = formatHttpAddress(host, port)
  return new Promise((resolve, reject) => {
    const onError = (cause: NodeJS.ErrnoException): void => {
      const isTaken = cause.code === 'EADDRINUSE'
      const next = 'choose another address, such as 127.0.0.1:0 for any free port'
      reject(
        new RegistryError(isTaken ? 'PORT_IN_USE' : 'USAGE', `cannot listen on ${where}: ${messageOf(cause)}`, {
          cause,
          next
        })
      )
    }
    server.once('error', onError)
    server.listen(port, host, () => {
      server.off('error', onError)
      resolve()
    })
  })
}
