import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll } from 'vitest'

/** A small program of test/support/children that runs beside the test. */
export interface Child {
  readonly pid: number
  /** The next line it prints; rejects when it ends instead. */
  line(): Promise<string>
  send(line: string): void
  /** Ends it with SIGKILL and returns the lines that were not read. */
  kill(): Promise<readonly string[]>
}

const kills = new Set<() => Promise<unknown>>()

afterAll(async () => {
  for (const kill of kills) await kill()
})

/** Starts a child program; what still runs when the test file is done is killed. */
export function startChild(name: string, args: readonly string[], prefix: readonly string[] = []): Child {
  const script = join(import.meta.dirname, 'children', `${name}.ts`)
  const [command = '', ...rest] = [...prefix, process.execPath, script, ...args]
  const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] })
  const { pid } = child
  if (pid === undefined) throw new Error(`cannot start ${name}`)
  const closed = once(child, 'close')
  // A child that was killed no longer reads, which is not an error here.
  child.stdin.on('error', () => undefined)
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const kill = async () => {
    kills.delete(kill)
    child.kill('SIGKILL')
    const left: string[] = []
    for (let next = await lines.next(); next.done !== true; next = await lines.next()) left.push(next.value)
    await closed
    return left
  }
  kills.add(kill)
  return {
    pid,
    kill,
    send: line => void child.stdin.write(`${line}\n`),
    line: async () => {
      const next = await lines.next()
      if (next.done === true) throw new Error(`${name} ended`)
      return next.value
    }
  }
}
