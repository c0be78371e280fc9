import type { Connection } from '@libp2p/interface'
import { FACTS_PROTOCOL, decodeFactsResponse, encodeFactsRequest } from '../../protocol/catch-up.ts'
import type { FactsRequest, FactsResponse } from '../../protocol/catch-up.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'
import { deadline } from './deadline.ts'
import { FramedStream } from './framed-stream.ts'

/** Asks one peer for facts, one request after the other on one stream. Always close it. */
export interface FactsClient {
  /** @throws RegistryError TIMEOUT | MALFORMED | LIMIT_EXCEEDED | PEER_UNREACHABLE */
  ask(request: FactsRequest): Promise<FactsResponse>
  close(): void
}

/** Opens the stream; each request has a deadline of its own, so that a slow reader is not taken for a silent peer. */
export async function openFactsClient(connection: Connection, clock: Clock, signal: AbortSignal): Promise<FactsClient> {
  const opening = deadline(clock, LIMITS.catchUp.timeoutMs, signal)
  try {
    const io = new FramedStream(await connection.newStream(FACTS_PROTOCOL, { signal: opening.signal }))
    return {
      ask: async request => await ask(io, request, clock, signal),
      close: () => {
        void io.end(AbortSignal.timeout(LIMITS.connections.closeMs)).catch(error => io.abort(error as Error))
      }
    }
  } finally {
    opening.clear()
  }
}

async function ask(io: FramedStream, request: FactsRequest, clock: Clock, signal: AbortSignal): Promise<FactsResponse> {
  const time = deadline(clock, LIMITS.catchUp.timeoutMs, signal)
  try {
    await io.write(encodeFactsRequest(request), time.signal)
    const bytes = await io.read(LIMITS.catchUp.pageBytes, time.signal)
    if (bytes === undefined) throw new RegistryError('PEER_UNREACHABLE', 'the peer ended the stream')
    const response = decodeFactsResponse(bytes)
    // A page that goes nowhere would be asked for again and again.
    if (response.type === 'page' && !response.done && response.facts.length === 0) {
      throw new RegistryError('MALFORMED', 'a page without facts says that there are more')
    }
    return response
  } catch (error) {
    io.abort(error instanceof Error ? error : new RegistryError('INTERNAL', 'asking failed', { cause: error }))
    throw error
  } finally {
    time.clear()
  }
}
