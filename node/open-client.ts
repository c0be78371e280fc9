import { readFile } from 'node:fs/promises'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { homePaths } from '../storage/home.ts'
import { homePath, NO_HTTP } from './config.ts'
import { registriesAwaited, untilCaughtUp } from './caught-up.ts'
import { effectiveConfig } from './config-file.ts'
import { homeExists, takeHome } from './home.ts'
import { localClient } from './http/local-client.ts'
import type { DaemonAddress } from './http/local-client.ts'
import type { NodeParts } from './parts.ts'
import type { NodeClient } from './services/api.ts'
import { ownPackage } from './package-root.ts'
import { memberOfEnvironment } from './swarm-token.ts'

export interface OpenedClient {
  readonly client: NodeClient
  /** False: the node lives in this process and ends with `close`. */
  readonly isDaemon: boolean
  close(): Promise<void>
}

export interface OpenClientInit {
  readonly home: string | undefined
  /** Whether a node in this process needs the network. */
  readonly network: boolean
  /** Whether a data directory that does not exist is made. */
  readonly create: boolean
  /** Ends the wait for peers. */
  readonly signal?: AbortSignal
}

/** The running node of a data directory, or one that lives as long as the command. */
export async function openClient({ home: flag, network, create, signal }: OpenClientInit): Promise<OpenedClient> {
  const path = homePath(flag)
  const address = await daemonAddress(path)
  if (address !== undefined) return { client: localClient(address), isDaemon: true, close: () => Promise.resolve() }
  // A machine that lives for minutes begins with nothing but its token.
  if (!create && !('token' in (await memberOfEnvironment())) && !(await homeExists(path))) {
    throw new RegistryError('NO_REGISTRY', `there is no data directory at ${path}`, {
      tried: [`looked for ${path}`],
      next: 'make one with ggen-node init, or follow a registry: ggen-node registry add ID@ADDRESS'
    })
  }
  return inProcess(path, network, signal ?? new AbortController().signal)
}

async function inProcess(path: string, network: boolean, signal: AbortSignal): Promise<OpenedClient> {
  const [{ createNode }, { dispatch }] = await Promise.all([import('./create-node.ts'), import('./daemon.ts')])
  const home = await takeHome(path)
  try {
    const config = await effectiveConfig(path)
    // It dials and does not listen: nobody can reach a node that is gone in a moment.
    const swarms = config.swarms.map(swarm => ({ ...swarm, listen: [] }))
    const node = await createNode({
      home,
      config: { ...config, swarms, keep: 'none', http: NO_HTTP },
      version: ownPackage().version,
      network,
      ...(await memberOfEnvironment())
    })
    if (network) {
      await connected(node.parts, signal).catch(async (error: unknown) => {
        await node.stop()
        throw error
      })
    }
    const call = dispatch(node.api)
    const client: NodeClient = {
      call: (method, params, context = {}) =>
        call(method, params, { signal, onProgress: () => {}, ...context }) as never
    }
    const close = async (): Promise<void> => {
      try {
        await node.stop()
      } finally {
        await home.close()
      }
    }
    return { client, isDaemon: false, close }
  } catch (error) {
    await home.close()
    throw error
  }
}

/** Gives the remembered peers a moment to answer and to be read, so that a short command does not miss what they have. */
async function connected(parts: NodeParts, signal: AbortSignal): Promise<void> {
  const { registries, precedence } = parts
  const hasPublicPeers = (await parts.records.dialled()).length > 0
  const awaited = registriesAwaited({
    registries,
    precedence,
    sources: registry => parts.sources(registry),
    hasPublicPeers
  })
  await untilCaughtUp(parts, awaited, { patienceMs: LIMITS.hello.timeoutMs, signal })
}

/** Where the daemon of a data directory listens; undefined when none runs. */
export async function daemonAddress(home: string): Promise<DaemonAddress | undefined> {
  let text: string
  try {
    text = await readFile(homePaths(home).daemon, 'utf8')
  } catch {
    return undefined
  }
  const address = parseAddress(text)
  // A daemon that was killed leaves its file behind.
  return address !== undefined && isAlive(address.pid) ? address : undefined
}

function parseAddress(text: string): DaemonAddress | undefined {
  try {
    const { pid, path, token } = JSON.parse(text) as Partial<DaemonAddress>
    if (typeof pid !== 'number' || typeof path !== 'string' || typeof token !== 'string') return undefined
    return { pid, path, token }
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Asks the daemon to stop and waits until it is gone. */
export async function stopDaemon(flag: string | undefined, signal: AbortSignal): Promise<{ pid: number | null }> {
  const address = await daemonAddress(homePath(flag))
  if (address === undefined) return { pid: null }
  await localClient(address).call('stop', {}, { signal })
  const deadline = Date.now() + LIMITS.lifecycle.stopMs * 3
  while (isAlive(address.pid)) {
    signal.throwIfAborted()
    if (Date.now() > deadline) {
      throw new RegistryError('TIMEOUT', `process ${address.pid} is still running`, {
        next: `end it: kill ${address.pid}`
      })
    }
    await new Promise(resolve => setTimeout(resolve, 25))
  }
  return { pid: address.pid }
}
