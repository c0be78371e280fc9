import { statSync } from 'node:fs'
import { LIMITS } from '../protocol/limits.ts'
import { codeOf } from './disk-errors.ts'
import { syncFile } from './durable.ts'

/**
 * Files that are made durable while others are still being written: who waits for all of them at the end waits for few.
 *
 * Invariant: a disk that once failed to keep what was written is not asked again. The system says so once and then takes the
 * lost pages for clean: a second sync would succeed and mean nothing.
 */
export class SyncAhead {
  readonly #sync: (file: string) => Promise<void>
  readonly #running = new Map<string, Promise<void>>()
  /** Durable since they were last written. The oldest are forgotten, and synced once more. */
  readonly #done = new Set<string>()
  #failure: { readonly error: unknown } | undefined

  constructor(sync: (file: string) => Promise<void> = syncFile) {
    this.#sync = sync
  }

  /** A file was written as a whole. */
  begin(file: string): void {
    this.#done.delete(file)
    this.#running.delete(file)
    if (this.#running.size >= LIMITS.storage.syncsAhead) return
    const run: Promise<void> = this.#sync(file).then(
      () => this.#ended(file, run, undefined),
      (error: unknown) => this.#ended(file, run, { error })
    )
    this.#running.set(file, run)
  }

  /** @throws what the system says, also what it said of any file before */
  async finish(file: string): Promise<void> {
    await this.#running.get(file)
    if (this.#failure !== undefined) throw this.#failure.error
    if (!this.#done.delete(file)) return await this.#sync(file)
    // What was deleted since is not here, however durable it was.
    statSync(file)
  }

  #ended(file: string, run: Promise<void>, failure: { readonly error: unknown } | undefined): void {
    // Deleted, or set aside as damaged: nobody is told that it is here.
    if (failure !== undefined && codeOf(failure.error) !== 'ENOENT') this.#failure ??= failure
    // It was written again in the meantime: that sync is another one.
    if (this.#running.get(file) !== run) return
    this.#running.delete(file)
    if (failure !== undefined) return
    this.#done.add(file)
    const [oldest] = this.#done
    if (this.#done.size > LIMITS.storage.syncedRemembered && oldest !== undefined) this.#done.delete(oldest)
  }
}
