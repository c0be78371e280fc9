import { RegistryError } from '../protocol/errors.ts'
import type { Authority } from '../protocol/authority.ts'
import type { RegistryId } from '../protocol/cid.ts'
import type { FollowedRegistry } from '../storage/records.ts'
import { PUBLIC_SWARM } from './config-schema.ts'
import type { Traffic } from './meter.ts'
import type { PeerInfo, Swarm } from './p2p/swarm.ts'

/** A peer, and the swarm in which it is one. */
export interface SwarmPeer extends PeerInfo {
  readonly swarm: string
}

/** The hosts that run in this process: the public one, and one for each private registry. They share nothing. */
export class Swarms {
  readonly #running = new Map<string, Swarm>()
  readonly #registries: { readonly all: readonly Pick<FollowedRegistry, 'id' | 'swarm'>[] }
  /** Bytes of hosts that have stopped. */
  #past: Traffic = { bytesIn: 0, bytesOut: 0 }
  #isPrivate: (registry: RegistryId) => boolean = () => false

  constructor(registries: { readonly all: readonly Pick<FollowedRegistry, 'id' | 'swarm'>[] }) {
    this.#registries = registries
  }

  /** Undefined in a node that lives without a network. */
  get public(): Swarm | undefined {
    return this.#running.get(PUBLIC_SWARM)
  }

  get all(): readonly Swarm[] {
    return [...this.#running.values()]
  }

  get names(): readonly string[] {
    return [...this.#running.keys()]
  }

  named(name: string): Swarm | undefined {
    return this.#running.get(name)
  }

  /** What a genesis says of itself, once it can be asked. */
  guard(isPrivate: (registry: RegistryId) => boolean): void {
    this.#isPrivate = isPrivate
  }

  /**
   * The one host that may speak of a registry. Attack: somebody follows a private registry by its id, or the record of its
   * swarm is lost, and the public host speaks of it.
   */
  of(registry: RegistryId): Swarm | undefined {
    const name = this.#registries.all.find(({ id }) => id === registry)?.swarm
    if (name === undefined || (name === PUBLIC_SWARM && this.#isPrivate(registry))) return undefined
    return this.#running.get(name)
  }

  /** @throws RegistryError USAGE when there is none */
  require(name: string = PUBLIC_SWARM): Swarm {
    const swarm = this.#running.get(name)
    if (swarm !== undefined) return swarm
    throw new RegistryError('USAGE', name === PUBLIC_SWARM ? 'no node is running' : `swarm ${name} is not running`, {
      next: 'run ggen-node start in another terminal, then try again'
    })
  }

  peers(): readonly SwarmPeer[] {
    return [...this.#running].flatMap(([swarm, host]) => host.peers().map(peer => ({ ...peer, swarm })))
  }

  /** Whether a relay carries what a peer that is here sends. */
  isRelayed(peer: string): boolean {
    return this.peers().some(({ id, address }) => id === peer && address?.includes('/p2p-circuit') === true)
  }

  traffic(): Traffic {
    return this.all.map(swarm => swarm.traffic()).reduce(sum, this.#past)
  }

  /** The same of each host that runs, by its swarm. */
  trafficOf(): ReadonlyMap<string, Traffic> {
    return new Map([...this.#running].map(([name, swarm]) => [name, swarm.traffic()]))
  }

  started(name: string, swarm: Swarm): void {
    this.#running.set(name, swarm)
  }

  /** Nobody uses it from here on; whoever took it out stops it. */
  take(name: string): Swarm | undefined {
    const swarm = this.#running.get(name)
    this.#running.delete(name)
    if (swarm !== undefined) this.#past = sum(this.#past, swarm.traffic())
    return swarm
  }
}

/**
 * Of registries that the public host carries, those that it may speak of. Somebody may have followed a private registry by
 * its id, or a record may have lost its swarm: once its genesis says what it is, nothing public knows it any longer.
 */
export function publicRegistries(
  registries: readonly RegistryId[],
  gate: { state(registry: RegistryId): { readonly authority?: Authority | undefined } | undefined }
): readonly RegistryId[] {
  return registries.filter(id => gate.state(id)?.authority?.genesis.visibility !== 'private')
}

function sum(a: Traffic, b: Traffic): Traffic {
  return { bytesIn: a.bytesIn + b.bytesIn, bytesOut: a.bytesOut + b.bytesOut }
}
