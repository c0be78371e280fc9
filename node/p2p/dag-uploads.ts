import type { ContentId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'

/** A place for one peer to which one root is sent. */
export interface Upload {
  readonly root: ContentId
  /** @param sent bytes, if the peer got all that it asked for: then others are told of it */
  release(sent: number | undefined): void
}

/** Content that more peers ask for than there are places. */
interface Crowd {
  until: number
  /** How often each of them was sent elsewhere. */
  readonly referred: Map<string, number>
}

interface Receivers {
  readonly peers: readonly string[]
  /** Of the largest upload. */
  readonly bytes: number
}

/**
 * The places for uploads, and who got what.
 *
 * Attack: streams that ask for much and read little hold every place. No peer has more than its share, of one root no more
 * than one, and who is too slow loses it (dag-server.ts).
 */
export class Uploads {
  readonly #clock: Pick<Clock, 'now'>
  readonly #byPeer = new Map<string, number>()
  readonly #byRoot = new Map<ContentId, Set<string>>()
  /** Of the roots that were sent last, to whom, the newest last. */
  readonly #receivers = new Map<ContentId, Receivers>()
  readonly #crowds = new Map<ContentId, Crowd>()
  #all = 0

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  /** A place, or undefined when there is none, or when those who `hold` it and are here are to be asked first. */
  take(peer: string, root: ContentId, hold: readonly string[]): Upload | undefined {
    const { uploads, uploadsPerPeer, uploadsPerRoot } = LIMITS.dag
    const own = this.#byPeer.get(peer) ?? 0
    const sharing = this.#byRoot.get(root) ?? new Set()
    if (sharing.size >= uploadsPerRoot) this.#gather(root)
    if (this.#all >= uploads || own >= uploadsPerPeer || sharing.size >= uploadsPerRoot || sharing.has(peer))
      return undefined
    if (this.#isReferred(peer, root, hold)) return undefined
    this.#all += 1
    this.#byPeer.set(peer, own + 1)
    this.#byRoot.set(root, sharing.add(peer))
    return { root, release: sent => this.#release(peer, root, sent) }
  }

  /** Who got a root from here, the newest first. */
  receiversOf(root: ContentId): readonly string[] {
    return (this.#receivers.get(root)?.peers ?? []).toReversed()
  }

  #gather(root: ContentId): void {
    const until = this.#clock.now() + LIMITS.dag.crowdMs
    const crowd = this.#crowds.get(root) ?? { until, referred: new Map() }
    crowd.until = until
    this.#crowds.delete(root)
    this.#crowds.set(root, crowd)
    dropOldest(this.#crowds, LIMITS.dag.rootsRemembered)
  }

  /**
   * Whether a peer is sent to others although there is a place. Where fifty ask at once, each who got it has places of his
   * own: the source need not send it fifty times. Nobody is sent away for ever: those others may be out of his reach.
   */
  #isReferred(peer: string, root: ContentId, hold: readonly string[]): boolean {
    const { crowdBytes, referrals, peersShown } = LIMITS.dag
    const crowd = this.#crowds.get(root)
    if (crowd === undefined) return false
    if (crowd.until < this.#clock.now()) {
      this.#crowds.delete(root)
      return false
    }
    const isWorthIt = (this.#receivers.get(root)?.bytes ?? 0) >= crowdBytes
    const before = crowd.referred.get(peer) ?? 0
    if (!isWorthIt || hold.length === 0 || before >= referrals) return false
    crowd.referred.delete(peer)
    crowd.referred.set(peer, before + 1)
    dropOldest(crowd.referred, peersShown)
    return true
  }

  #release(peer: string, root: ContentId, sent: number | undefined): void {
    this.#all -= 1
    const left = (this.#byPeer.get(peer) ?? 1) - 1
    if (left > 0) this.#byPeer.set(peer, left)
    else this.#byPeer.delete(peer)
    const sharing = this.#byRoot.get(root)
    sharing?.delete(peer)
    if (sharing?.size === 0) this.#byRoot.delete(root)
    if (sent !== undefined) this.#remember(peer, root, sent)
  }

  #remember(peer: string, root: ContentId, sent: number): void {
    const { peers, rootsRemembered } = LIMITS.dag
    const before = this.#receivers.get(root) ?? { peers: [], bytes: 0 }
    const others = before.peers.filter(other => other !== peer)
    this.#receivers.delete(root)
    this.#receivers.set(root, { peers: [...others, peer].slice(-2 * peers), bytes: Math.max(before.bytes, sent) })
    dropOldest(this.#receivers, rootsRemembered)
  }
}

function dropOldest<K>(map: Map<K, unknown>, most: number): void {
  for (const oldest of map.keys()) {
    if (map.size <= most) return
    map.delete(oldest)
  }
}
