import { join } from 'node:path'
import { initHome } from '../node/home.ts'
import { localClient } from '../node/http/local-client.ts'
import { daemonAddress, openClient } from '../node/open-client.ts'
import type { NodeClient } from '../node/services/api.ts'
import type { Started, Workbench } from './workbench.ts'

/** Starts a node on a free port; to follow the launcher. */
export const START = ['--json', 'start', '--listen', '/ip4/127.0.0.1/tcp/0']

/** The line with which a node says that it listens. */
export const LISTENING = /"listening":true/

/** A node of the built package in a process of its own, and its local API. */
export interface Daemon extends Started {
  readonly home: string
  readonly registry: string
  readonly address: string
  readonly client: NodeClient
}

export interface DaemonInit {
  /** The registry to follow; a new one without it. */
  readonly registry?: string
  readonly args?: readonly string[]
}

/** Prepares a data directory and starts a node on it. */
export async function startDaemon(workbench: Workbench, { registry, args = [] }: DaemonInit = {}): Promise<Daemon> {
  const home = join(await workbench.tempDir(), 'home')
  await initHome(home)
  const prepared = await openClient({ home, network: false, create: true })
  const { id } =
    registry === undefined
      ? await prepared.client.call('registryCreate', { name: 'bench' })
      : await prepared.client.call('registryAdd', { id: registry, alias: 'bench', isDefault: true })
  await prepared.close()
  const started = await workbench.start([await workbench.builtCli(), ...START, ...args], home, LISTENING)
  const { addresses } = JSON.parse(started.line) as { addresses: string[] }
  const socket = await daemonAddress(home)
  if (socket === undefined) throw new Error('the node does not answer')
  return { ...started, home, registry: id, address: addresses[0] ?? '', client: localClient(socket) }
}

/** A node that follows the registry of another one, is connected to it and holds all its facts. */
export async function startNeighbour(workbench: Workbench, { client, registry, address }: Daemon): Promise<Daemon> {
  const facts = (await client.call('status', {})).registries.find(({ id }) => id === registry)?.facts ?? 0
  const node = await startDaemon(workbench, { registry, args: ['--bootstrap', address] })
  await node.client.call('waitFor', { registry, facts, peers: 1, kept: false, timeoutMs: 30_000 })
  await client.call('waitFor', { registry, facts, peers: 1, kept: false, timeoutMs: 30_000 })
  return node
}
