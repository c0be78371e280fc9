import type { CID } from 'multiformats/cid'
import type { ContentId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Clock } from './components.ts'
import { Crowd } from './dag-crowd.ts'

/** A place for one peer to which one root is sent. */
export interface Upload {
  readonly root: ContentId
  /** Whether a leaf is sent; if not, there are others who have it for this peer. */
  claim(leaf: CID): boolean
  /** A leaf that was to be sent is not here. */
  unclaim(leaf: CID): void
  /** So many bytes more are on their way. */
  sent(bytes: number): void
  /** @param isWhole the peer got all that it asked for: then others are told of it first */
  release(isWhole: boolean): void
}

export interface UploadsComponents {
  readonly clock: Pick<Clock, 'now'>
  /** Whether a peer is here, so that others may be sent to it. */
  readonly isPeer: (peer: string) => boolean
}

/** What is remembered of one root. */
interface Sharing {
  /** Who is being sent it. */
  readonly active: Set<string>
  /** Who came last and got a place, and when: as many as there are places. */
  readonly starts: Map<string, number>
  /** Who got some of it, and who all that he asked for; the newest last. */
  readonly some: Set<string>
  readonly whole: Set<string>
  /** More peers ask for it than there are places, until then. */
  crowdedUntil: number
  crowd: Crowd
}

/**
 * The places for uploads, and who got what.
 *
 * Attack: streams that ask for much and read little hold every place. No peer has more than its share, of one root no more
 * than one, and who is too slow loses it (dag-server.ts).
 */
export class Uploads {
  readonly #components: UploadsComponents
  readonly #byPeer = new Map<string, number>()
  /** Of the roots that were asked for last, the newest last. */
  readonly #byRoot = new Map<ContentId, Sharing>()
  #all = 0

  constructor(components: UploadsComponents) {
    this.#components = components
  }

  /** A place, or undefined when there is none. */
  take(peer: string, root: ContentId): Upload | undefined {
    const { uploads, uploadsPerPeer, uploadsPerRoot, crowdMs } = LIMITS.dag
    const now = this.#components.clock.now()
    const own = this.#byPeer.get(peer) ?? 0
    const sharing = this.#of(root)
    const { active } = sharing
    if (active.size >= uploadsPerRoot || this.#isRush(peer, sharing)) {
      // What went to whom before that is long over.
      if (sharing.crowdedUntil < now - crowdMs) sharing.crowd = new Crowd()
      sharing.crowdedUntil = now + crowdMs
    }
    if (this.#all >= uploads || own >= uploadsPerPeer || active.size >= uploadsPerRoot || active.has(peer))
      return undefined
    this.#all += 1
    this.#byPeer.set(peer, own + 1)
    active.add(peer)
    remember(sharing.starts, peer, { value: now, most: uploadsPerRoot })
    const { isPeer, clock } = this.#components
    return {
      root,
      claim: leaf => {
        const at = clock.now()
        return sharing.crowd.claim(leaf, { peer, now: at, isPeer }, sharing.crowdedUntil >= at)
      },
      unclaim: leaf => sharing.crowd.unclaim(leaf, peer),
      sent: bytes => sharing.crowd.sent(bytes),
      release: isWhole => this.#release(peer, sharing, isWhole)
    }
  }

  /** Who has leaves that were kept from somebody, then who got all of a root from here, then who got some or is getting it. */
  receiversOf(root: ContentId, kept: readonly CID[] = []): readonly string[] {
    const sharing = this.#byRoot.get(root)
    if (sharing === undefined) return []
    const { crowd, whole, some, active } = sharing
    return [...new Set([...crowd.receiversOf(kept), ...[...whole].toReversed(), ...[...some].toReversed(), ...active])]
  }

  /** Where one is sent it after the other there is never a crowd at any moment, and as many copies go out. */
  #isRush(peer: string, { starts }: Sharing): boolean {
    const { uploadsPerRoot, crowdMs } = LIMITS.dag
    if (starts.size < uploadsPerRoot || starts.has(peer)) return false
    const now = this.#components.clock.now()
    return [...starts.values()].every(at => now - at < crowdMs)
  }

  #of(root: ContentId): Sharing {
    const sharing = this.#byRoot.get(root) ?? {
      active: new Set(),
      starts: new Map(),
      some: new Set(),
      whole: new Set(),
      crowdedUntil: 0,
      crowd: new Crowd()
    }
    this.#byRoot.delete(root)
    this.#byRoot.set(root, sharing)
    const idle = [...this.#byRoot].find(([, { active }]) => active.size === 0)
    if (this.#byRoot.size > LIMITS.dag.rootsRemembered && idle !== undefined) this.#byRoot.delete(idle[0])
    return sharing
  }

  #release(peer: string, sharing: Sharing, isWhole: boolean): void {
    this.#all -= 1
    const left = (this.#byPeer.get(peer) ?? 1) - 1
    if (left > 0) this.#byPeer.set(peer, left)
    else this.#byPeer.delete(peer)
    sharing.active.delete(peer)
    const { peers } = LIMITS.dag
    const got = isWhole ? sharing.whole : sharing.some
    got.delete(peer)
    got.add(peer)
    for (const oldest of got) if (got.size > 2 * peers) got.delete(oldest)
  }
}

function remember<K, V>(map: Map<K, V>, key: K, { value, most }: { readonly value: V; readonly most: number }): void {
  map.delete(key)
  map.set(key, value)
  for (const oldest of map.keys()) if (map.size > most) map.delete(oldest)
}
