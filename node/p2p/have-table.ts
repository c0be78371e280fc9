import type { Connection, Stream } from '@libp2p/interface'
import { toLink } from '../../protocol/cid.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { RegistryError, messageOf } from '../../protocol/errors.ts'
import { decodeHaveMessage } from '../../protocol/have/messages.ts'
import type { HaveMessage } from '../../protocol/have/messages.ts'
import { ToldRoots } from '../../protocol/have/told-roots.ts'
import type { Said } from '../../protocol/have/told-roots.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { RateLimit } from '../runtime/rate.ts'
import type { Clock, Log } from './components.ts'
import { isLie } from './facts-client.ts'
import { FramedStream } from './framed-stream.ts'
import type { Peers } from './peers.ts'

export interface HaveTableComponents {
  readonly peers: Pick<Peers, 'get' | 'blame'>
  readonly clock: Clock
  readonly log: Log
  /** A peer says that it holds something else than before. */
  readonly onTold?: (() => void) | undefined
}

interface Teller {
  readonly told: ToldRoots
  /** The stream that counts: a peer that opens another one begins anew. */
  abort: AbortController
  /** There was no room for its filter: what it changes of it means nothing. */
  isPassedOver: boolean
}

/**
 * What the peers of one swarm hold, as they say. To look it up takes no message.
 *
 * Attack: filters of many peers fill the memory. All together are bounded, and whoever comes when there is no room is a
 * peer that has said nothing.
 */
export class HaveTable {
  readonly #components: HaveTableComponents
  readonly #tellers = new Map<string, Teller>()
  readonly #messages: RateLimit
  readonly #bytes: RateLimit
  #isStopped = false
  #changes = 0

  constructor(components: HaveTableComponents) {
    const { burstMessages, messagesPerSecond, burstBytes, bytesPerSecond } = LIMITS.have
    const common = { keys: LIMITS.peers.cached, now: () => components.clock.now() }
    this.#components = components
    this.#messages = new RateLimit({ ...common, burst: burstMessages, perSecond: messagesPerSecond })
    this.#bytes = new RateLimit({ ...common, burst: burstBytes, perSecond: bytesPerSecond })
  }

  /** Counts up whenever a peer says that it holds something else than before. */
  get changes(): number {
    return this.#changes
  }

  /** The handler of the protocol. */
  readonly accept = (stream: Stream, connection: Connection): void => {
    const peer = connection.remotePeer.toString()
    const abort = new AbortController()
    const before = this.#tellers.get(peer)
    before?.abort.abort(new RegistryError('CANCELLED', 'another stream took its place'))
    before?.told.restart()
    const teller = before ?? { told: new ToldRoots(), abort, isPassedOver: false }
    teller.abort = abort
    this.#tellers.set(peer, teller)
    if (this.#isStopped) abort.abort(new RegistryError('CANCELLED', 'the network stops'))
    void this.#listen(peer, { io: new FramedStream(stream), teller, signal: abort.signal })
  }

  stop(): void {
    this.#isStopped = true
    for (const peer of this.#tellers.keys()) this.onPeerGone(peer)
  }

  onPeerGone(peer: string): void {
    this.#tellers.get(peer)?.abort.abort(new RegistryError('CANCELLED', 'the peer is gone'))
    this.#tellers.delete(peer)
  }

  /** Who says what of a root; peers that are not named say nothing. */
  about(root: ContentId): ReadonlyMap<string, Said> {
    const { digest } = toLink(root).multihash
    const now = this.#components.clock.now()
    return new Map([...this.#tellers].map(([peer, { told }]) => [peer, told.says(digest, now)]))
  }

  /** Who says that it holds a root. */
  holders(root: ContentId): readonly string[] {
    return [...this.about(root)].filter(([, said]) => said === 'yes').map(([peer]) => peer)
  }

  /** A peer that says yes was asked, and had it or not. */
  proved(peer: string, hadIt: boolean): void {
    this.#tellers.get(peer)?.told.proved(hadIt)
  }

  /** Never throws. */
  async #listen(
    peer: string,
    { io, teller, signal }: { readonly io: FramedStream; readonly teller: Teller; readonly signal: AbortSignal }
  ): Promise<void> {
    const { log, peers } = this.#components
    try {
      for (;;) {
        const bytes = await io.read(LIMITS.have.messageBytes, signal)
        if (bytes === undefined) break
        if (!this.#messages.take(peer) || !this.#bytes.take(peer, bytes.length))
          throw new RegistryError('LIMIT_EXCEEDED', 'news of what is held without end')
        const message = decodeHaveMessage(bytes)
        if (signal.aborted) break
        this.#take(teller, message)
      }
      await io.end(AbortSignal.timeout(LIMITS.connections.closeMs))
    } catch (error) {
      log.debug('a peer says no more what it holds', { peer, reason: messageOf(error) })
      if (isLie(error)) peers.blame(peer, 'malformed-message')
      io.abort(error instanceof Error ? error : new RegistryError('INTERNAL', 'listening failed', { cause: error }))
    }
    if (teller.abort.signal !== signal) return
    teller.told.restart()
    if (peers.get(peer) === undefined && this.#tellers.get(peer) === teller) this.#tellers.delete(peer)
  }

  #noteTold(): void {
    this.#changes += 1
    this.#components.onTold?.()
  }

  #take(teller: Teller, message: HaveMessage): void {
    if (message.type === 'full') teller.isPassedOver = false
    if (teller.isPassedOver) return
    teller.told.take(message, this.#components.clock.now())
    if (message.type === 'full' || message.added.length + message.removed.length > 0) this.#noteTold()
    const weight = [...this.#tellers.values()].reduce((sum, { told }) => sum + told.weight, 0)
    if (weight <= LIMITS.have.bytesInAll) return
    teller.told.restart()
    teller.isPassedOver = true
  }
}
