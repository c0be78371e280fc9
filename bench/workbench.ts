import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildPackage } from '../bin/build/build.ts'

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly ms: number
}

/** What a group of benchmarks works with. All it made is gone after `close`: folders and processes. */
export interface Workbench {
  /** Whether this figure was asked for; ask before work that only it needs. */
  wants(figure: string): boolean
  /** A new empty folder. */
  tempDir(): Promise<string>
  /** The launcher of the built package; built once, on the first call. */
  builtCli(): Promise<string>
  /** Runs `node ARGS` with a home of its own to its end. */
  run(args: readonly string[], home: string): Promise<Ran>
  /** Starts `node ARGS` and resolves when standard output has a line that matches; says how long that took. */
  start(args: readonly string[], home: string, ready: RegExp): Promise<Started>
  close(): Promise<void>
}

export interface Started {
  readonly pid: number
  readonly readyMs: number
  readonly line: string
  /** Resident memory in MB as the system sees it; Linux only. */
  residentMb(): Promise<number>
  stop(): Promise<void>
}

/** A workbench for one group. */
export async function openWorkbench(wanted: readonly string[] = []): Promise<Workbench> {
  const root = await mkdtemp(join(tmpdir(), 'ggen-bench-'))
  const running = new Set<ChildProcess>()
  let built: Promise<string> | undefined
  return {
    wants: figure => wanted.length === 0 || wanted.some(name => figure === name || figure.startsWith(`${name}/`)),
    tempDir: () => mkdtemp(join(root, 'dir-')),
    builtCli: () => (built ??= build(root)),
    run: (args, home) => runNode(running, args, home),
    start: (args, home, ready) => startNode(running, spawnNode(running, args, home), ready),
    close: async () => {
      for (const child of running) await end(child, 'SIGKILL')
      await rm(root, { recursive: true, force: true, maxRetries: 3 })
    }
  }
}

/** The bundle leaves the native store outside: the link lets it be found, as beside an installed package. */
async function build(root: string): Promise<string> {
  await symlink(join(import.meta.dirname, '..', 'node_modules'), join(root, 'node_modules'), 'junction')
  const { folder } = await buildPackage(join(root, 'built'))
  return join(folder, 'ggen-node.js')
}

function spawnNode(running: Set<ChildProcess>, args: readonly string[], home: string): ChildProcess {
  const env = { PATH: process.env['PATH'] ?? '', HOME: home, GGEN_NODE_HOME: home, NO_COLOR: '1' }
  const child = spawn(process.execPath, args, { cwd: home, env, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  child.once('close', () => running.delete(child))
  return child
}

async function runNode(running: Set<ChildProcess>, args: readonly string[], home: string): Promise<Ran> {
  const started = performance.now()
  const child = spawnNode(running, args, home)
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
  await once(child, 'close')
  return { code: child.exitCode, stdout, stderr, ms: performance.now() - started }
}

function startNode(running: Set<ChildProcess>, child: ChildProcess, ready: RegExp): Promise<Started> {
  const started = performance.now()
  return new Promise((resolve, reject) => {
    let stdout = ''
    let stderr = ''
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
    child.once('close', code => reject(new Error(`ended with ${code} before it was ready: ${stderr}`)))
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk
      const line = stdout
        .split('\n')
        .slice(0, -1)
        .find(one => ready.test(one))
      if (line === undefined) return
      resolve({
        pid: child.pid ?? -1,
        readyMs: performance.now() - started,
        line,
        residentMb: () => residentMb(child.pid ?? -1),
        stop: () => end(child, 'SIGTERM')
      })
    })
  })
}

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'close')
  child.kill(signal)
  await gone
}
