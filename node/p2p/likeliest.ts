import type { Said } from '../../protocol/have/told-roots.ts'
import type { Shown } from './shown.ts'

export interface Likelihood {
  /** What peers say of the content; who is not named says nothing. */
  readonly said: ReadonlyMap<string, Said>
  /** Who told of the release, or was named by others. */
  readonly told: ReadonlySet<string>
  /** Who was asked and had not got it. */
  readonly lacking: ReadonlySet<string>
  readonly shown: Pick<Shown, 'isSilent' | 'costMs'>
}

/**
 * Peers in the order in which they are asked for content: who says that he has it, the soonest and fastest first; who told of
 * it; who says nothing; who did not answer the last time; who says that he has it not. Nobody is left out: what anybody says is
 * a hint. Within all but the first kind the order that was given stays.
 */
export function likeliest(peers: Iterable<string>, { said, told, lacking, shown }: Likelihood): readonly string[] {
  const rank = (peer: string): number => {
    if (lacking.has(peer)) return 5
    if (shown.isSilent(peer)) return 3
    const says = said.get(peer)
    if (says === 'yes') return 0
    if (told.has(peer)) return 1
    return says === undefined ? 2 : 4
  }
  const ranked = [...new Set(peers)].map(peer => {
    const kind = rank(peer)
    return { peer, kind, cost: kind === 0 ? shown.costMs(peer) : 0 }
  })
  return ranked.toSorted((a, b) => a.kind - b.kind || a.cost - b.cost).map(({ peer }) => peer)
}
