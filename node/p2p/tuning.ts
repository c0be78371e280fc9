import { LIMITS } from '../../protocol/limits.ts'
import type { SwarmTuning } from './components.ts'

/** The limits in force for one swarm. */
export function tuningOf(overrides: Partial<SwarmTuning> = {}): SwarmTuning {
  return {
    helloTimeoutMs: LIMITS.hello.timeoutMs,
    aliveLookMs: LIMITS.connections.aliveLookMs,
    syncIntervalMs: LIMITS.sync.intervalMs,
    syncSoonMs: LIMITS.sync.soonMs,
    syncListenMs: LIMITS.sync.listenMs,
    hedgeMs: LIMITS.fetch.hedgeMs,
    reaskMs: LIMITS.fetch.reaskMs,
    blockTimeoutMs: LIMITS.fetch.blockTimeoutMs,
    perPrivateRange: LIMITS.connections.perPrivateRange,
    inboundPerPrivateHostPerSecond: LIMITS.connections.inboundPerPrivateHostPerSecond,
    redialMs: LIMITS.connections.redialMs,
    connections: LIMITS.connections.total,
    inbound: LIMITS.connections.inbound,
    kadBucket: LIMITS.dht.bucket,
    ...overrides
  }
}
