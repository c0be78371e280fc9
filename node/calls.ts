import { RegistryError, isRegistryError, messageOf } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'

/**
 * The calls that are running on a node, so that it can stop without pulling the stores from under them.
 *
 * Invariants:
 * 1. After `close` no call begins, and what runs is told to end before anything is taken away.
 * 2. A call is rejected with a RegistryError and nothing else.
 */
export class Calls {
  readonly #running = new Map<AbortController, Promise<unknown>>()
  #isClosed = false

  /** @throws RegistryError CANCELLED when either signal ended it | USAGE after `close` | LIMIT_EXCEEDED */
  async run<T>(signal: AbortSignal | undefined, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#isClosed) {
      throw new RegistryError('USAGE', 'this node has stopped', { next: 'make another one with createNode()' })
    }
    if (signal?.aborted === true) throw cancelled(signal.reason)
    if (this.#running.size >= LIMITS.embedding.calls) {
      throw new RegistryError('LIMIT_EXCEEDED', `${LIMITS.embedding.calls} calls are running on this node`, {
        next: 'await some of them first'
      })
    }
    const abort = new AbortController()
    const onAbort = (): void => abort.abort(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    // Inside a promise, because a call may also throw before it returns one.
    const result = (async () => call(abort.signal))()
    this.#running.set(abort, result)
    try {
      return await result
    } catch (error) {
      if (abort.signal.aborted) throw cancelled(abort.signal.reason ?? error)
      throw toRegistryError(error)
    } finally {
      this.#running.delete(abort)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Ends what runs and waits until it has ended, but not for ever: a call that ignores its signal is left behind. */
  async close(): Promise<void> {
    this.#isClosed = true
    const results = [...this.#running.values()]
    for (const abort of this.#running.keys()) abort.abort(new RegistryError('CANCELLED', 'the node is stopping'))
    const { promise: patience, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, LIMITS.lifecycle.stopMs)
    try {
      await Promise.race([Promise.allSettled(results), patience])
    } finally {
      clearTimeout(timer)
    }
  }
}

/** Any thrown value as the one error class that programs are promised. */
export function toRegistryError(error: unknown): RegistryError {
  return isRegistryError(error) ? error : new RegistryError('INTERNAL', messageOf(error), { cause: error })
}

function cancelled(reason: unknown): RegistryError {
  if (isRegistryError(reason) && reason.code === 'CANCELLED') return reason
  return new RegistryError('CANCELLED', 'the call was cancelled', { cause: reason })
}
