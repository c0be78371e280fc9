import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { cut, report, safe, table } from './print.ts'
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
