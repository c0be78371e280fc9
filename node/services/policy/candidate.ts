import type { Principal } from '../../../protocol/did.ts'
import type { ReleaseContent } from '../../../protocol/payload.ts'
import type { ReleaseId } from './sources.ts'

/** A release that is to be judged, as its fact states it. */
export interface Candidate extends ReleaseId {
  readonly by: Principal
  /** The lockfile has had this content before. */
  readonly locked: boolean
  readonly content: Pick<ReleaseContent, 'manifest' | 'size'>
}
