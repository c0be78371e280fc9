import { RegistryError } from '../../protocol/errors.ts'

export interface RateInit {
  readonly perSecond: number
  readonly burst: number
  /** Keys that are told apart at once. */
  readonly keys: number
  readonly now: () => number
}

interface Bucket {
  tokens: number
  atMs: number
}

/**
 * A token bucket for each key, in a table that never grows beyond its bound. A key whose bucket has filled up again is
 * forgotten first, because remembering it makes no difference; when all are in use, newcomers are refused.
 */
export class RateLimit {
  readonly #init: RateInit
  /** Least recently used first. */
  readonly #buckets = new Map<string, Bucket>()

  constructor(init: RateInit) {
    if (!(init.perSecond > 0 && init.burst > 0 && init.keys > 0))
      throw new RegistryError('INTERNAL', 'a rate of nothing')
    this.#init = init
  }

  /** Whether the key may do `cost` more now; if so, it is taken off. */
  take(key: string, cost = 1): boolean {
    const bucket = this.#buckets.get(key) ?? this.#newBucket()
    if (bucket === undefined) return false
    this.#refill(bucket)
    // Deleted and set again: the order of the map is the order of use.
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    if (!(cost <= bucket.tokens)) return false
    bucket.tokens -= cost
    return true
  }

  /** Milliseconds until the key may do `cost`, 0 for now, Infinity for more than a burst. */
  waitMs(key: string, cost = 1): number {
    const { burst, perSecond } = this.#init
    if (cost > burst) return Number.POSITIVE_INFINITY
    const bucket = this.#buckets.get(key)
    if (bucket === undefined) return 0
    this.#refill(bucket)
    return Math.max(0, Math.ceil(((cost - bucket.tokens) / perSecond) * 1000))
  }

  /** Forgets a key that is gone for good, such as a peer that was banned. */
  forget(key: string): void {
    this.#buckets.delete(key)
  }

  get size(): number {
    return this.#buckets.size
  }

  #newBucket(): Bucket | undefined {
    const { burst, keys, now } = this.#init
    if (this.#buckets.size >= keys && !this.#dropOldest()) return undefined
    return { tokens: burst, atMs: now() }
  }

  // Attack: new names without end push a busy key out of the table, and it comes back with a full bucket.
  #dropOldest(): boolean {
    const oldest = this.#buckets.entries().next()
    if (oldest.done === true) return true
    const [key, bucket] = oldest.value
    this.#refill(bucket)
    if (bucket.tokens < this.#init.burst) return false
    return this.#buckets.delete(key)
  }

  #refill(bucket: Bucket): void {
    const now = this.#init.now()
    // A clock that jumps back gives nothing and takes nothing.
    const elapsed = Math.max(0, now - bucket.atMs)
    bucket.tokens = Math.min(this.#init.burst, bucket.tokens + (elapsed / 1000) * this.#init.perSecond)
    bucket.atMs = now
  }
}
