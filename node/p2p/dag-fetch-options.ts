import type { Clock, FetchWatch, Log, SwarmTuning, Throttle } from './components.ts'
import type { LocalStore } from './dag-lane.ts'
import type { Further } from './further.ts'
import type { Peers } from './peers.ts'
import type { Shown } from './shown.ts'

export interface DagFetchComponents {
  readonly peers: Pick<Peers, 'connection' | 'blame'>
  readonly clock: Clock
  readonly log: Log
  readonly tuning: SwarmTuning
  readonly shown: Shown
  /** What an operator bounds the bytes to that come. */
  readonly throttle: Throttle | undefined
  readonly further: Further
  /** From 0 to below 1, each time another one. */
  readonly random?: () => number
}

export interface DagFetchOptions {
  readonly local: LocalStore
  readonly signal: AbortSignal
  /** Who may be asked, the likeliest first; `named` are those that others have named for it. */
  readonly candidates: (named: ReadonlySet<string>) => readonly string[]
  /** Whether somebody who is here may have it, as far as anybody says. */
  readonly isHopeful: () => boolean
  /** A peer had something of it, or nothing. */
  readonly onProved?: (peer: string, hadIt: boolean) => void
  readonly watch?: FetchWatch | undefined
}
