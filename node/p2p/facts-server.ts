import type { Connection, Stream } from '@libp2p/interface'
import { decodeFactsRequest, encodeFactsResponse } from '../../protocol/catch-up.ts'
import type { FactsRequest, FactsResponse } from '../../protocol/catch-up.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { RegistryError, isRegistryError, messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, FactLog, Log } from './components.ts'
import { deadline } from './deadline.ts'
import { FramedStream } from './framed-stream.ts'

export interface FactsServerComponents {
  readonly factLog: FactLog
  readonly registries: () => readonly RegistryId[]
  readonly clock: Clock
  readonly log: Log
  /** The peer sent what no honest program sends. */
  readonly onMalformed: (peer: string) => void
}

const BUDGET_BYTES = LIMITS.catchUp.pageBytes - LIMITS.catchUp.overheadBytes

/** Answers `/ggen/facts/1`: pages of the log and facts by id, from followed registries only. */
export function factsHandler(components: FactsServerComponents): (stream: Stream, connection: Connection) => void {
  const turns = new Turns()
  const serve = async (stream: Stream, connection: Connection): Promise<void> => {
    const io = new FramedStream(stream)
    const peer = connection.remotePeer.toString()
    try {
      for (let served = 0; served < LIMITS.catchUp.pagesPerSession; served++) {
        if (!(await answer(components, io, () => turns.take(peer)))) break
      }
      await io.end(AbortSignal.timeout(LIMITS.connections.closeMs))
    } catch (error) {
      components.log.debug('serving facts ended', { reason: messageOf(error) })
      if (isRegistryError(error) && error.code === 'MALFORMED') components.onMalformed(peer)
      io.abort(error instanceof Error ? error : new RegistryError('INTERNAL', 'serving failed', { cause: error }))
    }
  }
  return (stream, connection) => void serve(stream, connection)
}

/**
 * Requests being answered: one page is in memory for each, the others are told to come back.
 * Attack: streams that ask nothing, or read nothing, hold every place. A stream takes one only while it is answered, and
 * no peer has more than its share.
 */
class Turns {
  readonly #byPeer = new Map<string, number>()
  #all = 0

  /** The function that gives the place back, or undefined when there is none. */
  take(peer: string): (() => void) | undefined {
    const { servedInFlight, servedPerPeer } = LIMITS.catchUp
    const own = this.#byPeer.get(peer) ?? 0
    if (this.#all >= servedInFlight || own >= servedPerPeer) return undefined
    this.#all += 1
    this.#byPeer.set(peer, own + 1)
    return () => {
      this.#all -= 1
      const left = (this.#byPeer.get(peer) ?? 1) - 1
      if (left > 0) this.#byPeer.set(peer, left)
      else this.#byPeer.delete(peer)
    }
  }
}

/** One request; false when the other side has no more. */
async function answer(
  components: FactsServerComponents,
  io: FramedStream,
  take: () => (() => void) | undefined
): Promise<boolean> {
  const time = deadline(components.clock, LIMITS.catchUp.timeoutMs)
  let giveBack: (() => void) | undefined
  try {
    const bytes = await io.read(LIMITS.catchUp.requestBytes, time.signal)
    if (bytes === undefined) return false
    const request = decodeFactsRequest(bytes)
    giveBack = take()
    const response = await respond(components, request, giveBack === undefined)
    await io.write(encodeFactsResponse(response), time.signal)
    return response.type !== 'refused'
  } finally {
    giveBack?.()
    time.clear()
  }
}

async function respond(
  { factLog, registries }: FactsServerComponents,
  request: FactsRequest,
  busy: boolean
): Promise<FactsResponse> {
  const { registry } = request
  if (busy) return { type: 'refused', reason: 'busy' }
  if (!registries().includes(registry)) return { type: 'refused', reason: 'unknown-registry' }
  if (request.type === 'ids') return { type: 'facts', facts: await factsById(factLog, registry, request.ids) }
  const epoch = await factLog.epoch(registry)
  const after = request.epoch === epoch ? request.after : 0
  const budget = {
    facts: Math.max(1, Math.min(request.facts, LIMITS.catchUp.pageFacts)),
    bytes: Math.min(request.bytes, BUDGET_BYTES)
  }
  return { type: 'page', epoch, ...(await pageOf(factLog, registry, after, budget)) }
}

async function pageOf(
  factLog: FactLog,
  registry: RegistryId,
  after: number,
  budget: { readonly facts: number; readonly bytes: number }
): Promise<Pick<Extract<FactsResponse, { type: 'page' }>, 'facts' | 'next' | 'done'>> {
  const { facts, next, done } = await factLog.page(registry, after, budget)
  return { facts, next, done }
}

/** Those that are here and fit into one message, in the order in which they were asked for. */
async function factsById(
  factLog: FactLog,
  registry: RegistryId,
  ids: Extract<FactsRequest, { type: 'ids' }>['ids']
): Promise<readonly Uint8Array[]> {
  const facts: Uint8Array[] = []
  let room = BUDGET_BYTES
  for (const id of ids) {
    const fact = await factLog.get(registry, id)
    if (fact === undefined) continue
    if (fact.length > room) break
    room -= fact.length
    facts.push(fact)
  }
  return facts
}
