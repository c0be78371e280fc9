import { CarReader } from '../../protocol/car.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { RegistryError, messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, Gate, Log, SwarmEvents } from './components.ts'
import { deadline } from './deadline.ts'
import { askFacts, closeWell, isLie } from './facts-client.ts'
import type { FramedStream } from './framed-stream.ts'
import { Pace } from './pace.ts'
import type { Peers } from './peers.ts'

export interface SnapshotComponents {
  readonly gate: Gate
  readonly peers: Peers
  readonly clock: Clock
  readonly log: Log
  readonly events: SwarmEvents
}

export interface SnapshotSource {
  readonly peer: string
  readonly registry: RegistryId
}

/**
 * Reads a peer's whole set into an empty one, every fact through the gate. Never throws: what is broken, refused or too
 * slow is left off, and reconciliation brings the rest.
 */
export async function readSnapshot(
  components: SnapshotComponents,
  source: SnapshotSource,
  signal: AbortSignal
): Promise<void> {
  const { peers, clock, log } = components
  const connection = peers.connection(source.peer)
  if (connection === undefined) return
  let io: FramedStream | undefined
  try {
    const { registry } = source
    const asked = await askFacts(connection, { type: 'snapshot', registry }, { clock, signal })
    io = asked.io
    if (asked.response.type === 'facts') throw new RegistryError('MALFORMED', 'facts in place of a snapshot')
    if (asked.response.type === 'snapshot') await readArchive(components, source, { io, signal })
    closeWell(io)
  } catch (error) {
    log.debug('a snapshot was left off', { peer: source.peer, error: messageOf(error) })
    io?.abort(error instanceof Error ? error : new RegistryError('INTERNAL', 'a snapshot failed', { cause: error }))
    if (isLie(error)) peers.blame(source.peer, 'malformed-message')
  }
}

async function readArchive(
  { gate, peers, clock, events }: SnapshotComponents,
  { peer, registry }: SnapshotSource,
  { io, signal }: { readonly io: FramedStream; readonly signal: AbortSignal }
): Promise<void> {
  const reader = new CarReader(registry)
  const pace = new Pace(clock)
  let waiting: Uint8Array[] = []
  let bytes = 0
  let facts = 0
  let refused = 0
  /** False when the rest is better left to reconciliation. */
  const admit = async (): Promise<boolean> => {
    const batch = waiting
    waiting = []
    bytes = 0
    facts += batch.length
    const verdicts = await pace.pause(async () => await gate.admitMany(batch, { peer, registry }))
    for (const verdict of verdicts) {
      if (verdict.verdict === 'accept') events.onFact?.({ registry, peer, way: 'snapshot' })
      if (verdict.verdict === 'reject') peers.blame(peer, 'invalid-facts')
      if (verdict.verdict !== 'accept' && !(verdict.verdict === 'ignore' && verdict.reason === 'seen')) refused += 1
    }
    if (peers.get(peer) === undefined) throw new RegistryError('CANCELLED', 'the peer is gone')
    return facts < LIMITS.snapshot.facts && refused < LIMITS.snapshot.refused
  }
  for (;;) {
    const time = deadline(clock, LIMITS.snapshot.chunkMs, signal)
    const chunk = await io.chunk(time.signal).finally(time.clear)
    if (chunk === undefined) break
    pace.count(chunk.length)
    for (const block of reader.push(chunk)) {
      waiting.push(block)
      bytes += block.length
      const isFull = waiting.length >= LIMITS.snapshot.batchFacts || bytes >= LIMITS.snapshot.batchBytes
      if (isFull && !(await admit())) return io.abort(new RegistryError('CANCELLED', 'left to reconciliation'))
    }
  }
  // What came before a break is as good as anything else.
  if (waiting.length > 0) await admit()
  reader.end()
}
