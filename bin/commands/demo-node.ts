import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { initHome } from '../../node/home.ts'
import { openClient } from '../../node/open-client.ts'
import type { NodeClient } from '../../node/services/api.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'

/** One node of the demo, in a process of its own. */
export interface DemoNode {
  readonly pid: number
  readonly home: string
  readonly peerId: string
  readonly address: string
  readonly registry: string
  readonly client: NodeClient
  stop(): Promise<void>
}

interface DemoNodeInit {
  readonly home: string
  readonly args: readonly string[]
  /** The registry to follow; a new one without it. */
  readonly registry: string | undefined
  readonly signal: AbortSignal
}

/** Prepares a data directory and starts `ggen-node start` on a free loopback port. */
export async function startDemoNode({ home, args, registry, signal }: DemoNodeInit): Promise<DemoNode> {
  await initHome(home)
  const prepared = await openClient({ home, network: false, create: true })
  const { id } =
    registry === undefined
      ? await prepared.client.call('registryCreate', { name: 'demo' })
      : await prepared.client.call('registryAdd', { id: registry, alias: 'demo', isDefault: true })
  await prepared.close()

  const entry = process.argv[1] ?? ''
  const listen = ['--listen', '/ip4/127.0.0.1/tcp/0']
  const child = spawn(process.execPath, [entry, '--home', home, '--json', 'start', ...listen, ...args], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const { peerId, addresses } = await firstLine(child, child.stdout, signal)
  const opened = await openClient({ home, network: false, create: false })
  if (!opened.isDaemon) throw new RegistryError('INTERNAL', 'the node of the demo does not answer')
  const { client } = opened
  const address = addresses.find(candidate => candidate.includes('/127.0.0.1/')) ?? ''
  return { pid: child.pid ?? 0, home, peerId, address, registry: id, client, stop: () => stop(child) }
}

async function firstLine(
  child: ChildProcess,
  stdout: Readable,
  signal: AbortSignal
): Promise<{ peerId: string; addresses: readonly string[] }> {
  const timeout = AbortSignal.timeout(LIMITS.lifecycle.startMs)
  const lines = createInterface({ input: stdout, signal: AbortSignal.any([signal, timeout]) })
  for await (const line of lines) {
    stdout.resume()
    const said = JSON.parse(line) as { ok: boolean; peerId: string; addresses: string[]; error?: { message: string } }
    if (said.ok) return said
    throw new RegistryError('INTERNAL', `a node of the demo did not start: ${said.error?.message ?? line}`)
  }
  child.kill('SIGKILL')
  throw new RegistryError('TIMEOUT', 'a node of the demo did not start')
}

/** Asks the process to end, and ends it if it does not. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), LIMITS.lifecycle.stopMs)
  await gone
  clearTimeout(timer)
}
