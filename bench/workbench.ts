import { fork, spawn, type ChildProcess } from 'node:child_process'
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

/** What the groups of one run work with. All it made is gone after `close`: folders and processes. */
export interface Workbench {
  /** Whether this figure was asked for; ask before work that only it needs. */
  wants(figure: string): boolean
  /** Small numbers will do: nobody reads the figures. */
  readonly isQuick: boolean
  /** A new empty folder, until `clear`. */
  tempDir(): Promise<string>
  /** Makes something in a folder of its own that all groups of the run use; made on the first call. */
  once<T>(name: string, make: (folder: string) => Promise<T>): Promise<T>
  /** The launcher of the built package; built once, on the first call. */
  builtCli(): Promise<string>
  /** Runs `node ARGS` with a home of its own to its end. */
  run(args: readonly string[], home: string): Promise<Ran>
  /** Starts `node ARGS` and resolves when standard output has a line that matches; says how long that took. */
  start(args: readonly string[], home: string, ready: RegExp): Promise<Started>
  /** Starts a program of the bench that is told what to do by messages. */
  fork(script: string): ChildProcess
  /** Ends what a group left running and removes its folders. */
  clear(): Promise<void>
  close(): Promise<void>
}

export interface Started {
  readonly pid: number
  readonly readyMs: number
  readonly line: string
  /** Resident memory in MB as the system sees it; Linux only. */
  residentMb(): Promise<number>
  /** The most it ever was. */
  peakMb(): Promise<number>
  stop(): Promise<void>
}

/** A workbench for one run. */
export async function openWorkbench(
  wanted: readonly string[] = [],
  { isQuick = false }: { readonly isQuick?: boolean } = {}
): Promise<Workbench> {
  const root = await mkdtemp(join(tmpdir(), 'ggen-bench-'))
  const bench = { root, running: new Set<ChildProcess>() }
  const folders: string[] = []
  const made = new Map<string, Promise<unknown>>()
  const make = <T>(name: string, build: (folder: string) => Promise<T>): Promise<T> => {
    const known = made.get(name) ?? mkdtemp(join(root, `${name}-`)).then(build)
    made.set(name, known)
    return known as Promise<T>
  }
  const clear = async (): Promise<void> => {
    for (const child of bench.running) await end(child, 'SIGKILL')
    for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  }
  return {
    isQuick,
    wants: figure => wanted.length === 0 || wanted.some(name => figure === name || figure.startsWith(`${name}/`)),
    tempDir: async () => {
      const folder = await mkdtemp(join(root, 'dir-'))
      folders.push(folder)
      return folder
    },
    once: make,
    builtCli: () => make('cli', build),
    run: (args, home) => runNode(bench, args, home),
    start: (args, home, ready) => startNode(spawnNode(bench, args, home), ready),
    fork: script => {
      const child = fork(script, { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
      bench.running.add(child)
      child.once('close', () => bench.running.delete(child))
      return child
    },
    clear,
    close: async () => {
      await clear()
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

interface Bench {
  readonly root: string
  readonly running: Set<ChildProcess>
}

function spawnNode({ root, running }: Bench, args: readonly string[], home: string): ChildProcess {
  // One compile cache for the run, as a person's is one for all data directories.
  const own = { HOME: home, GGEN_NODE_HOME: home, XDG_CACHE_HOME: join(root, 'cache') }
  const env = { PATH: process.env['PATH'] ?? '', NO_COLOR: '1', ...own }
  const child = spawn(process.execPath, args, { cwd: home, env, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  child.once('close', () => running.delete(child))
  return child
}

async function runNode(bench: Bench, args: readonly string[], home: string): Promise<Ran> {
  const started = performance.now()
  const child = spawnNode(bench, args, home)
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
  await once(child, 'close')
  return { code: child.exitCode, stdout, stderr, ms: performance.now() - started }
}

function startNode(child: ChildProcess, ready: RegExp): Promise<Started> {
  const started = performance.now()
  return new Promise((resolve, reject) => {
    let stdout = ''
    let stderr = ''
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
    child.once('close', code => reject(new Error(`ended with ${code} before it was ready: ${stderr}${stdout}`)))
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
        residentMb: () => memoryMb(child.pid ?? -1, 'VmRSS'),
        peakMb: () => memoryMb(child.pid ?? -1, 'VmHWM'),
        stop: () => end(child, 'SIGTERM')
      })
    })
  })
}

async function memoryMb(pid: number, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'close')
  child.kill(signal)
  await gone
}
