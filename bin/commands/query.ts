import type { ApiMethods } from '../../node/services/api.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { cut, report, safe, table } from './print.ts'
import { domainText } from './publisher-text.ts'
import { textOption, withNode } from './run.ts'
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
  // With one registry there is nothing to tell apart.
  const isMany = results.some(({ alias }) => alias !== results[0]?.alias) || results.some(isRanked)
  report(session, { query, results }, () => [
    ...table(results.map(found => rowOf(found, isMany))).map(line => fit(line)),
    ...(results.length === 0 ? [`Nothing found for "${safe(query)}"`] : [])
  ])
}

type Found = ApiMethods['search']['result'][number]

/** Whether another registry holds a package of that name. */
function isRanked({ hides, hiddenBy }: Found): boolean {
  return hides.length > 0 || hiddenBy !== null
}

/** `acme:tool@1.2.0 (hides main:tool)`: where there are several registries, the source is shown. */
export function rowOf(found: Found, isMany: boolean): readonly string[] {
  const { version, title, description, yanked, alias, hides, hiddenBy, publisher } = found
  const name = found.name.replace(/^ggen\//, '')
  const marks = [
    ...(publisher === null ? [] : [`by ${domainText(publisher)}`]),
    ...(yanked ? ['yanked'] : []),
    ...hides.map(other => `hides ${other}:${name}`),
    ...(hiddenBy === null ? [] : [`${hiddenBy}:${name} hides it`])
  ]
  const shown = `${isMany ? `${alias}:` : ''}${name}@${version}`
  return [
    `${shown}${marks.length === 0 ? '' : ` (${marks.join(', ')})`}`,
    cut(safe(title === '' ? description : title), 200)
  ]
}
