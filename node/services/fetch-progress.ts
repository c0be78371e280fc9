import { LIMITS } from '../../protocol/limits.ts'
import { Trail } from './trail.ts'

export interface FetchProgressInit {
  readonly now: () => number
  /** Bytes that all of it has, as releases declare them. */
  readonly total: number
  /** Whether what comes from a peer is carried by a relay. */
  readonly isRelayed: (peer: string) => boolean
}

/** What a person is shown while bytes come. */
export interface FetchTold {
  readonly text: string
  readonly bytes: number
  readonly total: number
  readonly peers: number
  readonly bytesPerSecond: number
  readonly from?: { readonly name: string; readonly relayed: boolean; readonly others: number }
}

/** What had come from each at one time. */
interface Sample {
  readonly at: number
  readonly bytes: number
  readonly sent: ReadonlyMap<string, number>
}

/** The contents that one call fetches, as people see them: which, how much of them, how fast, and from whom. */
export class FetchProgress {
  readonly #init: FetchProgressInit
  readonly #running = new Map<Trail, string>()
  /** All of them, those that have come with them. */
  readonly #trails: Trail[] = []
  readonly #samples: Sample[] = []

  constructor(init: FetchProgressInit) {
    this.#init = init
    this.#samples.push({ at: init.now(), bytes: 0, sent: new Map() })
  }

  /** A content begins to come; whoever brings it tells its trail. */
  begin(name: string, resolveMs?: number): { readonly trail: Trail; readonly end: () => void } {
    const trail = new Trail({ now: this.#init.now, resolveMs })
    this.#running.set(trail, name)
    this.#trails.push(trail)
    return { trail, end: () => void this.#running.delete(trail) }
  }

  read(): FetchTold {
    const { now, total, isRelayed } = this.#init
    const sample = this.#sample(now())
    const [before] = this.#samples
    // What ends in between is told too, and would make the time that the rate is taken over ever shorter.
    if (sample.at - (this.#samples.at(-1)?.at ?? 0) >= LIMITS.fetch.tellMs / 2) this.#samples.push(sample)
    if (this.#samples.length > LIMITS.fetch.progressSamples) this.#samples.shift()
    const news = [...sample.sent]
      .map(([name, bytes]) => ({ name, bytes: bytes - (before?.sent.get(name) ?? 0) }))
      .filter(({ bytes }) => bytes > 0)
      .toSorted((a, b) => b.bytes - a.bytes)
    const [first] = news
    const ms = Math.max(1, sample.at - (before?.at ?? sample.at))
    return {
      text: this.#text(),
      bytes: sample.bytes,
      // Nodes are not part of what a release declares.
      total: Math.max(total, sample.bytes),
      peers: sample.sent.size,
      bytesPerSecond: Math.round(((sample.bytes - (before?.bytes ?? 0)) * 1_000) / ms),
      ...(first && { from: { name: first.name, relayed: isRelayed(first.name), others: news.length - 1 } })
    }
  }

  #sample(at: number): Sample {
    const sent = new Map<string, number>()
    let all = 0
    for (const { sources, received } of this.#trails) {
      all += received
      for (const { way, from, bytes } of sources) {
        if (way !== 'disk' && from !== null) sent.set(from, (sent.get(from) ?? 0) + bytes)
      }
    }
    return { at, bytes: all, sent }
  }

  #text(): string {
    const [first, ...others] = this.#running.values()
    if (first === undefined) return 'fetching'
    return `fetching ${first}${others.length === 0 ? '' : ` and ${others.length} more`}`
  }
}

/** Tells at intervals what becomes of something that takes long: a package may be large. */
export async function tellingOf<T>(task: Promise<T>, tell: () => void): Promise<T> {
  const ticker = setInterval(tell, LIMITS.fetch.tellMs)
  try {
    return await task
  } finally {
    clearInterval(ticker)
  }
}
