import { RegistryError } from '../../protocol/errors.ts'
import type { Clock } from './components.ts'

/** A signal that ends a wait, and the function that gives its timer and its listener back. */
export interface Deadline {
  readonly signal: AbortSignal
  readonly clear: () => void
}

/** Aborts with TIMEOUT after `ms`, or as soon as `parent` does. Always clear it: it holds a timer. */
export function deadline(clock: Clock, ms: number, parent?: AbortSignal): Deadline {
  const controller = new AbortController()
  const onParent = (): void => controller.abort(parent?.reason)
  if (parent?.aborted === true) onParent()
  parent?.addEventListener('abort', onParent, { once: true })
  const cancel = clock.after(ms, () => controller.abort(new RegistryError('TIMEOUT', `no answer in ${ms} ms`)))
  return {
    signal: controller.signal,
    clear: () => {
      cancel()
      parent?.removeEventListener('abort', onParent)
    }
  }
}
