import type { ContentId } from '../../../protocol/cid.ts'
import { compareText } from '../../../protocol/bytes.ts'
import type { PackageView } from '../../../protocol/fold.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Version } from '../../../protocol/version.ts'
import { versionsMeantBy } from './pins.ts'
import type { Pin, PinnedContent } from './pins.ts'

/** A content that a mirror stands for. */
export interface MirroredContent extends PinnedContent {
  readonly name: PackageName
  readonly version: Version
  /** When its author says that it was released. */
  readonly time: number
}

/** What a mirror keeps, the most wanted first, and what its quota has no room for. */
export interface Choice {
  readonly kept: readonly MirroredContent[]
  readonly leftOut: readonly MirroredContent[]
}

export interface ChoiceOrder {
  readonly quotaBytes: number | null
  /** Whether too few others hold it. */
  readonly isNeeded: (root: ContentId) => boolean
  /** What is here. */
  readonly held: ReadonlySet<ContentId>
}

/** The contents of a package that a mirror stands for. */
export function mirroredIn(pin: Pin, found: PackageView): readonly MirroredContent[] {
  return versionsMeantBy(pin, found).flatMap(({ version, contents }) =>
    contents.map(({ root, size, time }) => ({ root, size, time, version, name: found.name }))
  )
}

/**
 * Chooses what a quota holds: first what is needed because too few others hold it, and of that what is here before what is not;
 * then the latest. So what may be the last copy never goes for something newer, whatever is not known yet of others. What
 * does not fit is passed over, and what is older and does is kept: one large release keeps no other out.
 * Pure; each content once, by the latest release that has it.
 */
export function choose(all: Iterable<MirroredContent>, { quotaBytes, isNeeded, held }: ChoiceOrder): Choice {
  const byRoot = new Map<ContentId, MirroredContent>()
  for (const content of all) {
    const known = byRoot.get(content.root)
    if (known === undefined || byTime(content, known) < 0) byRoot.set(content.root, content)
  }
  const ranks = new Map([...byRoot.keys()].map(root => [root, isNeeded(root) ? (held.has(root) ? 0 : 1) : 2]))
  const rankOf = ({ root }: MirroredContent): number => ranks.get(root) ?? 2
  const sorted = [...byRoot.values()].toSorted((a, b) => rankOf(a) - rankOf(b) || byTime(a, b))
  const kept: MirroredContent[] = []
  const leftOut: MirroredContent[] = []
  let room = quotaBytes ?? Number.POSITIVE_INFINITY
  for (const content of sorted) {
    if (content.size > room) {
      leftOut.push(content)
      continue
    }
    room -= content.size
    kept.push(content)
  }
  return { kept, leftOut }
}

/** The latest first; the same everywhere, so that two mirrors of one quota keep the same. */
function byTime(a: MirroredContent, b: MirroredContent): number {
  return b.time - a.time || compareText(a.root, b.root)
}
