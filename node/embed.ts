import { resolve } from 'node:path'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { Calls, toRegistryError } from './calls.ts'
import { homePath } from './config.ts'
import type { RunningNode } from './create-node.ts'
import { assertLog, assertSettings, assertText, withSettings } from './embed-settings.ts'
import type { CallOptions, CreateNodeInit, EmbeddedMethod, EmbeddedNode, ResultOf } from './embedded-node.ts'
import type { NodeParts } from './parts.ts'
import { ownPackage } from './package-root.ts'
import { openLog } from './runtime/log.ts'
import type { Log } from './runtime/log.ts'
import type { ApiMethods, CallContext } from './services/api.ts'

/** How long `waitFor` waits unless told otherwise. */
const WAIT_MS = 30_000

/** How many packages `search` answers with unless told otherwise. */
const SEARCH_RESULTS = 20

/**
 * Opens a data directory and runs a node on it in this process. It handles no signal, reads no environment variable,
 * prints nothing and ends nothing; any number of nodes on different data directories may run side by side.
 * @throws RegistryError HOME_LOCKED | PORT_IN_USE | USAGE | UNSAFE_PERMISSIONS | DISK_FULL | STORE_FORMAT | STORE_CORRUPT
 */
export async function createNode(init: CreateNodeInit): Promise<EmbeddedNode> {
  try {
    return await open(init)
  } catch (error) {
    throw ownLock(toRegistryError(error))
  }
}

/** The data directory of the command line: $GGEN_NODE_HOME, else ~/.ggen-node. Nothing else here reads the environment. */
export function defaultHome(): string {
  return homePath(undefined)
}

async function open({
  home: folder,
  config: settings = {},
  network = true,
  log: sink
}: CreateNodeInit): Promise<EmbeddedNode> {
  assertText(folder, 'home')
  assertSettings(settings)
  if (sink !== undefined) assertLog(sink)
  // Lazy: who imports only the error class does not load libp2p.
  const [{ createNode: compose }, { readConfig, takeHome }] = await Promise.all([
    import('./create-node.ts'),
    import('./home.ts')
  ])
  await using opening = new AsyncDisposableStack()
  const home = await takeHome(resolve(folder))
  opening.defer(() => home.close())
  const log = await openLog(
    sink === undefined ? { level: 'silent' } : { level: sink.level, write: contained(sink.write) }
  )
  let stop = (): void => undefined
  const node = await compose({
    home,
    config: withSettings(await readConfig(home), settings),
    version: ownPackage().version,
    network,
    log,
    onStopRequest: () => stop()
  })
  opening.defer(() => node.stop())
  const calls = new Calls()
  opening.defer(() => calls.close())
  const closing = opening.move()
  let stopped: Promise<void> | undefined
  const embedded = embeddedNode(node, calls, () => {
    stopped ??= closing.disposeAsync().catch((error: unknown) => {
      throw toRegistryError(error)
    })
    return stopped
  })
  stop = () => {
    embedded.stop().catch((error: unknown) => log.error({ error }, 'the node did not stop as it should'))
  }
  return embedded
}

function embeddedNode({ api, parts }: RunningNode, calls: Calls, stop: () => Promise<void>): EmbeddedNode {
  const call = <M extends EmbeddedMethod>(
    method: M,
    params: ApiMethods[M]['params'],
    { signal, onProgress }: CallOptions = {}
  ): Promise<ResultOf<M>> =>
    calls.run(signal, running => {
      // Programs without types can ask for anything, also for what an object inherits.
      if (!Object.hasOwn(api, method) || (method as string) === 'stop') {
        throw new RegistryError('USAGE', `the node knows no call ${JSON.stringify(method)}`)
      }
      const context: CallContext = {
        signal: running,
        onProgress: contained(onProgress ?? (() => undefined), parts.log)
      }
      return api[method](params, context)
    })
  return {
    home: parts.home,
    key: parts.author.principal,
    get peerId() {
      return parts.swarm?.peerId
    },
    get addresses() {
      return parts.swarm?.addresses() ?? []
    },
    registries: {
      list: options => call('registryList', {}, options),
      create: (name, { alias, ...options } = {}) => call('registryCreate', { name, ...given({ alias }) }, options),
      add: (id, { alias, peer, isDefault = false, ...options } = {}) =>
        call('registryAdd', { id, isDefault, ...given({ alias, peer }) }, options)
    },
    ...packageCalls(call),
    status: options => call('status', {}, options),
    peers: options => call('peers', {}, options),
    connect: (address, options) => call('connect', { address }, options),
    waitFor: async ({ registry, facts = 0, peers = 0, kept = false, timeoutMs = WAIT_MS }, options) =>
      call('waitFor', { registry: parts.registries.find(registry).id, facts, peers, kept, timeoutMs }, options),
    onChange: listeners(parts),
    call,
    stop,
    [Symbol.asyncDispose]: stop
  }
}

type Call = EmbeddedNode['call']

type PackageCalls = Pick<EmbeddedNode, 'publish' | 'importFolder' | 'install' | 'search' | 'show' | 'yank' | 'unyank'>

/** Paths are made absolute when a call begins: the program may change its working directory while it runs. */
function packageCalls(call: Call): PackageCalls {
  return {
    publish: async (folder, { registry, ...options } = {}) => {
      assertText(folder, 'folder')
      return call('publish', { folder: resolve(folder), ...given({ registry }) }, options)
    },
    importFolder: async (folder, { registry, ...options } = {}) => {
      assertText(folder, 'folder')
      return call('importFolder', { folder: resolve(folder), ...given({ registry }) }, options)
    },
    install: async (reference, { project, force = false, ...options }) => {
      assertText(reference, 'reference')
      assertText(project, 'project')
      return call('install', { references: [reference], project: resolve(project), force }, options)
    },
    search: (query, { registry, limit = SEARCH_RESULTS, ...options } = {}) =>
      call('search', { query, limit, ...given({ registry }) }, options),
    show: (reference, options) => call('show', { reference }, options),
    yank: (reference, { reason = '', ...options } = {}) => call('yank', { reference, reason }, options),
    unyank: (reference, options) => call('unyank', { reference }, options)
  }
}

function listeners(parts: NodeParts): EmbeddedNode['onChange'] {
  const listening = new Set<() => void>()
  return listener => {
    if (listening.size >= LIMITS.embedding.listeners) {
      throw new RegistryError('LIMIT_EXCEEDED', `${LIMITS.embedding.listeners} listeners wait for changes of this node`)
    }
    const end = parts.onChange(contained(listener, parts.log))
    listening.add(end)
    return () => {
      listening.delete(end)
      end()
    }
  }
}

/** A function of the embedding program: what it throws is logged and must not tear what the node is doing. */
function contained<A extends readonly unknown[]>(run: (...args: A) => void, log?: Log): (...args: A) => void {
  return (...args) => {
    try {
      run(...args)
    } catch (error) {
      log?.error({ error }, 'a function of the embedding program threw')
    }
  }
}

/** The fields that are not undefined: an optional field is there or it is not. */
function given<T extends Record<string, unknown>>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}

/** To stop process 4711 is no advice to process 4711. */
function ownLock(error: RegistryError): RegistryError {
  if (error.code !== 'HOME_LOCKED' || error.detail['pid'] !== process.pid) return error
  const { message, detail, tried } = error
  const next = 'stop the node that this process runs there, or use that one'
  return new RegistryError('HOME_LOCKED', message, { cause: error, detail, tried, next })
}
