import type { RegistryId } from '../protocol/cid.ts'
import type { FollowedRegistry } from '../storage/records.ts'

/** What waiting needs of a node's parts. */
export interface CatchingUp {
  readonly onChange: (listener: () => void) => () => void
  /** Registries that were compared to the end with at least one peer since the start. */
  readonly caughtUp: ReadonlySet<RegistryId>
}

/** What a command that ends soon waits for. */
export interface Awaited {
  readonly registries: { readonly all: readonly FollowedRegistry[] }
  readonly precedence: { isPrivate(registry: FollowedRegistry): boolean }
  /** With how many peers a registry was ever compared. */
  readonly sources: (registry: RegistryId) => number
  /** Whether the public host has anybody to dial. */
  readonly hasPublicPeers: boolean
}

/**
 * The registries that may have news. Attack: a command that does not wait for a private one takes its newest names from
 * a public one. Whoever founded a registry, and never met anybody else who is in it, waits for nobody.
 */
export function registriesAwaited({ registries, precedence, sources, hasPublicPeers }: Awaited): readonly RegistryId[] {
  const isAwaited = (entry: FollowedRegistry): boolean =>
    precedence.isPrivate(entry) ? !entry.made || sources(entry.id) > 0 : hasPublicPeers
  return registries.all.filter(isAwaited).map(({ id }) => id)
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
