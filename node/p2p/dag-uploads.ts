import type { ContentId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'

/** A place for one peer to which one root is sent. */
export interface Upload {
  readonly root: ContentId
  /** @param isWhole whether the peer got all that it asked for: then others are told of it */
  release(isWhole: boolean): void
}

/**
 * The places for uploads, and who got what.
 *
 * Attack: streams that ask for much and read little hold every place. No peer has more than its share, of one root no more
 * than one, and who is too slow loses it (dag-server.ts).
 */
export class Uploads {
  readonly #byPeer = new Map<string, number>()
  readonly #byRoot = new Map<ContentId, Set<string>>()
  /** Of the roots that were sent last, to whom, the newest last. */
  readonly #receivers = new Map<ContentId, readonly string[]>()
  #all = 0

  /** A place, or undefined when there is none. */
  take(peer: string, root: ContentId): Upload | undefined {
    const { uploads, uploadsPerPeer, uploadsPerRoot } = LIMITS.dag
    const own = this.#byPeer.get(peer) ?? 0
    const sharing = this.#byRoot.get(root) ?? new Set()
    if (this.#all >= uploads || own >= uploadsPerPeer || sharing.size >= uploadsPerRoot || sharing.has(peer))
      return undefined
    this.#all += 1
    this.#byPeer.set(peer, own + 1)
    this.#byRoot.set(root, sharing.add(peer))
    return { root, release: isWhole => this.#release(peer, root, isWhole) }
  }

  /** Who got a root from here, the newest first. */
  receiversOf(root: ContentId): readonly string[] {
    return (this.#receivers.get(root) ?? []).toReversed()
  }

  #release(peer: string, root: ContentId, isWhole: boolean): void {
    this.#all -= 1
    const left = (this.#byPeer.get(peer) ?? 1) - 1
    if (left > 0) this.#byPeer.set(peer, left)
    else this.#byPeer.delete(peer)
    const sharing = this.#byRoot.get(root)
    sharing?.delete(peer)
    if (sharing?.size === 0) this.#byRoot.delete(root)
    if (isWhole) this.#remember(peer, root)
  }

  #remember(peer: string, root: ContentId): void {
    const { peers, rootsRemembered } = LIMITS.dag
    const others = (this.#receivers.get(root) ?? []).filter(other => other !== peer)
    this.#receivers.delete(root)
    this.#receivers.set(root, [...others, peer].slice(-2 * peers))
    if (this.#receivers.size <= rootsRemembered) return
    const oldest = this.#receivers.keys().next().value
    if (oldest !== undefined) this.#receivers.delete(oldest)
  }
}
