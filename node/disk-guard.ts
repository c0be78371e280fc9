import { RegistryError, isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { diskSpace, isNearlyFull } from '../storage/disk-space.ts'
import type { Home } from '../storage/home.ts'
import type { LevelKeyValue } from '../storage/level-key-value.ts'
import type { Clock } from './runtime/clock.ts'
import type { Log } from './runtime/log.ts'
import type { Gate, Source } from './services/admit.ts'
import type { AuthorComponents } from './services/author.ts'

export interface DiskGuardInit {
  readonly home: Home
  readonly store: Pick<LevelKeyValue, 'failure' | 'recover'>
  readonly clock: Clock
  readonly log: Log
  readonly signal: AbortSignal
}

/**
 * Stops writing before the disk is full, because a store that hits the end of it refuses every later write and can't
 * even be opened again. Reading goes on. Space that comes back ends it; a write that failed for another reason does not.
 */
export class DiskGuard {
  readonly #init: DiskGuardInit
  #isFull = false
  #failed: RegistryError | undefined

  constructor(init: DiskGuardInit) {
    this.#init = init
  }

  get isReadOnly(): boolean {
    return this.#isFull || this.#refusal !== undefined
  }

  async start(): Promise<void> {
    await this.check()
    this.#init.clock.every(LIMITS.storage.freeCheckMs, () => this.check(), this.#init.signal)
  }

  async check(): Promise<void> {
    const { home, store, log } = this.#init
    const wasFull = this.#isFull
    const isFull = isNearlyFull(await diskSpace(home.paths.dir))
    if (!isFull) {
      await home.restoreBallast()
      // LevelDB refuses every write after the first that failed, until it is opened again.
      if (store.failure()?.code === 'DISK_FULL') await store.recover()
    }
    this.#isFull = isFull
    if (isFull !== wasFull) log.warn({ full: isFull }, 'the disk is nearly full, or no longer')
  }

  /** Looks at an error that somebody met while writing. */
  note(error: unknown): void {
    if (!isRegistryError(error)) return
    if (error.code === 'DISK_FULL') this.#isFull = true
    if (error.code === 'READ_ONLY') this.#failed = error
  }

  /** @throws RegistryError DISK_FULL | READ_ONLY */
  assertWritable(): void {
    if (this.#refusal !== undefined) throw this.#refusal
    if (!this.#isFull) return
    throw new RegistryError('DISK_FULL', 'the disk is nearly full, so nothing new is written', {
      next: 'free some space; reading and serving go on meanwhile'
    })
  }

  /**
   * A failure that lasts. The store's own is one of them until it is opened again: whoever wrote bytes before he met it would
   * leave them behind at each try, until the space that came back is gone.
   */
  get #refusal(): RegistryError | undefined {
    return this.#failed ?? this.#init.store.failure()
  }

  /** The gate for our own facts: refuses before signing, and learns from what fails. */
  guardOwn(gate: Gate): AuthorComponents['gate'] {
    return {
      state: registry => gate.state(registry),
      admit: async (bytes, source) => {
        this.assertWritable()
        return this.#noting(() => gate.admit(bytes, source))
      }
    }
  }

  /** The gate for facts from peers: while nothing can be written, they are nobody's fault and come again. */
  guardPeers(gate: Gate): Pick<Gate, 'admit' | 'admitMany'> {
    const admitMany = async (
      facts: readonly Uint8Array[],
      source: Source
    ): Promise<Awaited<ReturnType<Gate['admitMany']>>> => {
      const readOnly = (): Awaited<ReturnType<Gate['admitMany']>> =>
        facts.map(() => ({ verdict: 'ignore', reason: 'read-only' }))
      if (this.isReadOnly) return readOnly()
      try {
        return await this.#noting(() => gate.admitMany(facts, source))
      } catch (error) {
        this.#init.log.error({ error }, 'facts could not be stored')
        return readOnly()
      }
    }
    return {
      admitMany,
      admit: async (bytes, source) =>
        (await admitMany([bytes], source))[0] ?? { verdict: 'ignore', reason: 'read-only' }
    }
  }

  async #noting<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      this.note(error)
      throw error
    }
  }
}
