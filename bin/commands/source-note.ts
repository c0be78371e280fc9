import type { RegistryStatus } from '../../node/services/api.ts'
import { hoursText } from '../../protocol/policy/day.ts'
import { gutter } from './style.ts'

type Confirmed = Pick<RegistryStatus, 'alias' | 'facts' | 'singleSource' | 'sources' | 'staleness'>

/** How far what is shown of a registry was confirmed; undefined where there is nothing to say. */
export function sourceNote({
  sources,
  singleSource,
  facts
}: Pick<Confirmed, 'facts' | 'singleSource' | 'sources'>): string | undefined {
  if (singleSource || sources > 1 || facts === 0) return undefined
  return sources === 1
    ? 'seen from one peer: nobody else confirmed what it showed'
    : 'not compared with any peer yet: nobody confirmed what is here'
}

/** That a view is older than the policies here bear, with its age; undefined where it is not. */
export function staleNote({ facts, staleness }: Pick<Confirmed, 'facts' | 'staleness'>): string | undefined {
  const { hours, maxHours, stale } = staleness
  if (!stale || facts === 0) return undefined
  const age = hours === null ? 'never compared with anybody' : `compared with nobody for ${hoursText(hours)}`
  return `${age}, of at most ${hoursText(maxHours)}: what was withdrawn since is not known here`
}

/** What is to be said of a view, each with its word for the gutter. */
export function viewNotes(shown: Omit<Confirmed, 'alias'>): readonly (readonly [label: string, text: string])[] {
  const [note, stale] = [sourceNote(shown), staleNote(shown)]
  // Who never compared it has no age to tell of, and says all of it in one line.
  if (shown.sources === 0 && note !== undefined && stale !== undefined) return [['Stale', note]]
  return [
    ...(stale === undefined ? [] : [['Stale', stale] as const]),
    ...(note === undefined ? [] : [['Note', note] as const])
  ]
}

/** Lines for the registries that are stale or not confirmed. */
export function sourceLines(registries: readonly Confirmed[]): readonly string[] {
  return registries.flatMap(({ alias, ...shown }) =>
    viewNotes(shown).map(([label, text]) => gutter(label, `${alias}  ${text}`, 'note'))
  )
}
