import type { SightingState, ToldRelease } from '../../node/services/observation/methods.ts'
import { timeText } from './document-text.ts'
import { countOf, report, safe } from './print.ts'
import { argument, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { textParam } from './signed.ts'
import { gutter, under } from './style.ts'

/** `ggen-node observe`. */
export async function observe(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = { what: argument(args, 0), ...textParam(options, 'key') }
  const result = await withNode(session, { network: false }, client => client.call('observe', params))
  const { alias, facts, counts, releases, more } = result
  report(session, result, () => [
    counts.told === 0
      ? gutter('Unchanged', `nothing is to be told of when releases came in ${safe(alias)}`, 'same')
      : gutter(
          'Observed',
          safe(`${countOf(counts.told, 'release')} in ${alias}  ${countOf(facts.length, 'statement')}`)
        ),
    ...releases.filter(({ state }) => state === 'told').map(toldLine),
    ...ORDER.filter(state => counts[state] > 0).map(state =>
      under(`${countOf(counts[state], 'release')} ${WHY[state]}`)
    ),
    ...(more ? [under('there is more: run it again')] : [])
  ])
}

function toldLine({ name, version, time }: ToldRelease): string {
  return under(safe(`${name.replace(/^ggen\//, '')}@${version}  here since ${timeText(time)}`))
}

const ORDER = ['same', 'own', 'first-look', 'enough'] as const satisfies readonly SightingState[]

const WHY: Readonly<Record<(typeof ORDER)[number], string>> = {
  same: 'told before by this key',
  own: 'signed by this key itself: nobody is a witness of his own release',
  'first-look': 'here since the registry was seen for the first time: nobody here saw it come',
  enough: 'seen by as many as are heard'
}
