import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ERROR_CODES, RegistryError } from '../protocol/errors.ts'
import type { Principal } from '../protocol/did.ts'
import { writeDurably } from '../storage/durable.ts'
import type { Home } from '../storage/home.ts'
import { homePath } from './config.ts'
import type { StartSettings } from './config.ts'
import { effectiveConfig } from './config-file.ts'
import { checkParams } from './call-params.ts'
import { createNode } from './create-node.ts'
import type { ShownListener } from './gateway.ts'
import { takeHome } from './home.ts'
import { openLocalServer } from './http/local-server.ts'
import type { Log } from './runtime/log.ts'
import type { Api, CallContext, Method } from './services/api.ts'
import { ownPackage } from './package-root.ts'
import { memberOfEnvironment } from './swarm-token.ts'

export interface Listening {
  readonly peerId: string
  readonly addresses: readonly string[]
  readonly http: readonly ShownListener[]
  readonly key: Principal
}

/**
 * Runs a node until the signal fires or somebody calls `stop`. In order: lock, stores, network, local socket; in
 * reverse on the way out, all of it, whatever fails.
 * @throws RegistryError HOME_LOCKED | PORT_IN_USE | DISK_FULL | STORE_FORMAT | STORE_CORRUPT
 */
export async function runDaemon(
  settings: StartSettings,
  signal: AbortSignal,
  onListening: (listening: Listening) => void
): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const path = homePath(settings.home)
  const home = await takeHome(path)
  stack.defer(() => home.close())
  const config = await effectiveConfig(home.paths.dir, settings.flags)
  const asked = new AbortController()
  const node = await createNode({
    home,
    config,
    version: ownPackage().version,
    network: true,
    ...(await memberOfEnvironment()),
    onStopRequest: () => asked.abort()
  })
  stack.defer(() => node.stop())

  stack.defer(guardProcess(node.parts.log, () => asked.abort()))

  const token = randomBytes(32).toString('hex')
  const socket = await localSocket(home)
  stack.defer(socket.remove)
  const server = await openLocalServer({ path: socket.path, token, call: dispatch(node.api) })
  stack.defer(() => server.close())
  // Written last: whoever can read it finds a node that answers. 0600, because the token gives orders.
  const address = { pid: process.pid, path: socket.path, token }
  await writeDurably(home.paths.daemon, JSON.stringify(address), { mode: 0o600 })
  stack.defer(() => rm(home.paths.daemon, { force: true }))

  const { swarm, author, gateway } = node.parts
  onListening({
    peerId: swarm?.peerId ?? '',
    addresses: swarm?.addresses() ?? [],
    http: gateway.listening,
    key: author.principal
  })
  await ended(AbortSignal.any([signal, asked.signal]))
}

/** The longest path that every Unix takes for a socket; some take four bytes more. */
const SOCKET_PATH_BYTES = 103

/** Where to listen: in the data directory, unless its path is too long for a socket or this is Windows. */
async function localSocket({ paths }: Home): Promise<{ path: string; remove: () => Promise<void> }> {
  if (process.platform === 'win32') {
    return { path: `\\\\.\\pipe\\ggen-node-${randomBytes(16).toString('hex')}`, remove: () => Promise.resolve() }
  }
  if (Buffer.byteLength(paths.socket) <= SOCKET_PATH_BYTES) {
    return { path: paths.socket, remove: () => rm(paths.socket, { force: true }) }
  }
  // 0700 by its nature, and a name that nobody else can take beforehand.
  const folder = await mkdtemp(join(tmpdir(), 'ggen-node-'))
  return { path: join(folder, 'daemon.sock'), remove: () => rm(folder, { recursive: true, force: true }) }
}

/**
 * A promise that some library forgot must not end a node that serves others: it is logged. An exception nobody caught
 * leaves unknown state behind: the node stops in order, and whoever watches it starts it again.
 */
function guardProcess(log: Log, stop: () => void): () => void {
  const onRejection = (error: unknown): void => log.error({ error }, 'a promise was rejected and nobody had asked')
  const onException = (error: unknown): void => {
    log.error({ error }, 'an exception was not caught: stopping')
    process.exitCode = ERROR_CODES.INTERNAL.exit
    stop()
  }
  process.on('unhandledRejection', onRejection)
  process.on('uncaughtException', onException)
  return () => {
    process.off('unhandledRejection', onRejection)
    process.off('uncaughtException', onException)
  }
}

/** Calls of the table by name, with their parameters checked: a wrong call ends as an error and nowhere else. */
export function dispatch(api: Api): (method: string, params: unknown, context: CallContext) => Promise<unknown> {
  return async (method, params, context) => {
    if (!isMethod(api, method)) throw new RegistryError('USAGE', `the node knows no call ${JSON.stringify(method)}`)
    checkParams(method, params)
    const run = api[method] as (params: unknown, context: CallContext) => Promise<unknown>
    return run(params, context)
  }
}

function isMethod(api: Api, name: string): name is Method {
  return Object.hasOwn(api, name)
}

function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
}
