import type { Parts } from '../parts.ts'
import type { Invariant } from '../invariants.ts'
import { acknowledgesEarly, forksHidden, keepsCutFacts, strangersWelcome } from './gate-bugs.ts'
import { chainInBackup, positionFromMemory } from './author-bugs.ts'
import { dropsDerived, editsByArrival, forgetsNotes, keepsCutWords, takesNotesBack } from './document-bugs.ts'
import { foldsByArrival, yanksByTime } from './fold-bugs.ts'
import { firstPageOnly, forgetsAsked, neverAgain, recentOnly } from './sync-bugs.ts'

/** A part that is wrong in a way that such parts have been, and what is expected to show it. */
export interface PlantedBug {
  readonly parts: Parts
  /** Any of these shows the bug. */
  readonly shownBy: readonly Invariant[]
  /** Within so many seeds; undefined: as many as a hunt has. */
  readonly within?: number
}

export const PLANTED_BUGS: readonly PlantedBug[] = [
  { parts: strangersWelcome, shownBy: ['named', 'membership', 'converge'] },
  { parts: acknowledgesEarly, shownBy: ['durable', 'one-position', 'visible'] },
  { parts: positionFromMemory, shownBy: ['one-position'] },
  { parts: foldsByArrival, shownBy: ['equal-digests'] },
  { parts: firstPageOnly, shownBy: ['converge'] },
  { parts: forgetsAsked, shownBy: ['asked', 'converge'] },
  { parts: recentOnly, shownBy: ['converge'] },
  { parts: neverAgain, shownBy: ['converge', 'visible'] },
  { parts: forksHidden, shownBy: ['converge', 'proof', 'membership', 'equal-digests'] },
  { parts: yanksByTime, shownBy: ['equal-digests'] },
  { parts: chainInBackup, shownBy: ['one-position'] },
  { parts: keepsCutFacts, shownBy: ['converge', 'membership', 'equal-digests', 'set-sums', 'named', 'documents'] },
  { parts: editsByArrival, shownBy: ['heard', 'documents', 'equal-digests'], within: 10 },
  { parts: dropsDerived, shownBy: ['heard', 'documents', 'equal-digests'], within: 10 },
  { parts: keepsCutWords, shownBy: ['heard', 'documents', 'equal-digests'], within: 10 },
  { parts: forgetsNotes, shownBy: ['documents', 'equal-digests'], within: 10 },
  { parts: takesNotesBack, shownBy: ['documents', 'equal-digests'], within: 10 }
]
