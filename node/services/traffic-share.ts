/** Bytes received so far from each peer, counted at the sockets. */
export interface Meter {
  read(): ReadonlyMap<string, number>
}

/** Bytes received from peers, most first. */
export type Received = readonly (readonly [peer: string, bytes: number])[]

interface Share {
  readonly received: Map<string, number>
}

/**
 * Divides what the sockets receive among the tasks that are under way: sockets do not know for which package a byte came.
 * Invariant: no byte is counted twice, so the shares never add up to more than what was received.
 */
export class TrafficShare {
  readonly #meter: Meter
  readonly #shares = new Set<Share>()
  #read: ReadonlyMap<string, number>

  constructor(meter: Meter) {
    this.#meter = meter
    this.#read = meter.read()
  }

  /** Counts for one task, until the function it returns is called, which says what came in. */
  begin(): () => Received {
    this.#divide()
    const share: Share = { received: new Map() }
    this.#shares.add(share)
    return () => {
      this.#divide()
      this.#shares.delete(share)
      return [...share.received].filter(([, bytes]) => bytes > 0).toSorted(([, a], [, b]) => b - a)
    }
  }

  #divide(): void {
    const now = this.#meter.read()
    for (const [peer, total] of now) {
      const [first, ...others] = this.#shares
      if (first === undefined) break
      const bytes = total - (this.#read.get(peer) ?? 0)
      const each = Math.floor(bytes / this.#shares.size)
      for (const { received } of others) received.set(peer, (received.get(peer) ?? 0) + each)
      first.received.set(peer, (first.received.get(peer) ?? 0) + bytes - each * others.length)
    }
    this.#read = now
  }
}
