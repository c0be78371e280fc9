import type { ContentId } from '../../protocol/cid.ts'
import type { NamedPeer } from '../../protocol/dag/messages.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock, FetchWatch } from './components.ts'
import type { DagReport } from './dag-report.ts'
import type { Further } from './further.ts'

export interface ElsewhereComponents {
  readonly clock: Clock
  readonly further: Pick<Further, 'find' | 'reach'>
  readonly watch: FetchWatch | undefined
  readonly report: Pick<DagReport, 'unreached'>
  /** The fetch is over. */
  readonly signal: AbortSignal
  readonly isHere: (peer: string) => boolean
  /** Somebody is here now, or all that can be done has been. */
  readonly onNews: () => void
}

/**
 * Peers that are not here, and what is done to bring them here, for one fetch: those that somebody without room has named, and
 * those that the DHT names. Whoever is here is asked, whatever becomes of the others.
 *
 * Attack: addresses without end, where nobody answers. A fetch dials a few of them, and waits for none when it is over.
 */
export class Elsewhere {
  readonly #components: ElsewhereComponents
  /** Who was named for it by somebody without room, or by the DHT. */
  readonly named = new Set<string>()
  /** Who may be receiving it still: what he has not got he may have a moment later. */
  readonly receiving = new Set<string>()
  readonly #dialled = new Set<string>()
  readonly #tasks = new Set<Promise<void>>()
  readonly #over: Promise<void>
  #found: readonly string[] | undefined

  constructor(components: ElsewhereComponents) {
    this.#components = components
    const { signal } = components
    this.#over = new Promise(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
  }

  /** Whom the DHT has named; undefined while it was not asked. */
  get found(): readonly string[] | undefined {
    return this.#found
  }

  /** Nothing is under way. */
  get isIdle(): boolean {
    return this.#tasks.size === 0
  }

  /** Nobody who is here has all of it, or is likely to. Once. */
  find(root: ContentId): void {
    if (this.#found !== undefined) return
    this.#found = []
    const { clock, further, watch, signal, onNews } = this.#components
    const started = clock.now()
    const onHere = (peer: string): void => {
      this.named.add(peer)
      onNews()
    }
    this.wait(
      further.find(root, signal, onHere).then(peers => {
        this.#found = peers
        watch?.lookedUp(clock.now() - started)
        for (const peer of peers) this.#note(peer)
      })
    )
  }

  /** Goes where somebody without room has sent us. @param isOver whether a peer is asked no more */
  go(named: readonly NamedPeer[], isOver: (peer: string) => boolean): void {
    const { further, signal, isHere } = this.#components
    // Some of them may be here already: a handshake costs more than a question.
    let dials: number = LIMITS.dag.namedDialsAtOnce - named.filter(({ id }) => isHere(id) && !isOver(id)).length
    for (const one of named) {
      if (this.receiving.size < LIMITS.dag.namedPeers) this.receiving.add(one.id)
      if (this.receiving.has(one.id)) this.named.add(one.id)
      if (isHere(one.id) || this.#dialled.has(one.id)) continue
      if (dials <= 0 || this.#dialled.size >= LIMITS.dag.namedDials) continue
      dials -= 1
      this.#dialled.add(one.id)
      this.wait(further.reach(one, signal).then(() => this.#note(one.id)))
    }
  }

  /** What is done is waited for, until the fetch is over. */
  wait(task: Promise<void>): void {
    const run = Promise.race([task, this.#over]).finally(() => {
      this.#tasks.delete(run)
      this.#components.onNews()
    })
    this.#tasks.add(run)
  }

  async settled(): Promise<void> {
    await Promise.all(this.#tasks)
  }

  #note(peer: string): void {
    this.named.add(peer)
    if (!this.#components.isHere(peer) && !this.#components.signal.aborted) this.#components.report.unreached(peer)
  }
}
