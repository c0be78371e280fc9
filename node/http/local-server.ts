import { timingSafeEqual } from 'node:crypto'
import { chmod, unlink } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { CallContext } from '../services/api.ts'
import { toLocalError } from './local-protocol.ts'
import type { LocalLine } from './local-protocol.ts'

export interface LocalServerInit {
  /** A Unix socket path, or a named pipe on Windows. */
  readonly path: string
  /** Whoever can read the 0600 file that holds it may give orders. */
  readonly token: string
  readonly call: (method: string, params: unknown, context: CallContext) => Promise<unknown>
}

export interface LocalServer {
  close(): Promise<void>
}

/** Serves the node's calls to programs of the same user: `POST /call/<method>`, JSON in, lines of JSON out. */
export async function openLocalServer({ path, token, call }: LocalServerInit): Promise<LocalServer> {
  const server = createServer((request, response) => {
    void answer(request, response, { token, call })
  })
  server.maxConnections = LIMITS.localApi.connections
  server.requestTimeout = LIMITS.localApi.timeoutMs
  server.headersTimeout = LIMITS.localApi.connectTimeoutMs
  // The lock on the data directory is ours, so a socket that is left there belongs to a process that is gone.
  if (process.platform !== 'win32') await unlink(path).catch(() => undefined)
  await listen(server, path)
  if (process.platform !== 'win32') await chmod(path, 0o600)
  return {
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { token, call }: Pick<LocalServerInit, 'token' | 'call'>
): Promise<void> {
  const abort = new AbortController()
  response.on('close', () => abort.abort(new RegistryError('CANCELLED', 'the command went away')))
  const write = (line: LocalLine): void => {
    if (!response.writableEnded) response.write(`${JSON.stringify(line)}\n`)
  }
  try {
    if (!isAllowed(request, token)) {
      response.writeHead(403)
      throw new RegistryError('NOT_AUTHORIZED', 'the local token is wrong')
    }
    const method = /^\/call\/([a-zA-Z]+)$/.exec(request.url ?? '')?.[1]
    if (request.method !== 'POST' || method === undefined) {
      response.writeHead(404)
      throw new RegistryError('USAGE', 'no such call')
    }
    const params: unknown = JSON.parse(await readBody(request))
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    const result = await call(method, params, { signal: abort.signal, onProgress: progress => write({ progress }) })
    write({ result })
  } catch (error) {
    write({ error: toLocalError(error) })
  } finally {
    response.end()
  }
}

/** A browser page can reach a socket on no account, but a wrong Host or an Origin would show one that did. */
function isAllowed(request: IncomingMessage, token: string): boolean {
  const given = Buffer.from(request.headers.authorization ?? '')
  const wanted = Buffer.from(`Bearer ${token}`)
  return request.headers.origin === undefined && given.length === wanted.length && timingSafeEqual(given, wanted)
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > LIMITS.localApi.requestBytes) throw new RegistryError('LIMIT_EXCEEDED', 'a local call is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
