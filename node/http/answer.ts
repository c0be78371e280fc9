import type { IncomingMessage, ServerResponse } from 'node:http'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from '../runtime/clock.ts'

/** One request and where its answer goes. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** The address of whoever asks. */
  readonly ip: string
  /** Aborted when the reader is gone, the time is up, or the node stops. */
  readonly signal: AbortSignal
}

export type Headers = Readonly<Record<string, string | number>>

/** An answer in words, for a person who reads it in a terminal. A browser never takes it for anything else. */
export function say({ request, response }: Exchange, status: number, text: string, headers: Headers = {}): void {
  const body = Buffer.from(`${text}\n`)
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': body.length,
    'cache-control': 'no-store',
    ...headers
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

/**
 * Sends pieces as fast as the reader takes them, small ones gathered. At most one piece waits in memory. Attack: a thousand
 * readers who take one byte a second; each loses the connection when a piece takes longer than the lowest rate allows.
 */
export async function sendPieces(
  { response, signal }: Exchange,
  clock: Pick<Clock, 'after'>,
  pieces: AsyncIterable<Uint8Array>
): Promise<void> {
  let parts: Uint8Array[] = []
  let bytes = 0
  const flush = async (): Promise<void> => {
    const piece = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
    parts = []
    bytes = 0
    if (piece.length > 0 && !response.write(piece)) await taken({ response, signal }, clock, 'drain')
  }
  for await (const piece of pieces) {
    signal.throwIfAborted()
    parts.push(piece)
    bytes += piece.length
    if (bytes >= LIMITS.gateway.pieceBytes) await flush()
  }
  await flush()
  response.end()
  await taken({ response, signal }, clock, 'finish')
}

/** Waits until the kernel has what was written. @throws RegistryError TIMEOUT for a reader that is too slow */
async function taken(
  { response, signal }: Pick<Exchange, 'response' | 'signal'>,
  clock: Pick<Clock, 'after'>,
  event: 'drain' | 'finish'
): Promise<void> {
  if (event === 'finish' && response.writableFinished) return
  signal.throwIfAborted()
  const { idleMs, bytesPerSecond } = LIMITS.gateway
  const done = new AbortController()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const fail = (error: unknown): void => reject(error instanceof Error ? error : new Error(String(error)))
  const onEnd = (): void => resolve()
  const onGone = (): void => fail(signal.reason)
  response.once(event, onEnd)
  signal.addEventListener('abort', onGone, { once: true, signal: done.signal })
  const waitMs = idleMs + (response.writableLength / bytesPerSecond) * 1_000
  clock.after(waitMs, () => fail(new RegistryError('TIMEOUT', 'the reader takes too little')), done.signal)
  try {
    await promise
  } finally {
    done.abort()
    response.off(event, onEnd)
  }
}
