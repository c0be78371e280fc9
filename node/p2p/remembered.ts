import { multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import { Key } from 'interface-datastore'
import { decodeCbor, encodeCbor } from '../../protocol/cbor.ts'
import { messageOf } from '../../protocol/errors.ts'
import { recordOf } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { firstIpOf, isPrivateIp, needsDns, relayOf } from './address.ts'
import type { Clock, Datastore, Log } from './components.ts'

const PREFIX = '/ggen/remembered/'

/** A peer that was introduced once, and where it was. */
export interface RememberedPeer {
  readonly id: string
  /** Without the peer id at the end, the one that was dialled first. */
  readonly addresses: readonly string[]
  /** When it was last here. */
  readonly seen: number
}

export interface RememberedComponents {
  readonly datastore: Pick<Datastore, 'put' | 'delete' | 'query'>
  readonly clock: Clock
  readonly log: Log
  /** See CheckedConfig: on the internet a private address that a peer says of itself is not dialled. */
  readonly internet: boolean
}

/**
 * Peers that were here, for the day when all configured ones are down. libp2p's own records hold what anybody ever said of
 * a peer, for an hour; these are of peers that were introduced, and hold what they said themselves or where they were
 * reached. One row for each, dag-cbor `{addresses, seen}`; the ones that were here longest ago leave first.
 */
export class RememberedPeers {
  readonly #components: RememberedComponents
  readonly #peers = new Map<string, RememberedPeer>()
  #writing: Promise<void> = Promise.resolve()

  constructor(components: RememberedComponents) {
    this.#components = components
  }

  /** Reads what an earlier run has written. A row that cannot be read, or is too old, is removed. */
  async load(): Promise<void> {
    const { datastore, clock } = this.#components
    const found: RememberedPeer[] = []
    const bad: Key[] = []
    for await (const { key, value } of datastore.query({ prefix: PREFIX })) {
      const peer = parseRow(key.toString().slice(PREFIX.length), value)
      if (peer === undefined || peer.seen < clock.now() - LIMITS.reach.remembered.ageMs) bad.push(key)
      else found.push(peer)
    }
    for (const key of bad) await datastore.delete(key)
    for (const peer of found.toSorted((a, b) => a.seen - b.seen)) this.#peers.set(peer.id, peer)
  }

  /** Those that were here last come first. */
  all(): readonly RememberedPeer[] {
    return [...this.#peers.values()].toReversed()
  }

  /** Where a peer is, without its id. */
  addressesOf(id: string): readonly string[] {
    return this.#peers.get(id)?.addresses ?? []
  }

  /** A peer is here that was introduced. @param dialled where it was reached, if it was us who dialled */
  note(
    id: string,
    { dialled, said = [] }: { readonly dialled?: Multiaddr; readonly said?: readonly Multiaddr[] }
  ): void {
    const now = this.#components.clock.now()
    const before = this.#peers.get(id)
    const usable = said.filter(address => this.#isUsable(address))
    const addresses = choose([...(dialled === undefined ? [] : [dialled]), ...usable].map(withoutPeer), before)
    if (addresses.length === 0) return
    const isNews =
      before === undefined ||
      now - before.seen > LIMITS.reach.remembered.rewriteMs ||
      addresses.join() !== before.addresses.join()
    const peer = { id, addresses, seen: isNews ? now : before.seen }
    this.#peers.delete(id)
    this.#peers.set(id, peer)
    for (const oldest of this.#peers.keys()) {
      if (this.#peers.size <= LIMITS.reach.remembered.peers) break
      this.forget(oldest)
    }
    if (isNews) this.#later(async () => await this.#write(peer))
  }

  /** Forgets a peer that is not to be looked for again. */
  forget(id: string): void {
    if (this.#peers.delete(id)) this.#later(async () => await this.#components.datastore.delete(new Key(PREFIX + id)))
  }

  /** Resolves when everything is written. */
  async stop(): Promise<void> {
    await this.#writing
  }

  /** Attack: an address that a peer says of itself is dialled from here, on a bad day. */
  #isUsable(address: Multiaddr): boolean {
    const ip = firstIpOf(address)
    return !needsDns(address) && ip !== undefined && !(this.#components.internet && isPrivateIp(ip))
  }

  async #write({ id, addresses, seen }: RememberedPeer): Promise<void> {
    // Whoever was forgotten, or seen again, while this waited for its turn, has another turn.
    if (this.#peers.get(id)?.seen !== seen) return
    await this.#components.datastore.put(new Key(PREFIX + id), encodeCbor({ addresses, seen }))
  }

  #later(task: () => Promise<void>): void {
    this.#writing = this.#writing.then(task).catch((error: unknown) => {
      this.#components.log.warn('a peer could not be written down', { error: messageOf(error) })
    })
  }
}

/** The newest first, few of them, and if there is a way through a relay, that one too: it may be the only one that works. */
function choose(found: readonly string[], before: RememberedPeer | undefined): readonly string[] {
  const { addressesPerPeer, addressBytes } = LIMITS.reach.remembered
  const all = [...new Set([...found, ...(before?.addresses ?? [])])].filter(text => text.length <= addressBytes)
  const isRelayed = (text: string): boolean => relayOf(multiaddr(text)) !== undefined
  const direct = all.filter(text => !isRelayed(text))
  const relayed = all.filter(isRelayed)
  return [...direct.slice(0, addressesPerPeer - Math.min(relayed.length, 1)), ...relayed].slice(0, addressesPerPeer)
}

function withoutPeer(address: Multiaddr): string {
  return address.toString().replace(/\/p2p\/[^/]+$/, '')
}

function parseRow(id: string, value: Uint8Array): RememberedPeer | undefined {
  try {
    const { addresses, seen } = recordOf(decodeCbor(value, 2), ['addresses', 'seen'])
    if (!Array.isArray(addresses) || typeof seen !== 'number') return undefined
    const texts = addresses.slice(0, LIMITS.reach.remembered.addressesPerPeer).map(text => multiaddr(String(text)))
    return { id, addresses: texts.map(String), seen }
  } catch {
    return undefined
  }
}
