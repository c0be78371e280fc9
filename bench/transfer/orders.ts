import type { ContentId } from '../../protocol/cid.ts'

/** How the same bytes go from one process to the other. */
export const ROADS = ['dag', 'helia', 'bitswap', 'raw', 'plain'] as const

/**
 * `dag` is what an install does, from the first request to the flush, and `bitswap` what it does where nobody speaks that: with
 * bounds of our own. `helia` is bitswap of Helia and libp2p as they come, over the same stores. `raw` is one libp2p stream over the same
 * kind of connection whose receiver hashes and stores all bytes in one file, durable at the end; `plain` one whose receiver
 * throws them away.
 */
export type Road = (typeof ROADS)[number]

export interface Shape {
  readonly files: number
  readonly fileBytes: number
}

/** An honest holder; one that answers nothing; one that sends other bytes. */
export type Part = 'holder' | 'staller' | 'liar'

/** What the bench tells a process with a swarm to do, with what it answers. */
export interface Orders {
  /** Makes content of random bytes and serves it. */
  serve: {
    params: { readonly folder: string; readonly shape: Shape; readonly upload?: number }
    answer: Served
  }
  /** Starts a swarm of its own with an empty store, connects, and gets it all. */
  get: {
    params: { readonly folder: string; readonly served: Served; readonly road: Road }
    answer: { readonly ms: number }
  }
  /** Starts a swarm that has the same bytes, or behaves as if it had. */
  join: {
    params: { readonly folder: string; readonly served: Served; readonly as: Part; readonly upload?: number }
    answer: { readonly address: string }
  }
  /** Starts a swarm with an empty store, connects to all, gets it all, `roots` one after the other, and stops it. */
  getFrom: {
    params: {
      readonly folder: string
      readonly addresses: readonly string[]
      readonly roots: readonly ContentId[]
      readonly size: number
    }
    answer: { readonly ms: readonly number[]; readonly bytesIn: readonly number[] }
  }
  /** Starts a swarm with an empty store, and connects; `fetch` then gets it all. */
  arrive: { params: { readonly folder: string; readonly address: string }; answer: null }
  fetch: { params: Served; answer: null }
  /** What this process has sent, the memory that it has, and the most that it had since it was last asked. */
  measure: {
    params: null
    answer: { readonly bytesOut: number; readonly nowMb: number; readonly peakMb: number }
  }
  close: { params: null; answer: null }
}

export interface Served {
  readonly address: string
  /** Of Helia as it comes, in the same process, over the same store. */
  readonly heliaAddress: string
  readonly root: ContentId
  /** The same with one file in a hundred changed. */
  readonly next: ContentId
  /** Bytes of the files. */
  readonly size: number
}
