import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { messageOf, RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'

/** The program that reads archives. */
export interface ReaderProgram {
  readonly file?: URL
  /** The folder that holds its code: all that it may read. */
  readonly root: string
  /** Told of each process that was started. */
  readonly onStart?: (pid: number) => void
}

/** How it ended: with a number of its own, or, then that is null, because it was killed or could not be started. */
export interface Ending {
  readonly code: number | null
  readonly cause?: Error
}

export interface ReaderProcess {
  readonly input: Writable
  readonly output: Readable
  /** Fulfilled when it is gone, however that came. Never rejected. */
  readonly gone: Promise<Ending>
  /** At once, whatever it does. Once is enough. */
  readonly kill: () => void
  /** Kills it and waits until it is gone. */
  end(): Promise<Ending>
}

/** The program in the sources. The build replaces the name by that of the bundle's entry. */
const READER_FILE = new URL('./child.ts', import.meta.url)

/**
 * Starts it with a small heap, without environment, in an empty folder, and without rights: no file may be written, nothing read
 * but its own code, no other process or thread started. What it can do to us is send frames. Versions of Node.js that can take
 * the network from a program do so as well; the others can't.
 *
 * @throws RegistryError INTERNAL when nothing was started
 */
export function startReader({ file = READER_FILE, root, onStart }: ReaderProgram, folder: string): ReaderProcess {
  const rights = ['--permission', `--allow-fs-read=${root}`]
  const flags = [`--max-old-space-size=${LIMITS.foreign.heapMiB}`, '--max-semi-space-size=2', '--no-warnings']
  const child = spawned([...rights, ...flags, fileURLToPath(file)], folder)
  const gone = endingOf(child)
  const { stdin, stdout, pid } = child
  // Without file descriptors there are no pipes, whatever its type says.
  if (!stdin || !stdout) throw notStarted(new Error('no pipes to it could be made'))
  // A reader that ended early is told by what it did not say.
  stdin.on('error', () => undefined)
  if (pid !== undefined) onStart?.(pid)
  const kill = (): void => void child.kill('SIGKILL')
  return {
    input: stdin,
    output: stdout,
    gone,
    kill,
    end: () => {
      kill()
      stdin.destroy()
      stdout.destroy()
      return gone
    }
  }
}

function spawned(args: readonly string[], folder: string): ChildProcess {
  try {
    return spawn(process.execPath, args, {
      cwd: folder,
      // On Windows libuv adds what no process starts without.
      env: {},
      stdio: ['pipe', 'pipe', 'ignore'],
      windowsHide: true
    })
  } catch (cause) {
    throw notStarted(cause)
  }
}

function endingOf(child: ChildProcess): Promise<Ending> {
  return new Promise(resolve => {
    child.once('close', code => resolve({ code }))
    // More than once: what can't be killed tells that here as well, and an error that nobody hears ends the node.
    child.on('error', cause => {
      // Not started at all: nothing will close.
      if (child.pid === undefined) resolve({ code: null, cause })
    })
  })
}

/** Nobody's fault but this machine's. */
export function notStarted(cause: unknown): RegistryError {
  return new RegistryError('INTERNAL', `no process could be started that reads archives: ${messageOf(cause)}`, {
    cause,
    next: 'see whether this machine has memory, processes and open files left, then try again'
  })
}
