import type { WaitingSubmission } from '../../node/services/api.ts'
import { countOf, report, safe } from './print.ts'
import { keyText } from './publisher-text.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { gutter, nextStep, under } from './style.ts'

/** `ggen-node curate list`. */
export async function list(session: Session, options: Options): Promise<void> {
  const waiting = await withNode(session, { network: false }, client => client.call('curateList', within(options)))
  report(session, { waiting }, () =>
    waiting.length === 0
      ? ['Nobody waits for a name']
      : [
          ...waiting.flatMap(waitingLines),
          nextStep('ggen-node curate grant NAME, or ggen-node curate deny NAME --reason TEXT')
        ]
  )
}

/** `ggen-node curate grant`. */
export async function grant(session: Session, args: readonly string[], options: Options): Promise<void> {
  const granted = await withNode(session, { network: true }, client =>
    client.call(
      'curateGrant',
      { names: args, allowSimilar: options['allowSimilar'] === true, ...within(options) },
      { signal: session.signal }
    )
  )
  report(session, { granted }, () => granted.map(({ name }) => gutter('Granted', shortOf(name))))
}

/** `ggen-node curate deny`. */
export async function deny(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = { name: argument(args, 0), reason: textOption(options, 'reason') ?? '', ...within(options) }
  const denied = await withNode(session, { network: false }, client => client.call('curateDeny', params))
  report(session, denied, () => [gutter('Denied', shortOf(denied.name), 'note')])
}

function within(options: Options): { readonly registry?: string } {
  const registry = textOption(options, 'registry')
  return registry === undefined ? {} : { registry }
}

/** A stranger wrote name and note: nothing in them may move the cursor. */
export function waitingLines({
  id,
  alias,
  name,
  by,
  keys,
  publishers,
  threshold,
  note,
  arrived,
  similar
}: WaitingSubmission): readonly string[] {
  const others = keys.filter(key => key !== by)
  return [
    gutter('Waits', `${shortOf(name)} in ${alias}  since ${new Date(arrived).toISOString()}`, 'note'),
    under(id),
    under(`by ${keyText(by, publishers)}`),
    ...others.map(key => under(`with ${keyText(key, publishers)}`)),
    ...(similar.length === 0 ? [] : [under(`looks like ${similar.map(shortOf).join(', ')}`)]),
    ...(threshold > 1 ? [under(`${countOf(threshold, 'owner')} must sign`)] : []),
    ...(note === '' ? [] : [under(`"${safe(note)}"`)])
  ]
}

function shortOf(name: string): string {
  return safe(name.replace(/^ggen\//, ''))
}
