import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { ShownPackage } from '../../node/services/api.ts'
import { bytesText, report, safe, table } from './print.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { fit } from './style.ts'

/** `ggen-node search`. */
export async function search(session: Session, args: readonly string[], options: Options): Promise<void> {
  const limit = Number(textOption(options, 'limit') ?? '20')
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMITS.search.results) {
    throw new RegistryError('USAGE', `--limit takes a whole number from 1 to ${LIMITS.search.results}`)
  }
  const registry = textOption(options, 'registry')
  const query = args.join(' ')
  const results = await withNode(session, { network: false }, client =>
    client.call('search', { query, limit, ...(registry === undefined ? {} : { registry }) })
  )
  report(session, { query, results }, () => [
    ...table(
      results.map(({ name, version, title, description, yanked }) => [
        `${name.replace(/^ggen\//, '')}@${version}${yanked ? ' (yanked)' : ''}`,
        cut(safe(title === '' ? description : title), 200)
      ])
    ).map(line => fit(line)),
    ...(results.length === 0 ? [`Nothing found for "${safe(query)}"`] : [])
  ])
}

/** `ggen-node show`. */
export async function show(session: Session, args: readonly string[]): Promise<void> {
  const shown = await withNode(session, { network: false }, client =>
    client.call('show', { reference: argument(args, 0) })
  )
  report(session, shown, () => showLines(shown))
}

function showLines({ name, alias, owners, manifest, versions, setAside }: ShownPackage): readonly string[] {
  const facts: string[][] = [['Package', `${name} in ${alias}`]]
  if (manifest?.title !== undefined) facts.push(['Title', safe(manifest.title)])
  if (manifest?.description !== undefined) facts.push(['About', cut(safe(manifest.description), 400)])
  if (manifest?.license !== undefined) facts.push(['Licence', safe(manifest.license)])
  if (manifest?.keywords !== undefined) facts.push(['Keywords', safe(manifest.keywords.join(', '))])
  for (const owner of owners) facts.push(['Owner', owner])
  for (const { name: needed, range, kind, optional } of manifest?.dependencies ?? []) {
    facts.push([
      'Needs',
      safe(`${needed} ${range}${kind === 'external' ? ' (external)' : ''}${optional === true ? ' (optional)' : ''}`)
    ])
  }
  return [
    ...table(facts),
    ...table([
      ['VERSION', 'STATE', 'SIZE', 'CONTENT'],
      ...versions.flatMap(({ version, state, contents, reasons }) =>
        contents.map(({ cid, size, marks }) => [
          version,
          [state, ...marks, ...reasons.map(safe)].join(', '),
          bytesText(size),
          cid
        ])
      )
    ]),
    ...(setAside.length === 0
      ? []
      : [
          `${setAside.length} statements about it do not count: ${[...new Set(setAside.map(s => s.reason))].join(', ')}`
        ])
  ]
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`
}
