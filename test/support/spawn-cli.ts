import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { afterAll } from 'vitest'
import { PROGRAM, SOURCES } from './program.ts'
import { COMPILE_CACHE } from './shared.ts'
import { tempDir } from './temp-dir.ts'

export interface CliOptions {
  /** The data directory; a new temporary one without it. */
  readonly home?: string
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** What the program reads from standard input, which is then closed. */
  readonly input?: string
  readonly timeoutMs?: number
  /** Runs the sources, whose modules can be told apart; the built program otherwise. */
  readonly fromSources?: boolean
  /** What goes before the command: a program that becomes the one named after it, as `ip netns exec NAME` does. */
  readonly prefix?: readonly string[]
}

export interface CliResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A running ggen-node. What is still running when the test file is done is killed, by its process id. */
export interface CliProcess {
  readonly pid: number
  readonly home: string
  readonly exited: Promise<CliResult>
  stdout(): string
  stderr(): string
  /** The first line of standard output that matches; rejects when the program ends without one. */
  line(pattern: RegExp): Promise<string>
  /** Sends a signal, SIGTERM unless told, and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<CliResult>
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>

const running = new Set<Child>()

afterAll(async () => {
  for (const child of running) {
    const gone = once(child, 'close')
    child.kill('SIGKILL')
    await gone
  }
})

/** Runs `ggen-node ARGS` to its end. A failing exit code is a result, not an exception. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const cli = await startCli(args, options)
  const timeoutMs = options.timeoutMs ?? 100_000
  let late = false
  const timer = setTimeout(() => {
    late = true
    void cli.stop('SIGKILL')
  }, timeoutMs)
  try {
    const result = await cli.exited
    if (late) throw new Error(`ggen-node ${args.join(' ')} did not end in ${timeoutMs} ms: ${result.stderr}`)
    return result
  } finally {
    clearTimeout(timer)
  }
}

/** Starts `ggen-node ARGS` and leaves it running. */
export async function startCli(args: readonly string[], options: CliOptions = {}): Promise<CliProcess> {
  const home = options.home ?? (await tempDir('home'))
  const [command = '', ...rest] = [
    ...(options.prefix ?? []),
    process.execPath,
    options.fromSources === true ? SOURCES : PROGRAM,
    ...args
  ]
  const child = spawn(command, rest, {
    cwd: options.cwd ?? home,
    env: { ...inherited(), HOME: home, GGEN_NODE_HOME: home, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe']
  })
  running.add(child)
  child.stdin.on('error', () => {}) // a program that ends without reading its input closes the pipe
  child.stdin.end(options.input ?? '')
  return follow(child, home)
}

async function follow(child: Child, home: string): Promise<CliProcess> {
  const text = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text.stdout += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text.stderr += chunk))
  const exited = new Promise<CliResult>(resolve => {
    child.once('close', (code, signal) => {
      running.delete(child)
      resolve({ code, signal, ...text })
    })
  })
  await once(child, 'spawn')
  return {
    pid: child.pid ?? -1,
    home,
    exited,
    stdout: () => text.stdout,
    stderr: () => text.stderr,
    line: pattern => firstLine(child, () => text, pattern),
    stop: async (signal = 'SIGTERM') => {
      child.kill(signal)
      return await exited
    }
  }
}

function firstLine(child: Child, text: () => { stdout: string; stderr: string }, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const look = (ended = false): void => {
      const lines = text().stdout.split('\n')
      const match = (ended ? lines : lines.slice(0, -1)).find(line => pattern.test(line))
      if (match !== undefined) finish(() => resolve(match))
      else if (ended) finish(() => reject(new Error(`ended without a line like ${pattern}: ${text().stderr}`)))
    }
    const onData = (): void => look()
    const onClose = (): void => look(true)
    const finish = (settle: () => void): void => {
      child.stdout.off('data', onData)
      child.off('close', onClose)
      settle()
    }
    child.stdout.on('data', onData)
    child.once('close', onClose)
    if (child.exitCode !== null || child.signalCode !== null) look(true)
    else look()
  })
}

/** The environment of a person who never used ggen-node: none of our variables, and no test runner's. */
function inherited(): Record<string, string> {
  const kept: Record<string, string> = { NO_COLOR: '1', NODE_COMPILE_CACHE: COMPILE_CACHE }
  for (const name of ['PATH', 'LANG', 'TMPDIR', 'SystemRoot', 'GGEN_CI_MARK']) {
    const value = process.env[name]
    if (value !== undefined) kept[name] = value
  }
  return kept
}
