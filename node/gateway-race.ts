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
  /** Until then peers are ahead of gateways; without it for a while from now on. */
  readonly late?: AbortSignal
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

/** A store that tells what is put. */
function toldOf(store: LocalStore, onPut: (cid: CID) => void): LocalStore {
  return {
    has: cid => store.has(cid),
    read: cid => store.read(cid),
    put: (cid, bytes) => {
      onPut(cid)
      return store.put(cid, bytes)
    }
  }
}

/** All of some content from a gateway: asked for once, whoever waits for it. */
class Archive {
  readonly #ask: (signal: AbortSignal) => Promise<number>
  #running: { readonly bytes: Promise<number>; readonly leave: () => void } | undefined
  /** Those that were left, and may be writing what had come. */
  readonly #all: Promise<number>[] = []

  constructor(ask: (signal: AbortSignal) => Promise<number>) {
    this.#ask = ask
  }

  /** It was asked for, and not left. */
  get isRunning(): boolean {
    return this.#running !== undefined
  }

  bytes(): Promise<number> {
    if (this.#running === undefined) {
      const left = new AbortController()
      const bytes = this.#ask(left.signal)
      bytes.catch(() => undefined)
      this.#all.push(bytes)
      this.#running = { bytes, leave: () => left.abort(over()) }
    }
    return this.#running.bytes
  }

  leave(): void {
    this.#running?.leave()
    this.#running = undefined
  }

  /** What was just being written is written, and known to be. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#all)
  }
}

function over(): RegistryError {
  return new RegistryError('CANCELLED', 'it is here, or nobody has it')
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
   * nothing or are only being dialled. Whoever is first ends the other; a gateway that has sent nothing yet is left as soon as a
   * peer sends something, however slow he is.
   */
  async content(content: PlannedContent, store: LocalStore, signal: AbortSignal): Promise<ContentFetched> {
    this.#store = store
    const done = new AbortController()
    const both = AbortSignal.any([signal, done.signal])
    const archive = new Archive(left => this.#gateways.content(content, store, AbortSignal.any([both, left])))
    const ofPeers: CID[] = []
    const noting = toldOf(store, cid => {
      ofPeers.push(cid)
      if (this.#gateways.stored.length === 0) archive.leave()
    })
    const archived = Promise.withResolvers<number>()
    const late = this.#late(both)
    // Gateways need nobody to be here.
    const onLate = (): void => {
      if (ofPeers.length === 0) archive.bytes().then(archived.resolve, () => undefined)
    }
    late.addEventListener('abort', onLate, { once: true })
    const peers = this.#peers.content(content, noting, { signal: both, patience: late })
    let fetched: ContentFetched
    try {
      const first = await Promise.race([peers, archived.promise])
      fetched = typeof first === 'number' ? { stored: [], bytes: first } : first
      if (!(await store.has(toLink(content.root)))) {
        const bytes = await this.#rest(content, signal, { archive, late })
        fetched = { ...fetched, bytes: fetched.bytes + bytes }
      }
    } finally {
      done.abort(over())
      // What is just being written is written, and known to be.
      await Promise.allSettled([peers, archive.settled()])
    }
    const others = [...this.#stored]
    // Of whoever lost the race too: all that was stored is to be made durable.
    return !archive.isRunning && others.length === 0 ? fetched : { ...fetched, stored: [...ofPeers, ...others] }
  }

  get #stored(): readonly CID[] {
    return this.#root === undefined ? this.#gateways.stored : [this.#root, ...this.#gateways.stored]
  }

  /**
   * Content of which no peer streamed anything: its root by bitswap, or all of it from a gateway that is asked already or is asked
   * when peers are late. Returns its bytes.
   */
  async #rest(
    content: PlannedContent,
    signal: AbortSignal,
    { archive, late }: { readonly archive: Archive; readonly late: AbortSignal }
  ): Promise<number> {
    const root = toLink(content.root)
    // The root alone says nothing about the rest; the walk goes on from there, and asks for each block.
    const ofPeers = async (abort: AbortSignal): Promise<number> => {
      const { length } = await this.#peers.block(root, { signal: abort })
      this.#root = root
      // Whoever is sending all of it is not left for a root.
      if (!abort.aborted && archive.isRunning && this.#gateways.stored.length > 0)
        await archive.bytes().catch(() => undefined)
      return length
    }
    const ofGateways = async (abort: AbortSignal): Promise<number> => {
      abort.addEventListener('abort', () => archive.leave(), { once: true })
      return await archive.bytes()
    }
    return this.#race(signal, { peers: ofPeers, gateways: ofGateways, late })
  }

  /** When peers have had time enough. */
  #late(signal: AbortSignal): AbortSignal {
    const late = new AbortController()
    this.#clock.after(LIMITS.gatewaySource.hedgeMs, () => late.abort(), signal)
    return late.signal
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
      gateways: ask
    })
  }

  /** The first of the two that has it. The gateways start when the peers have failed, or after a while. */
  async #race<T>(signal: AbortSignal, { peers, gateways, late: given }: Racers<T>): Promise<T> {
    const done = new AbortController()
    const both = AbortSignal.any([signal, done.signal])
    const late = given ?? this.#late(both)
    const started = Promise.withResolvers<void>()
    const first = peers(both)
    first.catch(() => started.resolve())
    if (late.aborted) started.resolve()
    late.addEventListener('abort', () => started.resolve(), { once: true })
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
      done.abort(over())
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
