import { messageOf, RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'

/** A part of the node that runs. What `start` opened, `stop` closes; a start that throws leaves nothing open. */
export interface Service {
  readonly name: string
  start?(signal: AbortSignal): void | Promise<void>
  stop?(): void | Promise<void>
}

export interface LifecycleInit {
  readonly startMs?: number
  readonly stopMs?: number
}

/**
 * Starts services in order. Stops them in reverse, all of them, whatever fails.
 *
 * Invariants:
 * 1. A service is stopped exactly once if its start was fulfilled, and never otherwise.
 * 2. `signal` is aborted before the first service is stopped.
 * 3. A service that does not stop in time is reported and left behind; the others are stopped all the same.
 */
export class Lifecycle implements AsyncDisposable {
  readonly #services: Service[] = []
  readonly #running: Service[] = []
  readonly #controller = new AbortController()
  readonly #startMs: number
  readonly #stopMs: number
  #started: Promise<void> | undefined
  #stopped: Promise<void> | undefined

  constructor({ startMs = LIMITS.lifecycle.startMs, stopMs = LIMITS.lifecycle.stopMs }: LifecycleInit = {}) {
    this.#startMs = startMs
    this.#stopMs = stopMs
  }

  /** Aborted when the node begins to stop, for whatever reason. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Adds a service behind those already there. */
  add(service: Service): void {
    if (this.#started !== undefined || this.#services.length >= LIMITS.lifecycle.services) {
      throw new RegistryError('INTERNAL', `the service ${service.name} comes too late or is one too many`)
    }
    this.#services.push(service)
  }

  /** Starts all services. When one fails, those before it are stopped and its error is thrown. */
  start(): Promise<void> {
    this.#started ??= this.#startAll()
    return this.#started
  }

  /** Stops what runs, also while it is still starting. @throws AggregateError of everything that failed */
  stop(reason: Error = new RegistryError('CANCELLED', 'the node is stopping')): Promise<void> {
    this.#stopped ??= this.#stopAll(reason)
    return this.#stopped
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #startAll(): Promise<void> {
    try {
      for (const service of this.#services) {
        this.signal.throwIfAborted()
        await within(this.#startMs, `starting ${service.name}`, () => service.start?.(this.signal))
        this.#running.push(service)
      }
    } catch (error) {
      this.#controller.abort(error)
      const failures = await this.#stopRunning()
      if (failures.length === 0) throw error
      throw new AggregateError([error, ...failures], messageOf(error), { cause: error })
    }
  }

  async #stopAll(reason: Error): Promise<void> {
    this.#controller.abort(reason)
    // Whoever called start() hears about its failure there.
    await this.#started?.catch(() => undefined)
    const failures = await this.#stopRunning()
    if (failures.length > 0) throw new AggregateError(failures, failures.map(messageOf).join('; '))
  }

  async #stopRunning(): Promise<readonly unknown[]> {
    const failures: unknown[] = []
    for (let service = this.#running.pop(); service !== undefined; service = this.#running.pop()) {
      const { name } = service
      const stopping = service
      try {
        await within(this.#stopMs, `stopping ${name}`, () => stopping.stop?.())
      } catch (cause) {
        failures.push(new RegistryError('INTERNAL', `${name} did not stop: ${messageOf(cause)}`, { cause }))
      }
    }
    return failures
  }
}

/** A hung service must not hang the node: the operator's next step would be kill -9. */
async function within(ms: number, what: string, run: () => void | Promise<void> | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new RegistryError('TIMEOUT', `${what} took more than ${ms} ms`)), ms)
  })
  try {
    await Promise.race([Promise.resolve(run()), timeout])
  } finally {
    clearTimeout(timer)
  }
}
