import type { RegistryId } from '../../protocol/cid.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import type { Subject } from '../../protocol/fact.ts'
import { refoldAll } from './refold.ts'
import type { ViewStore } from './refold.ts'
import type { RegistryState } from './registry-state.ts'

export type RefoldLog = Record<'info' | 'warn', (fields: Readonly<Record<string, unknown>>, message: string) => void>

/**
 * Folds again what a program with other rules has folded. Crash state: no room is left for it. What that program made of the facts was good
 * enough to read and serve until now, so it goes on, and the next batch tries again.
 */
export async function refoldOld(state: RegistryState, store: ViewStore, log: RefoldLog | undefined): Promise<void> {
  const { registry } = state
  const isAny = state.authority !== undefined
  if (isAny) log?.info({ registry }, 'all rows are folded again: those here are by the rules of another ggen-node')
  try {
    await refoldAll(state, store, unfolded(registry, log))
  } catch (error) {
    if (!isNoRoom(error)) throw error
    log?.warn({ registry, error }, 'rows by the rules of another ggen-node are read on: no room is left to fold again')
    await state.load()
    return
  }
  if (isAny) log?.info({ registry }, 'all rows were folded again')
}

/** Attack: facts that a fault of this program finds, about one subject, which end the whole node at each start. */
export function unfolded(registry: RegistryId, log: RefoldLog | undefined): (subject: Subject, error: unknown) => void {
  return (subject, error) =>
    log?.warn({ registry, subject, error }, 'the row of a subject stays as it was: it cannot be folded again')
}

function isNoRoom(error: unknown): boolean {
  return isRegistryError(error) && (error.code === 'DISK_FULL' || error.code === 'READ_ONLY')
}
