import type { Connection, Stream } from '@libp2p/interface'
import { decodeFactsRequest, encodeFactsResponse } from '../../protocol/facts-messages.ts'
import type { FactsRequest, FactsResponse } from '../../protocol/facts-messages.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { concatBytes } from '../../protocol/bytes.ts'
import { encodeCarBlock, encodeCarHeader } from '../../protocol/car.ts'
import { RegistryError, isRegistryError, messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Facts, Log } from './components.ts'
import { deadline } from './deadline.ts'
import { FramedStream } from './framed-stream.ts'
import { Pace } from './pace.ts'

export interface FactsServerComponents {
  readonly facts: Facts
  readonly registries: () => readonly RegistryId[]
  readonly clock: Clock
  readonly log: Log
  /** The peer sent what no honest program sends. */
  readonly onMalformed: (peer: string) => void
}

const BUDGET_BYTES = LIMITS.facts.responseBytes - LIMITS.facts.overheadBytes

/** Answers `/ggen/facts/1`: facts by id, and whole sets for newcomers, from followed registries only. */
export function factsHandler(components: FactsServerComponents): (stream: Stream, connection: Connection) => void {
  const turns = new Turns()
  const serve = async (stream: Stream, connection: Connection): Promise<void> => {
    const io = new FramedStream(stream)
    const peer = connection.remotePeer.toString()
    try {
      for (let served = 0; served < LIMITS.facts.requestsPerStream; served++) {
        if (!(await answer(components, io, kind => turns.take(peer, kind)))) break
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
  #snapshots = 0

  /** The function that gives the place back, or undefined when there is none. */
  take(peer: string, kind: FactsRequest['type']): (() => void) | undefined {
    const { servedInFlight, servedPerPeer } = LIMITS.facts
    const own = this.#byPeer.get(peer) ?? 0
    if (this.#all >= servedInFlight || own >= servedPerPeer) return undefined
    if (kind === 'snapshot' && this.#snapshots >= LIMITS.snapshot.served) return undefined
    this.#all += 1
    if (kind === 'snapshot') this.#snapshots += 1
    this.#byPeer.set(peer, own + 1)
    return () => {
      this.#all -= 1
      if (kind === 'snapshot') this.#snapshots -= 1
      const left = (this.#byPeer.get(peer) ?? 1) - 1
      if (left > 0) this.#byPeer.set(peer, left)
      else this.#byPeer.delete(peer)
    }
  }
}

/** One request; false when the other side has no more, or may ask no more on this stream. */
async function answer(
  components: FactsServerComponents,
  io: FramedStream,
  take: (kind: FactsRequest['type']) => (() => void) | undefined
): Promise<boolean> {
  const time = deadline(components.clock, LIMITS.facts.timeoutMs)
  let giveBack: (() => void) | undefined
  try {
    const bytes = await io.read(LIMITS.facts.requestBytes, time.signal)
    if (bytes === undefined) return false
    const request = decodeFactsRequest(bytes)
    giveBack = take(request.type)
    const response = await respond(components, request, giveBack === undefined)
    await io.write(encodeFactsResponse(response), time.signal)
    if (response.type === 'snapshot') await sendSnapshot(components, io, request.registry)
    return response.type === 'facts'
  } finally {
    giveBack?.()
    time.clear()
  }
}

async function respond(
  { facts, registries }: FactsServerComponents,
  request: FactsRequest,
  busy: boolean
): Promise<FactsResponse> {
  const { registry } = request
  if (busy) return { type: 'refused', reason: 'busy' }
  if (!registries().includes(registry)) return { type: 'refused', reason: 'unknown-registry' }
  if (request.type === 'snapshot') return { type: 'snapshot' }
  return { type: 'facts', facts: await factsById(facts, registry, request.ids) }
}

/** Those that are here and fit into one message, in the order in which they were asked for. */
async function factsById(facts: Facts, registry: RegistryId, ids: readonly FactId[]): Promise<readonly Uint8Array[]> {
  const found: Uint8Array[] = []
  let room = BUDGET_BYTES
  for (const id of ids) {
    const fact = await facts.get(registry, id)
    if (fact === undefined) continue
    if (fact.length > room) break
    room -= fact.length
    found.push(fact)
  }
  return found
}

/** The whole set as an archive. A reader that is too slow loses it: reconciliation brings him the rest. */
async function sendSnapshot(
  { facts, clock }: FactsServerComponents,
  io: FramedStream,
  registry: RegistryId
): Promise<void> {
  const pace = new Pace(clock)
  let parts = [encodeCarHeader(registry)]
  let bytes = 0
  const flush = async (): Promise<void> => {
    const time = deadline(clock, LIMITS.snapshot.chunkMs)
    try {
      await io.writeRaw(concatBytes(parts), time.signal)
    } finally {
      time.clear()
    }
    pace.count(bytes)
    parts = []
    bytes = 0
  }
  for await (const fact of facts.snapshot(registry)) {
    const block = encodeCarBlock(fact)
    parts.push(block)
    bytes += block.length
    if (bytes >= LIMITS.snapshot.chunkBytes) await flush()
  }
  await flush()
  // The last of it may still be on its way: an end that waits no longer than usual would cut it off.
  const time = deadline(clock, LIMITS.snapshot.chunkMs)
  await io.end(time.signal).finally(time.clear)
}
