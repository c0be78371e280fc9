import { LIMITS } from '../../protocol/limits.ts'

/**
 * What is told by gossip must be here by then. Half of the interval at which sets are compared: a wait as long as that
 * interval ends well with gossip dead, too.
 */
export const HEARD_MS: number = LIMITS.sync.intervalMs / 2

/** For a wait in which no fact is waited for: connections come without gossip, and on a busy machine late. */
export const MET_MS = 60_000
