import { realpath } from 'node:fs/promises'
import { RegistryError, isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { takeLock } from '../storage/home-lock.ts'
import type { HomeLock } from '../storage/home-lock.ts'
import type { ExclusiveOptions } from './services/project/project.ts'

/**
 * One command at a time works on a project: those of this process wait in line, those of others (another daemon, another
 * data directory) are found by the file `.lock`, which a dead process does not hold.
 */
export class ProjectLocks {
  readonly #turns = new Map<string, Promise<unknown>>()

  /** @throws RegistryError PROJECT_LOCKED when another process does not end in time */
  async exclusively<T>(folder: string, work: () => Promise<T>, options: ExclusiveOptions): Promise<T> {
    // Two ways to one folder are one project.
    const key = await realpath(folder)
    const run = async (): Promise<T> => {
      options.signal.throwIfAborted()
      const lock = await takeWithPatience(key, options)
      try {
        return await work()
      } finally {
        await lock.release()
      }
    }
    const turn = (this.#turns.get(key) ?? Promise.resolve()).then(run, run)
    this.#turns.set(key, turn)
    try {
      return await turn
    } finally {
      if (this.#turns.get(key) === turn) this.#turns.delete(key)
    }
  }
}

async function takeWithPatience(dir: string, { signal, onWait }: ExclusiveOptions): Promise<HomeLock> {
  const place = {
    dir,
    file: '.lock',
    what: `the project in ${dir}`,
    code: 'PROJECT_LOCKED',
    next: 'or wait until it has ended'
  } as const
  const { lockWaitMs, lockPollMs } = LIMITS.project
  for (let waited = 0; ; waited += lockPollMs) {
    try {
      return await takeLock(place)
    } catch (error) {
      if (!isRegistryError(error)) throw error
      if (error.code === 'READ_ONLY') throw readOnly(dir, error)
      if (error.code !== 'PROJECT_LOCKED' || waited >= lockWaitMs) throw error
      if (waited === 0) onWait(error.message)
    }
    await pause(lockPollMs, signal)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer)
      reject(signal.reason instanceof Error ? signal.reason : new RegistryError('CANCELLED', 'interrupted'))
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

/** The node may write; it is this folder that takes nothing. */
function readOnly(dir: string, cause: RegistryError): RegistryError {
  return new RegistryError('PROJECT_READ_ONLY', `${dir} cannot be written to: ${cause.message}`, {
    cause,
    next: 'check the permissions and the file system of the project folder'
  })
}
