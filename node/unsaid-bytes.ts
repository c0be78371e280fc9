import type { ContentId } from '../protocol/cid.ts'
import type { Naming } from '../storage/unsaid-records.ts'
import type { BlockKeeper } from './block-keeper.ts'
import type { DiskGuard } from './disk-guard.ts'
import type { UnsaidBytes } from './services/unsaid.ts'
import type { Space } from './spaces.ts'
import type { UnsaidContents } from './unsaid.ts'

export interface UnsaidComponents {
  readonly unsaid: Pick<UnsaidContents, 'keep'>
  readonly disk: Pick<DiskGuard, 'note'>
  readonly keeper: Pick<BlockKeeper, 'tidyAfter'>
}

/** Where whose bytes wait for which fact. */
export interface UnsaidOrder {
  readonly space: Space
  readonly root: ContentId
  readonly by: Naming
  readonly signal?: AbortSignal | undefined
}

/** Pins a content for a fact, and gives it back when that fails. */
export async function unsaidBytes(
  { unsaid, disk, keeper }: UnsaidComponents,
  { space, root, by, signal }: UnsaidOrder
): Promise<UnsaidBytes> {
  const kept = await unsaid.keep(space, root, by)
  return {
    // What is left of it tells nobody anything wrong: the next who looks finds that it was said.
    said: () => kept.said().catch((error: unknown) => disk.note(error)),
    failed: async error => {
      // On a full disk this, too, may find no room: the next collection or start does it.
      await kept.failed().catch((cause: unknown) => disk.note(cause))
      await keeper.tidyAfter(error, space, signal)
    }
  }
}
