import type { Connection } from '@libp2p/interface'
import { FACTS_PROTOCOL, decodeFactsResponse, encodeFactsRequest } from '../../protocol/facts-messages.ts'
import type { FactsRequest, FactsResponse } from '../../protocol/facts-messages.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { RegistryError, isRegistryError, messageOf } from '../../protocol/errors.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Log } from './components.ts'
import { deadline } from './deadline.ts'
import { FramedStream } from './framed-stream.ts'
import type { Peers } from './peers.ts'

/** Opens a stream and asks one thing; what follows the answer is for the caller, who closes it. */
export async function askFacts(
  connection: Connection,
  request: FactsRequest,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal }
): Promise<{ readonly io: FramedStream; readonly response: FactsResponse }> {
  const time = deadline(clock, LIMITS.facts.timeoutMs, signal)
  let io: FramedStream | undefined
  try {
    io = new FramedStream(await connection.newStream(FACTS_PROTOCOL, { signal: time.signal }))
    await io.write(encodeFactsRequest(request), time.signal)
    const bytes = await io.read(LIMITS.facts.responseBytes, time.signal)
    if (bytes === undefined) throw new RegistryError('PEER_UNREACHABLE', 'the peer ended the stream')
    return { io, response: decodeFactsResponse(bytes) }
  } catch (error) {
    io?.abort(error instanceof Error ? error : new RegistryError('INTERNAL', 'asking failed', { cause: error }))
    throw error
  } finally {
    time.clear()
  }
}

export interface FactFetcherComponents {
  readonly peers: Peers
  readonly clock: Clock
  readonly log: Log
}

/** One fact by its id, checked to be that fact. A peer that sends another one is struck for it. */
export function factFetcher({ peers, clock, log }: FactFetcherComponents) {
  return async (peer: string, registry: RegistryId, id: FactId): Promise<Uint8Array | undefined> => {
    const connection = peers.connection(peer)
    if (connection === undefined) return undefined
    const { signal } = new AbortController()
    try {
      const { io, response } = await askFacts(connection, { type: 'ids', registry, ids: [id] }, { clock, signal })
      closeWell(io)
      const envelope = response.type === 'facts' ? response.facts[0] : undefined
      if (envelope !== undefined && parseEnvelope(envelope).id !== id)
        throw new RegistryError('MALFORMED', 'a fact that was not asked for')
      return envelope
    } catch (error) {
      log.debug('a fact could not be fetched', { peer, error: messageOf(error) })
      if (isLie(error)) peers.blame(peer, 'malformed-message')
      return undefined
    }
  }
}

export function closeWell(io: FramedStream): void {
  void io.end(AbortSignal.timeout(LIMITS.connections.closeMs)).catch(error => io.abort(error as Error))
}

/** Did the peer send what no honest program sends? */
export function isLie(error: unknown): boolean {
  return isRegistryError(error) && (error.code === 'MALFORMED' || error.code === 'LIMIT_EXCEEDED')
}
