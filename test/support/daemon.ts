import { readFile } from 'node:fs/promises'
import { openClient } from '../../node/open-client.ts'
import type { NodeClient, RegistryStatus } from '../../node/services/api.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { HEARD_MS, MET_MS } from './heard.ts'
import { openPolicy } from './open-policy.ts'
import { startCli } from './spawn-cli.ts'
import type { CliProcess, CliResult } from './spawn-cli.ts'
import { tempDir } from './temp-dir.ts'

/** A `ggen-node start` in a process of its own, on a free loopback port, and a client of its local socket. */
export interface Daemon {
  readonly pid: number
  readonly home: string
  readonly peerId: string
  readonly address: string
  readonly client: NodeClient
  /** Spawned to listening. */
  readonly startMs: number
  /** The same in work of its processors, which other programs don't add to; all of `startMs` where the system doesn't tell. */
  readonly startCpuMs: number
  readonly exited: Promise<CliResult>
  /** Ends it, with SIGTERM unless told. */
  stop(signal?: NodeJS.Signals): Promise<CliResult>
}

export interface DaemonOptions {
  /** The data directory; a new temporary one without it. */
  readonly home?: string
  readonly args?: readonly string[]
  /** Where it listens; a free loopback port without it. */
  readonly listen?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** See `CliOptions.prefix`. */
  readonly prefix?: readonly string[]
  /** See `CliOptions.fromSources`. */
  readonly fromSources?: boolean
}

/** Starts a daemon and returns when it listens; fails with what it printed when it ends instead. */
export async function startDaemon(options: DaemonOptions = {}): Promise<Daemon> {
  const { args = [], listen = ['/ip4/127.0.0.1/tcp/0'], env = {}, prefix = [], fromSources = false } = options
  const dir = options.home ?? (await tempDir('home'))
  const started = performance.now()
  const places = listen.flatMap(address => ['--listen', address])
  const cli = await startCli(['--json', 'start', ...places, ...args], { home: dir, env, prefix, fromSources })
  const said = JSON.parse(await cli.line(/^\{/)) as { ok: boolean; peerId: string; addresses: string[] }
  if (!said.ok) throw new Error(`the daemon did not start: ${cli.stdout()} ${cli.stderr()}`)
  const startMs = performance.now() - started
  const startCpuMs = (await cpuMsOfProcess(cli.pid)) ?? startMs
  await openPolicy(dir)
  const { peerId, addresses } = said
  return { ...(await clientOf(cli, dir)), peerId, address: addresses[0] ?? '', startMs, startCpuMs }
}

/** See proc(5): user and system time, in hundredths of a second, counted from the end of the name in brackets. */
async function cpuMsOfProcess(pid: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields === undefined ? undefined : (Number(fields[11]) + Number(fields[12])) * 10
}

async function clientOf(
  cli: CliProcess,
  home: string
): Promise<Omit<Daemon, 'peerId' | 'address' | 'startMs' | 'startCpuMs'>> {
  const opened = await openClient({ home, network: false, create: false })
  if (!opened.isDaemon) throw new Error('the daemon does not answer')
  const { pid, exited } = cli
  return { pid, home, client: opened.client, exited, stop: signal => cli.stop(signal) }
}

const BYTES_MS = 60_000

/** Waits until a node holds all facts that another one holds now, and, with `kept`, the bytes of every release. */
export async function caughtUp(from: Daemon, to: Daemon, registry: string, { kept = false } = {}): Promise<void> {
  const { facts } = await registryStatus(from, registry)
  await to.client.call('waitFor', { registry, facts, peers: 0, kept: false, timeoutMs: HEARD_MS })
  if (kept) await to.client.call('waitFor', { registry, facts, peers: 0, kept, timeoutMs: BYTES_MS })
}

/** Waits until a node has so many peers. */
export async function connected(node: Daemon, registry: string, peers = 1): Promise<void> {
  await node.client.call('waitFor', { registry, facts: 0, peers, kept: false, timeoutMs: MET_MS })
}

/** What a node says of one registry. */
export async function registryStatus({ client }: Daemon, registry: string): Promise<RegistryStatus> {
  const found = (await client.call('status', {})).registries.find(entry => entry.id === registry)
  if (found === undefined) throw new Error(`registry ${registry} is not followed`)
  return found
}

/** The error of a call that must fail. */
export async function errorOf(promise: Promise<unknown>): Promise<RegistryError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof RegistryError) return error
    throw error
  }
  throw new Error('this must fail, and did not')
}
