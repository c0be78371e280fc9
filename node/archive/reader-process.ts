import { spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { LIMITS } from '../../protocol/limits.ts'

/** The program that reads archives. */
export interface ReaderProgram {
  readonly file?: URL
  /** The folder that holds its code: all that it may read. */
  readonly root: string
  /** Told of each process that was started. */
  readonly onStart?: (pid: number) => void
}

export interface ReaderProcess {
  readonly input: Writable
  readonly output: Readable
  /** At once, whatever it does. Once is enough. */
  readonly kill: () => void
  /** Kills it and waits until it is gone. */
  end(): Promise<void>
}

/** The program in the sources. The build replaces the name by that of the bundle's entry. */
const READER_FILE = new URL('./child.ts', import.meta.url)

/**
 * Starts it with a small heap, without environment, in an empty folder, and without rights: no file may be written, nothing read
 * but its own code, no other process or thread started. What it can do to us is send frames.
 */
export function startReader({ file = READER_FILE, root, onStart }: ReaderProgram, folder: string): ReaderProcess {
  const rights = ['--permission', `--allow-fs-read=${root}`]
  const flags = [`--max-old-space-size=${LIMITS.foreign.heapMiB}`, '--max-semi-space-size=2', '--no-warnings']
  const child = spawn(process.execPath, [...rights, ...flags, fileURLToPath(file)], {
    cwd: folder,
    // On Windows libuv adds what no process starts without.
    env: {},
    stdio: ['pipe', 'pipe', 'ignore'],
    windowsHide: true
  })
  const { stdin, stdout, pid } = child
  const gone = new Promise<void>(resolve => {
    child.once('close', () => resolve())
    child.once('error', () => {
      // Not started at all: nothing will close.
      if (child.pid === undefined) resolve()
    })
  })
  // A reader that ended early is told by what it did not say.
  stdin.on('error', () => undefined)
  if (pid !== undefined) onStart?.(pid)
  const kill = (): void => void child.kill('SIGKILL')
  return {
    input: stdin,
    output: stdout,
    kill,
    end: async () => {
      kill()
      stdin.destroy()
      stdout.destroy()
      await gone
    }
  }
}
