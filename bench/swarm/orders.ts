import type { ApiMethods, Method } from '../../node/services/api.ts'

/** The alias of the private registry in all nodes of the bench. */
export const ALIAS = 'acme'

/** What the bench tells one node of a host to do, with what it answers. */
export interface Orders {
  /** Starts a node on a data directory, which is made when it is not there. */
  open: { params: { readonly home: string; readonly keep: 'all' | 'none' }; answer: { readonly key: string } }
  /** Stops the node. Its data directory stays. */
  close: { params: null; answer: null }
  /** Any call of the product. */
  call: { params: AnyCall; answer: unknown }
  /** The host in the private swarm. */
  whereabouts: { params: null; answer: Whereabouts }
  look: { params: null; answer: Look }
  /** Connects in the private swarm; why not, when it was refused. */
  meet: { params: { readonly address: string }; answer: { readonly refusal: string | null } }
  /** Answers when no connection with a peer is left. */
  parted: { params: { readonly peer: string; readonly timeoutMs: number }; answer: Parted }
  /** Starts to install and answers at once. */
  download: { params: { readonly reference: string; readonly project: string }; answer: null }
  /** Answers when so many bytes have come over the sockets of the private swarm since the download began. */
  downloaded: { params: { readonly bytes: number; readonly timeoutMs: number }; answer: { readonly bytes: number } }
  /** What the download has come to. */
  outcome: { params: null; answer: DownloadOver }
  /** Bytes on the sockets with one peer, both ways. */
  traffic: { params: { readonly peer: string }; answer: Bytes }
  /** Of the process, after the garbage was collected. */
  memory: { params: null; answer: Memory }
}

export type AnyCall = {
  readonly [M in Method]: { readonly method: M; readonly params: ApiMethods[M]['params'] }
}[Method]

export interface Whereabouts {
  readonly peer: string
  readonly address: string
}

export interface Look {
  readonly facts: number
  readonly digest: string
  /** Peers in the private swarm. */
  readonly peers: readonly string[]
}

export interface Bytes {
  readonly bytesIn: number
  readonly bytesOut: number
}

export interface Parted {
  /** When the last connection ended, in milliseconds since 1970. */
  readonly at: number
  /** What had been sent to the peer by then. */
  readonly bytesOut: number
}

export interface DownloadOver {
  /** Null: it is not over. */
  readonly outcome: 'installed' | 'failed' | null
  /** Bytes that came, and when, in milliseconds since 1970; one entry for each look at which there were more. */
  readonly arrivals: readonly (readonly [number, number])[]
}

export interface Memory {
  readonly residentMb: number
  readonly heapMb: number
  /** Outside the heap of V8. */
  readonly externalMb: number
}
