import type { Admission } from '../protocol/admission.ts'
import { LIMITS } from '../protocol/limits.ts'
import { Counts } from './counts.ts'
import type { LibraryNumbers } from './p2p/library-metrics.ts'
import { Metrics } from './runtime/metrics.ts'
import type { Metric } from './runtime/metrics.ts'
import type { Source } from './services/admit.ts'
import type { Activity, SwarmTraffic } from './services/api.ts'

const VERDICTS = ['accept', 'pending', 'ignore', 'reject'] as const
const WAYS = ['in', 'out'] as const
const STATUSES = ['2xx', '3xx', '4xx', '5xx'] as const

/** Bytes over the sockets of a node since it started. */
export interface Traffic {
  readonly bytesIn: number
  readonly bytesOut: number
}

interface Sample extends Traffic {
  readonly atMs: number
  readonly facts: number
  readonly swarms: ReadonlyMap<string, Traffic>
}

/** The gate as the network sees it. */
export interface CountedGate {
  admit(bytes: Uint8Array, source: Source): Promise<Admission>
  admitMany(facts: readonly Uint8Array[], source: Source): Promise<readonly Admission[]>
}

/** What a node has done since it started, and how fast over the last minute. */
export class NodeMeter {
  readonly metrics = new Metrics()
  readonly counts = new Counts(this.metrics)
  /** What the libraries count of themselves, by swarm; empty unless somebody reads it. */
  readonly libraries = new Map<string, LibraryNumbers>()
  readonly #facts: Metric<{ readonly verdict: typeof VERDICTS }>
  readonly #bytes: Metric<{ readonly way: typeof WAYS }>
  readonly #answers: Metric<{ readonly status: typeof STATUSES }>
  readonly #answerBytes: Metric<Record<never, never>>
  readonly #counts = { accept: 0, pending: 0, ignore: 0, reject: 0 }
  /** Oldest first. */
  #samples: readonly Sample[] = []

  constructor() {
    this.#facts = this.metrics.counter('ggen_facts_total', 'Facts by what the gate said of them', { verdict: VERDICTS })
    this.#answers = this.metrics.counter('ggen_gateway_answers_total', 'Answers over plain HTTP', { status: STATUSES })
    this.#answerBytes = this.metrics.counter('ggen_gateway_bytes_total', 'Bytes of answers over plain HTTP', {})
    this.#bytes = this.metrics.counter('ggen_network_bytes_total', 'Bytes over the sockets of peers', { way: WAYS })
  }

  /** A fact became part of a set, whoever brought it and however long it had waited. */
  accepted(): void {
    this.#count('accept')
  }

  /** The gate for peers, with what it did not accept counted; what it accepted is told by `accepted`. */
  watch(gate: CountedGate): CountedGate {
    const admitMany: CountedGate['admitMany'] = async (facts, source) => {
      const admissions = await gate.admitMany(facts, source)
      for (const { verdict } of admissions) if (verdict !== 'accept') this.#count(verdict)
      return admissions
    }
    return {
      admitMany,
      admit: async (bytes, source) => {
        const admission = await gate.admit(bytes, source)
        if (admission.verdict !== 'accept') this.#count(admission.verdict)
        return admission
      }
    }
  }

  /** Somebody was answered over plain HTTP. */
  answered({ status, bytes }: { readonly status: number; readonly bytes: number }): void {
    this.#answers.add({ status: STATUSES[Math.floor(status / 100) - 2] ?? '5xx' })
    this.#answerBytes.add({}, bytes)
  }

  /** Called at intervals: what came since is what the rates are made of. */
  sample(atMs: number, traffic: Traffic, swarms: ReadonlyMap<string, Traffic> = new Map()): void {
    this.#bytes.set({ way: 'in' }, traffic.bytesIn)
    this.#bytes.set({ way: 'out' }, traffic.bytesOut)
    const { bytesIn, bytesOut } = traffic
    const sample = { atMs, bytesIn, bytesOut, facts: this.#counts.accept, swarms }
    this.#samples = [...this.#samples, sample].slice(-LIMITS.metrics.samples)
  }

  /** Of each swarm: totals, and what came a second since the oldest sample that has it. */
  trafficOf(atMs: number, swarms: ReadonlyMap<string, Traffic>): readonly SwarmTraffic[] {
    return [...swarms].map(([swarm, { bytesIn, bytesOut }]) => {
      // A host that was started anew has counted from nought.
      const found = this.#samples.find(sample => (sample.swarms.get(swarm)?.bytesIn ?? Infinity) <= bytesIn)
      const before = found?.swarms.get(swarm)
      const rate = rateSince(found?.atMs, atMs)
      const perSecond = {
        bytesIn: rate(bytesIn, before?.bytesIn ?? 0),
        bytesOut: rate(bytesOut, before?.bytesOut ?? 0)
      }
      return { swarm, bytesIn, bytesOut, perSecond }
    })
  }

  /** Totals since the start, and what came a second since the oldest sample. */
  activity(atMs: number, { bytesIn, bytesOut }: Traffic): Activity {
    const [oldest] = this.#samples
    const rate = rateSince(oldest?.atMs, atMs)
    return {
      facts: { ...this.#counts },
      bytesIn,
      bytesOut,
      perSecond: {
        facts: rate(this.#counts.accept, oldest?.facts ?? 0),
        bytesIn: rate(bytesIn, oldest?.bytesIn ?? 0),
        bytesOut: rate(bytesOut, oldest?.bytesOut ?? 0)
      }
    }
  }

  #count(verdict: (typeof VERDICTS)[number]): void {
    this.#counts[verdict] += 1
    this.#facts.add({ verdict })
  }
}

/** A clock that was set back, or no time at all, gives no rate. */
function rateSince(fromMs: number | undefined, atMs: number): (now: number, before: number) => number {
  const seconds = fromMs === undefined ? 0 : (atMs - fromMs) / 1000
  return (now, before) => (seconds > 0 ? Math.max(0, Math.round(((now - before) / seconds) * 10) / 10) : 0)
}
