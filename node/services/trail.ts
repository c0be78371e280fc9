import { LIMITS } from '../../protocol/limits.ts'
import { NO_TIMES } from '../../protocol/trace-record.ts'
import type { TraceRecord, TraceSource, TraceWay } from '../../protocol/trace-record.ts'

export interface TrailInit {
  readonly now: () => number
  /** What choosing the version took; undefined when nobody had to. */
  readonly resolveMs?: number | undefined
}

interface Source {
  readonly way: TraceWay
  readonly from: string | null
  blocks: number
  bytes: number
}

/**
 * What becomes of one fetch: whoever asks, receives or stores tells it here, while it goes on.
 *
 * Invariant: a byte is told once, by whoever took it; what came twice, or for nothing, is not told.
 */
export class Trail {
  readonly #init: TrailInit
  readonly #started: number
  readonly #sources = new Map<string, Source>()
  #askedAt: number | undefined
  #firstAt: number | undefined
  #lastAt = 0
  #storedAt: number | undefined
  #flushedAt: number | undefined
  #lookupMs: number | undefined
  #received = 0
  #said: readonly string[] = []
  readonly #arrived = Promise.withResolvers<void>()

  constructor(init: TrailInit) {
    this.#init = init
    this.#started = init.now()
  }

  /** Somebody was asked for something. */
  asked(): void {
    this.#askedAt ??= this.#init.now()
  }

  /** The DHT was asked who has it. */
  lookedUp(ms: number): void {
    this.#lookupMs = (this.#lookupMs ?? 0) + ms
  }

  /** What those said who were asked and sent nothing; the last word holds. */
  said(line: string): void {
    this.#said = line === '' ? [] : [line]
  }

  /** A block came that was missing, verified. */
  block(way: Exclude<TraceWay, 'disk'>, from: string, bytes: number): void {
    this.asked()
    this.#lastAt = this.#init.now()
    this.#firstAt ??= this.#lastAt
    this.#received += bytes
    this.#add(way, from, bytes)
  }

  /** A block was on this disk already. */
  here(bytes: number): void {
    this.#add('disk', null, bytes)
  }

  stored(): void {
    this.#storedAt ??= this.#init.now()
    this.#arrived.resolve()
  }

  /** Fulfilled when every block is here, durable or not yet; never, when that does not come to pass. */
  get arrived(): Promise<void> {
    return this.#arrived.promise
  }

  flushed(): void {
    this.#flushedAt ??= this.#init.now()
  }

  /** Bytes that came over the network so far. */
  get received(): number {
    return this.#received
  }

  get sources(): readonly TraceSource[] {
    return [...this.#sources.values()].toSorted((a, b) => b.bytes - a.bytes)
  }

  /** @param failed the code of what it ended with; with all that was tried */
  record(failed: string | null, tried: readonly string[] = this.#said): TraceRecord {
    const [start, asked, first, stored, flushed] = [
      this.#started,
      this.#askedAt,
      this.#firstAt,
      this.#storedAt,
      this.#flushedAt
    ]
    const last = first === undefined ? undefined : this.#lastAt
    return {
      time: this.#init.now(),
      failed,
      sources: this.sources,
      tried,
      times: {
        ...NO_TIMES,
        resolve: this.#init.resolveMs ?? null,
        find: span(start, asked),
        lookup: this.#lookupMs ?? null,
        firstByte: span(asked, first),
        transfer: span(first, last),
        store: span(last ?? start, stored),
        flush: span(stored, flushed)
      }
    }
  }

  #add(way: TraceWay, from: string | null, bytes: number): void {
    const key = `${way} ${from}`
    const source = this.#sources.get(key) ?? this.#room(way, from, key)
    source.blocks += 1
    source.bytes += bytes
  }

  /** Attack: a content of which each of a thousand peers sends one block. Those beyond the bound are one. */
  #room(way: TraceWay, from: string | null, key: string): Source {
    const isFull = this.#sources.size >= LIMITS.trace.sources && from !== null
    const rest = this.#sources.get(`${way} null`)
    if (isFull && rest !== undefined) return rest
    const source: Source = { way, from: isFull ? null : from, blocks: 0, bytes: 0 }
    this.#sources.set(isFull ? `${way} null` : key, source)
    return source
  }
}

function span(from: number | undefined, to: number | undefined): number | null {
  return from === undefined || to === undefined ? null : Math.max(0, Math.round(to - from))
}
