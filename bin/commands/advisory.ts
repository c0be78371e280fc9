import { resolve } from 'node:path'
import type { AddedAdvisory, ShownAdvisory } from '../../node/services/advisory/methods.ts'
import type { NamedKey } from '../../node/services/publisher/named-key.ts'
import { countOf, report, safe } from './print.ts'
import { keyText } from './publisher-text.ts'
import { argument, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { fileLines, signingParams, textParam } from './signed.ts'
import { gutter, under } from './style.ts'

/** `ggen-node advisory add`. */
export async function add(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = { ...signingParams(options), ...textParam(options, 'registry'), path: resolve(argument(args, 0)) }
  const result = await withNode(session, { network: false }, client => client.call('advisoryAdd', params))
  const { advisories, alias, foreign, file } = result
  report(session, result, () => [
    ...advisories.flatMap(one => addedLines(one, alias)),
    ...(foreign.length === 0
      ? []
      : [gutter('Skipped', `${countOf(foreign.length, 'record')} about nothing that can be a package here`, 'note')]),
    ...fileLines(file)
  ])
}

function addedLines({ id, name, state, unmatched }: AddedAdvisory, alias: string): readonly string[] {
  const text = safe(`${id}  ${shortOf(name)}  in ${alias}`)
  const line =
    state === 'added'
      ? gutter('Warned', text)
      : gutter('Unchanged', state === 'newer' ? `${text}  a record that was modified later is there` : text, 'same')
  const note = `${countOf(unmatched, 'range')} of commits, which match nothing, or of versions that can't be read, which end nothing`
  return [line, ...(unmatched === 0 ? [] : [under(note)])]
}

/** `ggen-node advisory list`. */
export async function list(session: Session, [reference]: readonly string[], options: Options): Promise<void> {
  const params = { ...(reference === undefined ? {} : { reference }), ...textParam(options, 'registry') }
  const result = await withNode(session, { network: false }, client => client.call('advisoryList', params))
  const { advisories, publishers, more } = result
  report(session, result, () =>
    advisories.length === 0
      ? [gutter('Nothing', 'is known against it in the registries that are followed', 'same')]
      : [...advisories.flatMap(one => shownLines(one, publishers)), ...(more === 0 ? [] : [under(`and ${more} more`)])]
  )
}

function shownLines(one: ShownAdvisory, publishers: readonly NamedKey[]): readonly string[] {
  const { id, name, alias, severity, malware, withdrawn, summary, affects, aliases, heard, fixed, by } = one
  const what = withdrawn ? 'withdrawn' : malware ? 'malware' : severity
  return [
    gutter('Advisory', safe(`${id}  ${shortOf(name)}  ${what}`), withdrawn ? 'same' : 'note'),
    ...(summary === '' ? [] : [under(safe(summary))]),
    ...affects.map(text => under(safe(text))),
    ...(fixed === null ? [] : [under(`fixed in ${fixed}`)]),
    ...(aliases.length === 0 ? [] : [under(safe(`also ${aliases.join(', ')}`))]),
    under(
      safe(
        `said in ${alias} by ${keyText(by, publishers)}${heard ? '' : ', who is not followed for advisories: no rule hears it'}`
      )
    )
  ]
}

function shortOf(name: string): string {
  return name.replace(/^ggen\//, '')
}
