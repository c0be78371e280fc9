import type { CID } from 'multiformats/cid'
import { toLink } from '../protocol/cid.ts'
import type { RegistryId } from '../protocol/cid.ts'
import { isRegistryError } from '../protocol/errors.ts'
import type { Subject } from '../protocol/fact.ts'
import { BlocksBelow } from './blocks-below.ts'
import { PUBLIC_SWARM } from './config-schema.ts'
import type { Sight } from './p2p/components.ts'
import { Reachable } from './reachable.ts'
import type { Registries } from './registries.ts'
import type { Clock } from './runtime/clock.ts'
import type { Gate } from './services/admit.ts'
import type { RegistryView } from './services/registry-view.ts'
import type { Spaces } from './spaces.ts'
import { publicRegistries } from './swarms.ts'

export interface ReachComponents {
  readonly clock: Clock
  /** Aborted when the node begins to close its stores. */
  readonly stopping: AbortSignal
  readonly spaces: Pick<Spaces, 'named'>
  readonly registries: Pick<Registries, 'all'>
  readonly gate: Pick<Gate, 'state'>
  readonly view: RegistryView
}

/**
 * What the hosts and the gateway of a node may show: of each swarm what its own registries lead to, in its own store. One
 * rule for all the ways out.
 */
export class Reach {
  readonly #components: ReachComponents
  readonly #swarms = new Map<string, Reachable>()

  constructor(components: ReachComponents) {
    this.#components = components
  }

  /** A fact was accepted: what it says may be asked for. */
  noted(registry: RegistryId, subject: Subject, type: string): void {
    const stops = type === 'quarantine' || type === 'unquarantine'
    for (const reachable of this.#swarms.values()) reachable.noted(registry, subject, stops)
  }

  in(swarm: string): Reachable {
    const known = this.#swarms.get(swarm)
    if (known !== undefined) return known
    const { spaces, registries, gate, view, clock, stopping } = this.#components
    const reachable = new Reachable({
      space: () => spaces.named(swarm),
      registries: () => {
        const own = registries.all.filter(each => each.swarm === swarm).map(({ id }) => id)
        return swarm === PUBLIC_SWARM ? publicRegistries(own, gate) : own
      },
      view,
      clock,
      stopping
    })
    this.#swarms.set(swarm, reachable)
    return reachable
  }

  /** The same for the host of a swarm. */
  sightOf(swarm: string): Sight {
    const { spaces, clock, stopping } = this.#components
    const reachable = this.in(swarm)
    const below = new BlocksBelow({ blocks: () => spaces.named(swarm).stored, clock, stopping })
    return {
      isNamed: (root, signal) => reachable.isNamed(toLink(root), signal),
      strange: (root, cids) => below.strange(root, cids),
      has: (cid, signal) => shown(reachable, cid, signal)
    }
  }
}

/** Bitswap has no word for "not yet": what takes too long to find out is not here. */
async function shown(reachable: Reachable, cid: CID, signal: AbortSignal): Promise<boolean> {
  try {
    return await reachable.has(cid, signal)
  } catch (error) {
    if (isRegistryError(error) && error.code === 'TIMEOUT') return false
    throw error
  }
}
