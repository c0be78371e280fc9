import type { CutReason, FactWay, GossipVerdict } from './p2p/components.ts'
import type { Metric, Metrics } from './runtime/metrics.ts'

const FACT_WAYS = ['gossip', 'sync', 'snapshot'] as const satisfies readonly FactWay[]
const CUTS = ['invalid-facts', 'gossip-score', 'malformed-message', 'lied'] as const satisfies readonly CutReason[]
const VERDICTS = ['accept', 'pending', 'ignore', 'reject'] as const satisfies readonly GossipVerdict[]
const RESULTS = ['ok', 'failed'] as const

type None = Record<never, never>

/** What is counted of what peers send and are sent. Labels are from closed sets; ids go to the log only. */
export class Counts {
  readonly #facts: Metric<{ readonly way: typeof FACT_WAYS }>
  readonly #gossip: Metric<{ readonly verdict: typeof VERDICTS }>
  readonly #sessions: Metric<None>
  readonly #missing: Metric<None>
  readonly #cuts: Metric<{ readonly reason: typeof CUTS }>
  readonly #fetches: Metric<{ readonly result: typeof RESULTS }>
  readonly #fetched: Metric<None>
  readonly #served: Metric<None>

  constructor(metrics: Metrics) {
    this.#facts = metrics.counter('ggen_facts_received_total', 'Facts that peers brought and that were taken', {
      way: FACT_WAYS
    })
    this.#gossip = metrics.counter('ggen_gossip_messages_total', 'Messages of gossip by what was said of them', {
      verdict: VERDICTS
    })
    this.#sessions = metrics.counter('ggen_sync_sessions_total', 'Comparisons with a peer that came to their end', {})
    this.#missing = metrics.counter('ggen_sync_missing_total', 'Facts that peers named and did not deliver', {})
    this.#cuts = metrics.counter('ggen_peers_cut_total', 'Peers that were cut off', { reason: CUTS })
    this.#fetches = metrics.counter('ggen_fetches_total', 'Contents that were to be brought here', { result: RESULTS })
    this.#fetched = metrics.counter('ggen_fetched_bytes_total', 'Bytes of blocks that were brought here', {})
    this.#served = metrics.counter('ggen_served_bytes_total', 'Bytes of blocks that were streamed to peers', {})
  }

  fact(way: FactWay): void {
    this.#facts.add({ way })
  }

  gossip(verdict: GossipVerdict): void {
    this.#gossip.add({ verdict })
  }

  compared(missing: number): void {
    this.#sessions.add({})
    this.#missing.add({}, missing)
  }

  cut(reason: CutReason): void {
    this.#cuts.add({ reason })
  }

  /** Undefined for a fetch that failed. */
  fetched(bytes: number | undefined): void {
    this.#fetches.add({ result: bytes === undefined ? 'failed' : 'ok' })
    this.#fetched.add({}, bytes ?? 0)
  }

  served(bytes: number): void {
    this.#served.add({}, bytes)
  }
}
