import { createHash } from 'node:crypto'
import { toLink } from '../protocol/cid.ts'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { Swarm } from './p2p/swarm.ts'
import type { Clock } from './runtime/clock.ts'
import { RateLimit } from './runtime/rate.ts'
import type { Swarms } from './swarms.ts'

/** Whom the DHT named, and when it was asked. */
interface Lookup {
  readonly peers: readonly string[]
  readonly time: number
}

export interface ReplicationComponents {
  readonly swarms: Pick<Swarms, 'all' | 'of'>
  readonly clock: Pick<Clock, 'now'>
}

/**
 * Who else holds a content, as far as anybody can know without asking for it.
 *
 * A peer that is here counts when it says that it holds it (docs/spec/have.md). One that is not here counts when the DHT names
 * it, unless it was here and left: records of the DHT outlive whoever made them by a day.
 *
 * Attack: peers that say they hold what they do not. So what is counted only decides what comes first: what is announced again,
 * and what a mirror whose quota does not hold everything keeps. A mirror without a quota keeps all, whatever others say.
 */
export class Replication {
  readonly #components: ReplicationComponents
  /** By swarm and root, the longest known first. */
  readonly #lookups = new Map<string, Lookup>()
  /** By swarm. */
  readonly #connected = new Map<string, ReadonlySet<string>>()
  readonly #told = new Map<string, number>()
  readonly #gone = new Set<string>()
  readonly #budget: RateLimit

  constructor(components: ReplicationComponents) {
    const { lookupsPerMinute } = LIMITS.mirror
    this.#components = components
    this.#budget = new RateLimit({
      perSecond: lookupsPerMinute / 60,
      burst: lookupsPerMinute,
      keys: 1,
      now: () => components.clock.now()
    })
  }

  /** Looks who is here, and says what. True when that is not what it was the last time. */
  notice(): boolean {
    let isChanged = false
    for (const swarm of this.#components.swarms.all) {
      const before = this.#connected.get(swarm.name) ?? new Set()
      const now = connectedTo(swarm)
      this.#connected.set(swarm.name, now)
      for (const peer of before) if (!now.has(peer)) this.#gone.add(peer)
      for (const peer of now) this.#gone.delete(peer)
      const told = swarm.haveChanges()
      isChanged ||= this.#told.get(swarm.name) !== told
      this.#told.set(swarm.name, told)
      isChanged ||= before.size !== now.size || [...now].some(peer => !before.has(peer))
    }
    while (this.#gone.size > LIMITS.mirror.gone) {
      const [oldest = ''] = this.#gone
      this.#gone.delete(oldest)
    }
    return isChanged
  }

  /** The peers that hold a content beside this node. */
  others(registry: RegistryId, root: ContentId): readonly string[] {
    const swarm = this.#components.swarms.of(registry)
    if (swarm === undefined) return []
    const here = this.#connected.get(swarm.name)
    const isAway = (peer: string): boolean => !this.#gone.has(peer) && here?.has(peer) !== true
    const named = this.#lookups.get(`${swarm.name} ${root}`)?.peers ?? []
    return [...new Set([...swarm.holders(root), ...named.filter(isAway)])]
  }

  /** When the DHT was last asked. */
  lookedUp(registry: RegistryId, root: ContentId): number | undefined {
    const swarm = this.#components.swarms.of(registry)
    return swarm === undefined ? undefined : this.#lookups.get(`${swarm.name} ${root}`)?.time
  }

  /**
   * Whether this node is one of those that should hold a content. One that does not hold it is when too few others do; one
   * that does stays so while it is among the first `factor` of all who do, in an order that all of them agree on. So two
   * nodes that have enough company never both take the other's presence as a reason to leave.
   */
  isNeeded(
    { registry, root }: { readonly registry: RegistryId; readonly root: ContentId },
    { factor, isHeld }: { readonly factor: number; readonly isHeld: boolean }
  ): boolean {
    const others = this.others(registry, root)
    if (others.length < factor) return true
    const self = this.#components.swarms.of(registry)?.peerId
    if (!isHeld || self === undefined) return false
    const own = placeOf(self, root)
    return others.filter(peer => placeOf(peer, root) < own).length < factor
  }

  /** Asks the DHT about those of which it was asked the longest ago or never, as many as the minute allows. True: somebody was. */
  async lookUp(registry: RegistryId, roots: Iterable<ContentId>, signal: AbortSignal): Promise<boolean> {
    const swarm = this.#components.swarms.of(registry)
    if (swarm === undefined || connectedTo(swarm).size === 0) return false
    let wasAsked = false
    for (const root of roots) {
      const known = this.#lookups.get(`${swarm.name} ${root}`)
      const sinceMs = known === undefined ? Number.POSITIVE_INFINITY : this.#components.clock.now() - known.time
      // A clock that was ahead is no reason to ask nobody until that time has come.
      if (Math.abs(sinceMs) < LIMITS.mirror.lookupFreshMs) continue
      if (signal.aborted || !this.#budget.take('lookups')) break
      const peers = await swarm.findProviders(toLink(root), { signal })
      if (signal.aborted) break
      this.#remember(`${swarm.name} ${root}`, peers)
      wasAsked = true
    }
    return wasAsked
  }

  #remember(key: string, peers: readonly string[]): void {
    this.#lookups.delete(key)
    this.#lookups.set(key, { peers, time: this.#components.clock.now() })
    if (this.#lookups.size <= LIMITS.mirror.lookups) return
    const [oldest = ''] = this.#lookups.keys()
    this.#lookups.delete(oldest)
  }
}

function connectedTo(swarm: Pick<Swarm, 'peers'>): ReadonlySet<string> {
  return new Set(swarm.peers().flatMap(({ id, connected }) => (connected ? [id] : [])))
}

/** The order in which peers are to hold a content: the same for whoever asks, and another one for each content. */
export function placeOf(peer: string, root: ContentId): string {
  return createHash('sha256').update(`${peer} ${root}`).digest('hex')
}
