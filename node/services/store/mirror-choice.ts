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

/** The contents of a package that a mirror stands for. */
export function mirroredIn(pin: Pin, found: PackageView): readonly MirroredContent[] {
  return versionsMeantBy(pin, found).flatMap(({ version, contents }) =>
    contents.map(({ root, size, time }) => ({ root, size, time, version, name: found.name }))
  )
}

/**
 * Chooses what a quota holds: first what too few others hold, then the latest. What does not fit is passed over, and what is
 * older and does is kept: one large release keeps no other out. Pure; each content once, by the latest release that has it.
 */
export function choose(
  all: Iterable<MirroredContent>,
  { quotaBytes, isNeeded }: { readonly quotaBytes: number | null; readonly isNeeded: (root: ContentId) => boolean }
): Choice {
  const byRoot = new Map<ContentId, MirroredContent>()
  for (const content of all) {
    const known = byRoot.get(content.root)
    if (known === undefined || byTime(content, known) < 0) byRoot.set(content.root, content)
  }
  const needed = new Set([...byRoot.keys()].filter(isNeeded))
  const sorted = [...byRoot.values()].toSorted(
    (a, b) => Number(needed.has(b.root)) - Number(needed.has(a.root)) || byTime(a, b)
  )
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
