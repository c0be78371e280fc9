import type { CID } from 'multiformats/cid'
import { toLink } from '../protocol/cid.ts'
import type { PlannedContent } from '../protocol/dag/plan.ts'
import { RegistryError, isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { RemoteBlocks } from './content-fetch.ts'
import type { Gateways, GatewaySession, GatewayStore } from './gateway-source.ts'
import type { Clock } from './runtime/clock.ts'

type PeerSession = ReturnType<RemoteBlocks['open']>

interface Racers<T> {
  readonly peers: (signal: AbortSignal) => Promise<T>
  readonly gateways: (signal: AbortSignal) => Promise<T>
  /** How far ahead of gateways peers begin. */
  readonly hedgeMs: number
}

/**
 * Peers first, and gateways beside them as soon as they have been silent for a while or said that they have not got it. Of
 * public content alone: whoever runs a gateway learns what is asked of it.
 */
export function withGateways(
  peers: RemoteBlocks,
  { gateways, clock }: { readonly gateways: Gateways; readonly clock: Pick<Clock, 'after'> }
): RemoteBlocks {
  return {
    open(registry, signal, trail) {
      const session = peers.open(registry, signal, trail)
      const race = new GatewayRace(session, gateways.session(trail), clock)
      return {
        content: (content, local, options) => race.content(content, local, options.signal),
        block: (cid, options) => race.block(cid, options.signal),
        close: () => session.close()
      }
    }
  }
}

type ContentFetched = Awaited<ReturnType<PeerSession['content']>>
type LocalStore = Parameters<PeerSession['content']>[1]

/** A store in which what is put is noted. */
function notedIn(cids: CID[], store: LocalStore): LocalStore {
  return {
    has: cid => store.has(cid),
    read: cid => store.read(cid),
    put: (cid, bytes) => {
      cids.push(cid)
      return store.put(cid, bytes)
    }
  }
}

class GatewayRace {
  /** Where blocks of gateways go; those of peers are stored by the swarm. */
  #store: GatewayStore | undefined
  readonly #peers: PeerSession
  readonly #gateways: GatewaySession
  readonly #clock: Pick<Clock, 'after'>
  #root: CID | undefined

  constructor(peers: PeerSession, gateways: GatewaySession, clock: Pick<Clock, 'after'>) {
    this.#peers = peers
    this.#gateways = gateways
    this.#clock = clock
  }

  /**
   * All of it: from peers, and from a gateway beside them when they have sent nothing for a while, because they have no room, say
   * nothing or are only being dialled. Whoever is first ends the other.
   */
  async content(content: PlannedContent, store: LocalStore, signal: AbortSignal): Promise<ContentFetched> {
    this.#store = store
    const over = new AbortController()
    const both = AbortSignal.any([signal, over.signal])
    const late = new AbortController()
    const ofPeers: CID[] = []
    const noting = notedIn(ofPeers, store)
    let archive: Promise<number> | undefined
    const archived = Promise.withResolvers<number>()
    // Gateways need nobody to be here.
    const onLate = (): void => {
      late.abort()
      if (ofPeers.length > 0) return
      archive = this.#gateways.content(content, store, both)
      archive.then(archived.resolve, () => undefined)
    }
    this.#clock.after(LIMITS.gatewaySource.hedgeMs, onLate, both)
    const peers = this.#peers.content(content, noting, { signal: both, patience: late.signal })
    let fetched: ContentFetched
    try {
      const first = await Promise.race([peers, archived.promise])
      fetched = typeof first === 'number' ? { stored: [], bytes: first } : first
      if (!(await store.has(toLink(content.root)))) {
        const bytes = await this.#rest(content, signal, archive)
        fetched = { ...fetched, bytes: fetched.bytes + bytes }
      }
    } finally {
      over.abort(new RegistryError('CANCELLED', 'it is here, or nobody has it'))
      // What is just being written is written, and known to be.
      await Promise.allSettled([peers, archive])
    }
    const others = [...this.#stored]
    // Of whoever lost the race too: all that was stored is to be made durable.
    return archive === undefined && others.length === 0 ? fetched : { ...fetched, stored: [...ofPeers, ...others] }
  }

  get #stored(): readonly CID[] {
    return this.#root === undefined ? this.#gateways.stored : [this.#root, ...this.#gateways.stored]
  }

  /**
   * Content of which no peer streamed anything: its root by bitswap, or all of it from a gateway that is asked already or is asked
   * after a while. Returns its bytes.
   */
  async #rest(content: PlannedContent, signal: AbortSignal, archive: Promise<number> | undefined): Promise<number> {
    const store = this.#store
    if (store === undefined) return 0
    const root = toLink(content.root)
    // The root alone says nothing about the rest; the walk goes on from there, and asks for each block.
    const ofPeers = async (abort: AbortSignal): Promise<number> => {
      const { length } = await this.#peers.block(root, { signal: abort })
      this.#root = root
      return length
    }
    return this.#race(signal, {
      peers: ofPeers,
      gateways: async abort => await (archive ?? this.#gateways.content(content, store, abort)),
      hedgeMs: archive === undefined ? LIMITS.gatewaySource.hedgeMs : 0
    })
  }

  async block(cid: CID, signal: AbortSignal): Promise<Uint8Array> {
    const ask = async (abort: AbortSignal): Promise<Uint8Array> => {
      const bytes = await this.#gateways.block(cid, abort)
      await this.#store?.put(cid, bytes)
      return bytes
    }
    // Who has sent the blocks before this one most likely has it too, and no peer had.
    if (this.#gateways.hasServed) {
      try {
        return await ask(signal)
      } catch (error) {
        signal.throwIfAborted()
        if (!isRegistryError(error) || error.code !== 'CONTENT_UNAVAILABLE') throw error
      }
    }
    return this.#race(signal, {
      peers: abort => this.#peers.block(cid, { signal: abort }),
      gateways: ask,
      hedgeMs: LIMITS.gatewaySource.hedgeMs
    })
  }

  /** The first of the two that has it. The gateways start when the peers have failed, or after a while. */
  async #race<T>(signal: AbortSignal, { peers, gateways, hedgeMs }: Racers<T>): Promise<T> {
    const over = new AbortController()
    const both = AbortSignal.any([signal, over.signal])
    const started = Promise.withResolvers<void>()
    const first = peers(both)
    first.catch(() => started.resolve())
    this.#clock.after(hedgeMs, () => started.resolve(), both)
    const second = started.promise.then(() => {
      both.throwIfAborted()
      return gateways(both)
    })
    try {
      return await Promise.any([first, second])
    } catch (error) {
      signal.throwIfAborted()
      throw this.#failed(error)
    } finally {
      over.abort(new RegistryError('CANCELLED', 'it is here, or nobody has it'))
      started.resolve()
      // What it is just writing is written, and known to be.
      await second.catch(() => undefined)
    }
  }

  /** Both have failed: one message for both. What is neither's fault is thrown as it is. */
  #failed(error: unknown): unknown {
    const errors: readonly unknown[] = error instanceof AggregateError ? error.errors : [error]
    const other = errors.find(each => !isRegistryError(each) || each.code !== 'CONTENT_UNAVAILABLE')
    if (other !== undefined) return other
    const [first, second] = errors.filter(isRegistryError)
    const { said } = this.#gateways
    return new RegistryError(
      'CONTENT_UNAVAILABLE',
      `${first?.message ?? 'no peer sent it'}; ${second?.message ?? ''}`,
      {
        cause: error,
        tried: [...(first?.tried ?? []), ...said],
        next: first?.next ?? 'connect to a node that mirrors this registry, with `ggen-node connect MULTIADDR`'
      }
    )
  }
}
