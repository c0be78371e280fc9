import { LIMITS } from '../../protocol/limits.ts'

interface Strikes {
  readonly count: number
  readonly at: number
}

/** What one invalid fact weighs, squared per topic as gossipsub does: 8 of them are -3200. */
const WEIGHT = -50
const DECAY_PER_SECOND = 0.9987

/** Below this a peer is cut. */
export const CUT_BELOW = -2_500

/**
 * What each peer has been caught at, over all its connections and all ways of sending facts. gossipsub's own score
 * cannot be used alone: it is up to a heartbeat old when it is read, and a reconnect sets it back to nought.
 */
export class Conduct {
  readonly #strikes = new Map<string, Strikes>()

  /** Adds `weight` strikes and returns the score, 0 or less. Half of a strike is forgotten after about nine minutes. */
  blame(peer: string, now: number, weight = 1): number {
    const count = this.#count(peer, now) + weight
    this.#strikes.delete(peer)
    this.#strikes.set(peer, { count, at: now })
    if (this.#strikes.size > LIMITS.connections.bansRemembered) {
      const oldest = this.#strikes.keys().next().value
      if (oldest !== undefined) this.#strikes.delete(oldest)
    }
    return WEIGHT * count * count
  }

  score(peer: string, now: number): number {
    const count = this.#count(peer, now)
    return count === 0 ? 0 : WEIGHT * count * count
  }

  #count(peer: string, now: number): number {
    const strikes = this.#strikes.get(peer)
    return strikes === undefined ? 0 : strikes.count * DECAY_PER_SECOND ** (Math.max(0, now - strikes.at) / 1000)
  }
}
