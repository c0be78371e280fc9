import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'

/** What a peer has shown when it was asked for content. */
interface Record {
  /** Until the first byte of an answer; moves a part of the way to each new one. */
  latencyMs: number | undefined
  bytesPerSecond: number | undefined
  /** When it was last asked and did not answer in time. */
  silentAt: number | undefined
}

/** How far the newest figure moves what is remembered. */
const WEIGHT = 0.3

/**
 * How soon and how fast peers have answered: whom to ask first, and after how long somebody else is asked too.
 * The figures are a peer's own doing, so they only order: nobody is believed or struck for them.
 */
export class Shown {
  readonly #clock: Clock
  /** Those that were heard of last come last. */
  readonly #records = new Map<string, Record>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  answered(peer: string, latencyMs: number): void {
    const record = this.#of(peer)
    record.latencyMs = moved(record.latencyMs, latencyMs)
    record.silentAt = undefined
  }

  sent(peer: string, bytesPerSecond: number): void {
    const record = this.#of(peer)
    record.bytesPerSecond = moved(record.bytesPerSecond, bytesPerSecond)
  }

  silent(peer: string): void {
    this.#of(peer).silentAt = this.#clock.now()
  }

  isSilent(peer: string): boolean {
    const at = this.#records.get(peer)?.silentAt
    return at !== undefined && this.#clock.now() - at < LIMITS.dag.silentMs
  }

  bytesPerSecond(peer: string): number | undefined {
    return this.#records.get(peer)?.bytesPerSecond
  }

  /** How long a block of a mebibyte would take, about; of a peer that has shown nothing as long as of most. */
  costMs(peer: string): number {
    const record = this.#records.get(peer)
    const latency = record?.latencyMs ?? this.#quantile(0.5, 'latencyMs') ?? 0
    const rate = record?.bytesPerSecond ?? this.#quantile(0.5, 'bytesPerSecond')
    return latency + (rate === undefined ? 0 : (LIMITS.content.chunkBytes / rate) * 1_000)
  }

  /**
   * After how long without a byte another peer is asked too: a few times what four in five of the answers took, so that
   * hardly anybody is given up who is only as slow as usual. Never more than `mostMs`.
   */
  hedgeMs(mostMs: number): number {
    const usual = this.#quantile(0.8, 'latencyMs')
    const { hedgeFactor, hedgeLeastMs, hedgeUnknownMs } = LIMITS.dag
    if (usual === undefined) return Math.min(mostMs, hedgeUnknownMs)
    return Math.min(mostMs, Math.max(hedgeLeastMs, Math.ceil(usual * hedgeFactor)))
  }

  #quantile(part: number, of: 'latencyMs' | 'bytesPerSecond'): number | undefined {
    const known = [...this.#records.values()].flatMap(record => record[of] ?? []).toSorted((a, b) => a - b)
    return known[Math.min(known.length - 1, Math.floor(known.length * part))]
  }

  #of(peer: string): Record {
    const record = this.#records.get(peer) ?? { latencyMs: undefined, bytesPerSecond: undefined, silentAt: undefined }
    this.#records.delete(peer)
    this.#records.set(peer, record)
    if (this.#records.size > LIMITS.dag.peersShown) {
      const oldest = this.#records.keys().next().value
      if (oldest !== undefined) this.#records.delete(oldest)
    }
    return record
  }
}

function moved(before: number | undefined, now: number): number {
  return before === undefined ? now : before + (now - before) * WEIGHT
}
