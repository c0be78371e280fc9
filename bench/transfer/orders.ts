import type { ContentId } from '../../protocol/cid.ts'

/** How the same bytes go from one process to the other. */
export const ROADS = ['dag', 'bitswap', 'raw', 'plain'] as const

/**
 * `dag` and `bitswap` are what an install does, from the first request to the flush. `raw` is one libp2p stream over the same
 * kind of connection whose receiver hashes and stores all bytes in one file, durable at the end; `plain` one whose receiver
 * throws them away.
 */
export type Road = (typeof ROADS)[number]

export interface Shape {
  readonly files: number
  readonly fileBytes: number
}

/** What the bench tells a process with a swarm to do, with what it answers. */
export interface Orders {
  /** Makes content of random bytes and serves it. */
  serve: { params: { readonly folder: string; readonly shape: Shape }; answer: Served }
  /** Starts a swarm of its own with an empty store, connects, and gets it all. */
  get: {
    params: { readonly folder: string; readonly served: Served; readonly road: Road }
    answer: { readonly ms: number }
  }
  close: { params: null; answer: null }
}

export interface Served {
  readonly address: string
  readonly root: ContentId
  /** Bytes of the files. */
  readonly size: number
}
