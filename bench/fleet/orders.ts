import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'

/** What the bench tells one node of a host to do, with what it answers. */
export interface Orders {
  /** Makes a data directory and starts a node on it. */
  open: {
    params: { readonly home: string; readonly bootstrap: readonly string[] }
    answer: { readonly peer: string; readonly address: string; readonly key: Principal }
  }
  /** Founds a registry in which each of these keys owns one package. */
  found: { params: { readonly owners: readonly (readonly [string, Principal])[] }; answer: Founded }
  follow: { params: { readonly registry: RegistryId }; answer: null }
  /** Signs, admits and tells the next release of a package, as `publish` does once the content is stored. */
  publish: { params: { readonly registry: RegistryId; readonly name: string }; answer: Published }
  /** Answers once the registry holds so many facts; how many it holds when the time is up before that. */
  hold: {
    params: { readonly registry: RegistryId; readonly facts: number; readonly timeoutMs: number }
    answer: { readonly facts: number }
  }
  /** Ends the connections with these peers and refuses new ones in both directions; an empty list allows all again. */
  forbid: { params: { readonly peers: readonly string[] }; answer: null }
  /** Which of these facts are not in the set. */
  lacking: { params: { readonly registry: RegistryId; readonly ids: readonly FactId[] }; answer: readonly FactId[] }
  look: { params: { readonly registry: RegistryId }; answer: Look }
}

export interface Founded {
  readonly registry: RegistryId
  readonly facts: number
}

export interface Published {
  readonly id: FactId
  readonly bytes: number
}

export interface Look {
  readonly facts: number
  readonly digest: string
  readonly peers: number
  /** Over all sockets since the start, handshakes and framing included. */
  readonly bytesIn: number
}

export type OrderName = keyof Orders
