import type { CID } from 'multiformats/cid'
import { contentIdFromLink, toLink } from '../../protocol/cid.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { RegistryError, messageOf } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, HeldRoots, Log } from './components.ts'
import { deadline } from './deadline.ts'
import type { Host } from './libp2p.ts'

/**
 * What the DHT is used for: to say that we have something, one at a time and never on the way of anything else, and to
 * ask who has it, with a deadline. Nothing it answers is believed before the bytes are there. What is held no more, or
 * shown to nobody, is not said again.
 */
export class ContentRouting {
  readonly #host: Host
  readonly #clock: Clock
  readonly #log: Log
  readonly #queue = new Map<string, CID>()
  readonly #abort = new AbortController()
  readonly #held: HeldRoots | undefined
  readonly #isLeech: boolean
  /** What was said once and is not said now: it is said again as soon as it may be. Beyond the bound, with the next round of whoever keeps it. */
  readonly #away = new Set<string>()
  #worker: Promise<void> | undefined
  #holds = 0
  #free: PromiseWithResolvers<void> | undefined
  #stopListening: () => void = () => undefined

  constructor(
    host: Host,
    {
      clock,
      log,
      held,
      isLeech = false
    }: { readonly clock: Clock; readonly log: Log; readonly held?: HeldRoots; readonly isLeech?: boolean }
  ) {
    this.#host = host
    this.#clock = clock
    this.#log = log
    this.#held = held
    this.#isLeech = isLeech
  }

  start(): void {
    if (this.#held === undefined) return
    this.#stopListening = this.#held.onChange((root, isHeld) => (isHeld ? this.#restore(root) : this.#withdraw(root)))
  }

  /** The records that others have run out. */
  #withdraw(root: ContentId): void {
    const cid = toLink(root)
    this.#queue.delete(cid.toString())
    this.#noteAway(cid)
    const { contentRouting } = this.#host
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(LIMITS.dht.provideMs)])
    contentRouting
      .cancelReprovide(cid, { signal })
      .catch((error: unknown) => this.#log.debug('not withdrawn', { cid: root, error: messageOf(error) }))
  }

  #noteAway(cid: CID): void {
    if (!this.#isLeech && this.#away.size < LIMITS.dht.provideQueue) this.#away.add(cid.toString())
  }

  #restore(root: ContentId): void {
    const cid = toLink(root)
    if (this.#away.delete(cid.toString())) this.provide(cid)
  }

  async #isWithheld(cid: CID): Promise<boolean> {
    try {
      return (await this.#held?.isWithheld?.(contentIdFromLink(cid))) === true
    } catch {
      return false
    }
  }

  /** Queues an announcement. When the queue is full it is dropped: neighbours are asked directly anyway. */
  provide(cid: CID): void {
    const key = cid.toString()
    if (this.#abort.signal.aborted || this.#queue.has(key)) return
    if (this.#queue.size >= LIMITS.dht.provideQueue) {
      this.#log.warn('provide queue is full', { cid: key })
      return
    }
    this.#queue.set(key, cid)
    this.#worker ??= this.#work()
  }

  /**
   * Announces nothing new until it is let go: somebody waits for what this processor does. What has begun ends. Bound: whoever
   * takes longer than `holdMs` shares the processor.
   */
  hold(): () => void {
    this.#holds += 1
    this.#free ??= Promise.withResolvers()
    let isHeld = true
    const letGo = (): void => {
      if (!isHeld) return
      isHeld = false
      cancel()
      this.#holds -= 1
      if (this.#holds > 0) return
      this.#free?.resolve()
      this.#free = undefined
    }
    const cancel = this.#clock.after(LIMITS.dht.holdMs, letGo)
    return letGo
  }

  /** Peers that say they have the content, as many as come within the deadline; told of each when it is named. */
  async findProviders(cid: CID, signal: AbortSignal, onFound?: (peer: string) => void): Promise<readonly string[]> {
    const found = new Set<string>()
    const time = deadline(this.#clock, LIMITS.dht.lookupMs, signal)
    try {
      for await (const { id } of this.#host.contentRouting.findProviders(cid, { signal: time.signal })) {
        const peer = id.toString()
        if (!id.equals(this.#host.peerId) && !found.has(peer)) {
          found.add(peer)
          onFound?.(peer)
        }
        if (found.size >= LIMITS.fetch.providers) break
      }
    } catch (error) {
      this.#log.debug('dht look-up ended', { error: messageOf(error) })
    } finally {
      time.clear()
    }
    return [...found]
  }

  async stop(): Promise<void> {
    this.#stopListening()
    this.#abort.abort(new RegistryError('CANCELLED', 'the network stops'))
    this.#queue.clear()
    this.#free?.resolve()
    await this.#worker
  }

  async #work(): Promise<void> {
    for (;;) {
      while (this.#free !== undefined && !this.#abort.signal.aborted) await this.#free.promise
      const next = this.#queue.entries().next().value
      if (next === undefined) break
      const [key, cid] = next
      this.#queue.delete(key)
      if (await this.#isWithheld(cid)) {
        this.#noteAway(cid)
        continue
      }
      const time = deadline(this.#clock, LIMITS.dht.provideMs, this.#abort.signal)
      try {
        await this.#host.contentRouting.provide(cid, { signal: time.signal })
      } catch (error) {
        this.#log.debug('provide failed', { cid: key, error: messageOf(error) })
      } finally {
        time.clear()
      }
    }
    this.#worker = undefined
  }
}
