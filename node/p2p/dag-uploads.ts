import type { ContentId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'

/** A place for one peer to which one root is sent. */
export interface Upload {
  readonly root: ContentId
  /** So many bytes more are on their way. */
  sent(bytes: number): void
  /** @param sent bytes, if the peer got all that it asked for: then others are told of it */
  release(sent: number | undefined): void
}

/** Content that more peers ask for than there are places. */
interface Crowd {
  until: number
  /** When each of them was sent elsewhere for the first time. */
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
  /** Who is being sent a root, and bytes so far. */
  readonly #byRoot = new Map<ContentId, Map<string, number>>()
  /** Of the roots that were sent last, to whom, the newest last. */
  readonly #receivers = new Map<ContentId, Receivers>()
  readonly #crowds = new Map<ContentId, Crowd>()
  /** Who came last for each root and got a place, and when: as many as there are places. */
  readonly #starts = new Map<ContentId, Map<string, number>>()
  #all = 0

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  /** A place, or undefined when there is none, or when those who `hold` it and are here are to be asked first. */
  take(peer: string, root: ContentId, hold: readonly string[]): Upload | undefined {
    const { uploads, uploadsPerPeer, uploadsPerRoot } = LIMITS.dag
    const own = this.#byPeer.get(peer) ?? 0
    const sharing = this.#byRoot.get(root) ?? new Map<string, number>()
    if (sharing.size >= uploadsPerRoot || this.#isRush(peer, root)) this.#gather(root)
    if (this.#all >= uploads || own >= uploadsPerPeer || sharing.size >= uploadsPerRoot || sharing.has(peer))
      return undefined
    if (this.#isReferred(peer, root, hold)) return undefined
    this.#all += 1
    this.#byPeer.set(peer, own + 1)
    this.#byRoot.set(root, sharing.set(peer, 0))
    this.#began(peer, root)
    return {
      root,
      sent: bytes => void sharing.set(peer, (sharing.get(peer) ?? 0) + bytes),
      release: sent => this.#release(peer, root, sent)
    }
  }

  /** Who got a root from here, the newest first, and then who is getting it. */
  receiversOf(root: ContentId): readonly string[] {
    const whole = (this.#receivers.get(root)?.peers ?? []).toReversed()
    return [...new Set([...whole, ...(this.#byRoot.get(root)?.keys() ?? [])])]
  }

  /** Where one is sent it after the other there is never a crowd at any moment, and as many copies go out. */
  #isRush(peer: string, root: ContentId): boolean {
    const { uploadsPerRoot, crowdMs } = LIMITS.dag
    const starts = this.#starts.get(root)
    if (starts === undefined || starts.size < uploadsPerRoot || starts.has(peer)) return false
    return [...starts.values()].every(at => this.#clock.now() - at < crowdMs)
  }

  #began(peer: string, root: ContentId): void {
    const { uploadsPerRoot, rootsRemembered } = LIMITS.dag
    const starts = this.#starts.get(root) ?? new Map<string, number>()
    starts.delete(peer)
    starts.set(peer, this.#clock.now())
    dropOldest(starts, uploadsPerRoot)
    this.#starts.delete(root)
    this.#starts.set(root, starts)
    dropOldest(this.#starts, rootsRemembered)
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
    const { crowdBytes, referMs, peersShown } = LIMITS.dag
    const now = this.#clock.now()
    const crowd = this.#crowds.get(root)
    if (crowd === undefined) return false
    if (crowd.until < now) {
      this.#crowds.delete(root)
      return false
    }
    const most = Math.max(this.#receivers.get(root)?.bytes ?? 0, ...(this.#byRoot.get(root)?.values() ?? []))
    const isWorthIt = most >= crowdBytes
    // Whoever had a place a moment ago gets the rest: that is no further copy.
    if (this.#starts.get(root)?.has(peer) === true) return false
    const since = crowd.referred.get(peer) ?? now
    if (!isWorthIt || hold.length === 0 || now - since >= referMs) return false
    crowd.referred.set(peer, since)
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
