import { messageOf, RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'

export type Task = () => void | Promise<void>

/** Time as the node's parts see it. Tests move it, nobody sleeps. */
export interface Clock {
  /** Milliseconds since 1970, as the machine believes. */
  now(): number
  /** Runs a task once, unless the signal is aborted first. */
  after(ms: number, task: Task, signal?: AbortSignal): void
  /** Runs a task again and again, `ms` after its last run ended, until the signal is aborted. Runs never overlap. */
  every(ms: number, task: Task, signal: AbortSignal): void
  /** Fulfilled after `ms`; rejected with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Where the failure of a timed task goes: nobody awaits such a task, and an unhandled rejection ends the process. */
export type OnTaskError = (error: unknown) => void

/** The real clock. Repeating tasks do not keep the process alive. */
export function systemClock(onTaskError: OnTaskError): Clock {
  return new TimerClock(
    {
      now: () => Date.now(),
      set: (ms, run, keepsAlive) => {
        const timer = setTimeout(run, ms)
        if (!keepsAlive) timer.unref()
        return () => clearTimeout(timer)
      }
    },
    onTaskError
  )
}

/** One-shot timers: all that a clock is made of. Exported for the clock that tests move. */
export interface Timers {
  now(): number
  set(ms: number, run: () => void, keepsAlive: boolean): () => void
}

/** A clock over any timers, so that the clock of the tests and the real one share all but the timers themselves. */
export class TimerClock implements Clock {
  readonly #timers: Timers
  readonly #onTaskError: OnTaskError

  constructor(timers: Timers, onTaskError: OnTaskError) {
    this.#timers = timers
    this.#onTaskError = onTaskError
  }

  now(): number {
    return this.#timers.now()
  }

  after(ms: number, task: Task, signal?: AbortSignal): void {
    this.#schedule(ms, () => void this.#contain(task), signal, true)
  }

  every(ms: number, task: Task, signal: AbortSignal): void {
    const again = () => {
      if (!signal.aborted) this.every(ms, task, signal)
    }
    this.#schedule(ms, () => void this.#contain(task).then(again), signal, false)
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(reasonOf(signal))
      const onAbort = () => reject(signal === undefined ? undefined : reasonOf(signal))
      signal?.addEventListener('abort', onAbort, { once: true })
      const wake = () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      this.#schedule(ms, wake, signal, true)
    })
  }

  #schedule(ms: number, run: () => void, signal: AbortSignal | undefined, keepsAlive: boolean): void {
    // Trap: setTimeout takes 25 days or more for one millisecond, and a loop at that speed is a denial of service.
    if (!(ms >= 0 && ms <= LIMITS.timers.delayMs)) {
      throw new RegistryError('INTERNAL', 'a timer is set too far or into the past', { detail: { ms } })
    }
    if (signal?.aborted === true) return
    const onAbort = () => cancel()
    const cancel = this.#timers.set(
      ms,
      () => {
        signal?.removeEventListener('abort', onAbort)
        run()
      },
      keepsAlive
    )
    signal?.addEventListener('abort', onAbort, { once: true })
  }

  async #contain(task: Task): Promise<void> {
    try {
      await task()
    } catch (error) {
      this.#onTaskError(error)
    }
  }
}

function reasonOf(signal: AbortSignal): Error {
  const reason: unknown = signal.reason
  return reason instanceof Error ? reason : new RegistryError('CANCELLED', messageOf(reason))
}
