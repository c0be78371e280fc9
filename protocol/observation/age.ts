/** When this node itself saw a release. `first-look`: it was there when the registry was seen for the first time. */
export interface OwnSighting {
  readonly time: number
  readonly basis: 'first-look' | 'first-seen'
}

/** Since when a release is known, and by whose word. */
export interface KnownSince {
  readonly time: number
  readonly basis: OwnSighting['basis'] | 'observed'
  /** When it came here, whatever others say. */
  readonly own: number
  /** How many others said when they saw it. */
  readonly observers: number
}

/**
 * Since when a release is known: the median of what its registry's observers say; of two in the middle the later.
 *
 * Invariants:
 * 1. No single key makes a release older than this node saw it, if this node was looking: what it saw itself is one voice more.
 *    Attack: one observer who says that he saw today's release last week.
 * 2. Nobody makes a release younger than this node knows it to be. Attack: one who always has just seen it, so that it never ages.
 */
export function knownSince(own: OwnSighting, observed: readonly number[]): KnownSince {
  const kept = { own: own.time, observers: observed.length }
  if (observed.length === 0) return { ...kept, time: own.time, basis: own.basis }
  const voices = own.basis === 'first-seen' ? [...observed, own.time] : [...observed]
  const sorted = voices.toSorted((a, b) => a - b)
  const median = sorted[sorted.length >> 1] ?? own.time
  return { ...kept, time: Math.min(own.time, median), basis: 'observed' }
}
