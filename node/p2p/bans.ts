import { LIMITS } from '../../protocol/limits.ts'

interface Ban {
  readonly until: number
  readonly times: number
}

/**
 * Who is kept out, and until when: 30 minutes, doubled each time, up to a day. Keys are peer ids and `ip:…`.
 * Bounded: the entry that was renewed longest ago goes first.
 */
export class Bans {
  readonly #bans = new Map<string, Ban>()

  /** Keeps `key` out and returns until when. */
  ban(key: string, now: number): number {
    const times = (this.#bans.get(key)?.times ?? 0) + 1
    const length = Math.min(LIMITS.connections.banMs * 2 ** (times - 1), LIMITS.connections.banMaxMs)
    this.#bans.delete(key)
    this.#bans.set(key, { until: now + length, times })
    if (this.#bans.size > LIMITS.connections.bansRemembered) {
      const oldest = this.#bans.keys().next().value
      if (oldest !== undefined) this.#bans.delete(oldest)
    }
    return now + length
  }

  has(key: string, now: number): boolean {
    return (this.#bans.get(key)?.until ?? 0) > now
  }

  get size(): number {
    return this.#bans.size
  }
}
