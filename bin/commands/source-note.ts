import type { RegistryStatus } from '../../node/services/api.ts'
import { gutter } from './style.ts'

type Confirmed = Pick<RegistryStatus, 'alias' | 'sources' | 'singleSource' | 'facts'>

/** How far what is shown of a registry was confirmed; undefined where there is nothing to say. */
export function sourceNote({ sources, singleSource, facts }: Omit<Confirmed, 'alias'>): string | undefined {
  if (singleSource || sources > 1 || facts === 0) return undefined
  return sources === 1
    ? 'seen from one peer: nobody else confirmed what it showed'
    : 'not compared with any peer yet: nobody confirmed what is here'
}

/** One line for each registry that is not confirmed. */
export function sourceLines(registries: readonly Confirmed[]): readonly string[] {
  return registries.flatMap(registry => {
    const note = sourceNote(registry)
    return note === undefined ? [] : [gutter('Note', `${registry.alias}  ${note}`, 'note')]
  })
}
