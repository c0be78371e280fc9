import type { CID } from 'multiformats/cid'
import { LIMITS } from '../../protocol/limits.ts'

interface Asker {
  /** When it was sent elsewhere for the first time. */
  readonly since: number
  /** Leaves for which it was. */
  readonly leaves: Set<string>
}

export interface Claim {
  readonly peer: string
  readonly now: number
  /** Whether others may be sent to a peer. */
  readonly isPeer: (peer: string) => boolean
}

/**
 * Which leaves of one root went to whom from here. Where many want the same, each leaf goes to a few of them, who have it for
 * the others: what a source sends is a few copies, in as many pieces as there are peers, and they complete each other.
 *
 * Invariants:
 * 1. A leaf is kept from nobody who may not get it from somebody who is here and got it from here.
 * 2. Whoever asks again for what was kept from him, a while later, gets it: those others were out of his reach, or gave nothing.
 * 3. What cannot be remembered is sent.
 */
export class Crowd {
  readonly #given = new Map<string, readonly string[]>()
  readonly #askers = new Map<string, Asker>()
  #refusals = 0
  #bytes = 0

  /** Whether a leaf is sent to a peer; from then on it has it for others. */
  claim(cid: CID, claim: Claim, isCrowded: boolean): boolean {
    const { copies, leavesRemembered, crowdBytes } = LIMITS.dag
    const { peer, isPeer } = claim
    const key = cid.toString()
    const given = this.#given.get(key)
    const others = (given ?? []).filter(other => other !== peer && isPeer(other))
    const isKept = isCrowded && this.#bytes >= crowdBytes && others.length >= copies
    // Whoever got it before, and was cut off, is no further copy.
    if (isKept && given?.includes(peer) !== true && !this.#insists(key, claim)) return false
    if (given === undefined && this.#given.size >= leavesRemembered) return true
    this.#given.set(key, [...others, peer].slice(-copies))
    return true
  }

  /** It was not here after all. */
  unclaim(cid: CID, peer: string): void {
    const key = cid.toString()
    const others = (this.#given.get(key) ?? []).filter(other => other !== peer)
    if (others.length === 0) this.#given.delete(key)
    else this.#given.set(key, others)
  }

  sent(bytes: number): void {
    this.#bytes += bytes
  }

  /** Who got some leaves from here. */
  receiversOf(cids: readonly CID[]): readonly string[] {
    return [...new Set(cids.flatMap(cid => this.#given.get(cid.toString()) ?? []))]
  }

  #insists(key: string, { peer, now }: Claim): boolean {
    const { referMs, peersShown, refusalsRemembered } = LIMITS.dag
    const asker = this.#askers.get(peer) ?? { since: now, leaves: new Set<string>() }
    if (asker.leaves.has(key)) return now - asker.since >= referMs
    // Attack: a crowd of made-up peers that ask for everything.
    if (this.#refusals >= refusalsRemembered || this.#askers.size >= peersShown) return true
    this.#refusals += 1
    asker.leaves.add(key)
    this.#askers.set(peer, asker)
    return false
  }
}
