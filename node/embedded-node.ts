import type { Principal } from '../protocol/did.ts'
import type { LogLevel } from './runtime/log.ts'
import type { ApiMethods, Method, Progress } from './services/api.ts'

/** Where an embedded node says what it does. Without one it says nothing. */
export interface NodeLog {
  readonly level: LogLevel
  /** Gets one JSON object with a line feed at a time. What it throws is dropped. */
  readonly write: (line: string) => void
}

/** What is decided for one node; what is left out comes from `config.toml` in its data directory, but for `listen`. */
export interface NodeSettings {
  /** `all`: fetch and keep the bytes of every release of the registries that are followed. */
  readonly keep?: 'all' | 'none' | undefined
  /** Multiaddrs to listen on. Nothing without it: a library opens no port that nobody asked for. */
  readonly listen?: readonly string[] | undefined
  /** Multiaddrs of peers to stay connected to. */
  readonly bootstrap?: readonly string[] | undefined
  /** Whether peers are looked for on the local network. */
  readonly mdns?: boolean | undefined
  /** Peer ids that no limit by address applies to. */
  readonly allowPeers?: readonly string[] | undefined
}

/** What `createNode` is told. */
export interface CreateNodeInit {
  /** The data directory; made when it is not there, and locked until the node has stopped. */
  readonly home: string
  readonly config?: NodeSettings | undefined
  /** False: no socket is opened; what is local can still be read, published and installed. */
  readonly network?: boolean | undefined
  readonly log?: NodeLog | undefined
}

/** What every call takes besides its own. */
export interface CallOptions {
  /** Ends the call early with the error `CANCELLED`. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** A call by name. `stop` is a method of its own. */
export type EmbeddedMethod = Exclude<Method, 'stop'>

/** What a call by name answers. */
export type ResultOf<M extends Method> = ApiMethods[M]['result']

/** An option of a call that names the registry by alias or id; the default registry without it. */
export interface InRegistry {
  readonly registry?: string | undefined
}

/** The registries that a node follows. */
export interface EmbeddedRegistries {
  list(options?: CallOptions): Promise<ResultOf<'registryList'>>
  /** Makes a registry that this node's key owns. The first one becomes the default. */
  create(
    name: string,
    options?: CallOptions & { readonly alias?: string | undefined }
  ): Promise<ResultOf<'registryCreate'>>
  /** Follows a registry. With `peer`, a multiaddr, its facts are asked for there. */
  add(
    id: string,
    options?: CallOptions & {
      readonly alias?: string | undefined
      readonly peer?: string | undefined
      readonly isDefault?: boolean | undefined
    }
  ): Promise<ResultOf<'registryAdd'>>
}

/** What to wait for: all of it, or the error `TIMEOUT`. */
export interface WaitFor extends InRegistry {
  /** So many facts of the registry. */
  readonly facts?: number | undefined
  /** So many connected peers. */
  readonly peers?: number | undefined
  /** With `keep: 'all'`: the bytes of all releases. */
  readonly kept?: boolean | undefined
  readonly timeoutMs?: number | undefined
}

/**
 * A node that lives in the process of the program that made it. Every promise it returns is rejected with a
 * `RegistryError` and nothing else. `await using` stops it.
 */
export interface EmbeddedNode extends AsyncDisposable {
  /** The data directory as an absolute path. */
  readonly home: string
  /** The key that signs what this node publishes. */
  readonly key: Principal
  /** Undefined in a node without a network. */
  readonly peerId: string | undefined
  /** Multiaddrs at which others reach it, with its peer id; empty when it does not listen. */
  readonly addresses: readonly string[]
  readonly registries: EmbeddedRegistries

  /** Signs and publishes a package folder. The same bytes a second time are no second publish. */
  publish(folder: string, options?: CallOptions & InRegistry): Promise<ResultOf<'publish'>>
  /** Publishes every package folder below a folder, and says which it refused and why. */
  importFolder(folder: string, options?: CallOptions & InRegistry): Promise<ResultOf<'importFolder'>>
  /** Installs `[alias:]name[@range]` and what it depends on below `.ggen` of a project folder. */
  install(
    reference: string,
    options: CallOptions & { readonly project: string; readonly force?: boolean | undefined }
  ): Promise<ResultOf<'install'>>
  search(
    query: string,
    options?: CallOptions & InRegistry & { readonly limit?: number | undefined }
  ): Promise<ResultOf<'search'>>
  /** All that the registry says of a package. */
  show(reference: string, options?: CallOptions): Promise<ResultOf<'show'>>
  /** Withdraws `name@version` from new installs. */
  yank(reference: string, options?: CallOptions & { readonly reason?: string | undefined }): Promise<ResultOf<'yank'>>
  unyank(reference: string, options?: CallOptions): Promise<ResultOf<'unyank'>>

  status(options?: CallOptions): Promise<ResultOf<'status'>>
  peers(options?: CallOptions): Promise<ResultOf<'peers'>>
  /** Connects to a peer by its multiaddr, and remembers it. */
  connect(address: string, options?: CallOptions): Promise<ResultOf<'connect'>>
  /** Resolves once a registry holds what is awaited. Driven by events, nobody polls. */
  waitFor(wanted: WaitFor, options?: CallOptions): Promise<ResultOf<'waitFor'>>
  /** Called after facts, peers or content changed, without saying what; returns how to take it back. */
  onChange(listener: () => void): () => void

  /** Every call there is, by its name: the same table that the command line uses. */
  call<M extends EmbeddedMethod>(
    method: M,
    params: ApiMethods[M]['params'],
    options?: CallOptions
  ): Promise<ResultOf<M>>

  /** Ends running calls with `CANCELLED`, closes everything and unlocks the data directory. Any number of times. */
  stop(): Promise<void>
}
