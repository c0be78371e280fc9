import type { RegistryId } from '../protocol/cid.ts'

/** What waiting needs of a node's parts. */
export interface CatchingUp {
  readonly onChange: (listener: () => void) => () => void
  /** Registries that were compared to the end with at least one peer since the start. */
  readonly caughtUp: ReadonlySet<RegistryId>
}

/**
 * Resolves when each registry was compared to the end with some peer, or when patience ends: a command goes on with what
 * is known then. Rejects when the person interrupts.
 */
export async function untilCaughtUp(
  { onChange, caughtUp }: CatchingUp,
  registries: readonly RegistryId[],
  { patienceMs, signal }: { readonly patienceMs: number; readonly signal: AbortSignal }
): Promise<void> {
  const isDone = (): boolean => registries.every(id => caughtUp.has(id))
  if (isDone()) return
  const patience = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)])
  await new Promise<void>(resolve => {
    const finish = (): void => {
      stop()
      patience.removeEventListener('abort', finish)
      resolve()
    }
    const stop = onChange(() => {
      if (isDone()) finish()
    })
    patience.addEventListener('abort', finish, { once: true })
    if (patience.aborted || isDone()) finish()
  })
  signal.throwIfAborted()
}
