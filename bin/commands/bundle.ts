import type { DocumentMethods, ShownBundle } from '../../node/services/documents/methods.ts'
import type { NamedKey } from '../../node/services/publisher/named-key.ts'
import { RegistryError, isRegistryError } from '../../protocol/errors.ts'
import { conflictLines, editedLines, settleCatalogue, valueText } from './document-text.ts'
import { installPackages, installLines } from './install.ts'
import { countOf, print, report, safe } from './print.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { signingParams, textParam } from './signed.ts'
import { gutter, nextStep, under } from './style.ts'

const HIGHEST_SCORE = 100

/** `ggen-node bundle create`. */
export async function create(session: Session, args: readonly string[], options: Options): Promise<void> {
  const name = argument(args, 0)
  const params = { ...catalogue(options), name, title: textOption(options, 'title') ?? name, ...scoreParam(options) }
  const result = await withNode(session, { network: false }, client => client.call('bundleCreate', params))
  report(session, result, () => [
    ...editedLines(`bundle ${result.name}`, result),
    nextStep(`ggen-node bundle add ${safe(result.name)} NAME[@RANGE]`)
  ])
}

function scoreParam(options: Options): { readonly minScore?: number } {
  const text = textOption(options, 'minScore')
  if (text === undefined) return {}
  if (!/^(?:0|[1-9][0-9]{0,2})$/.test(text) || Number(text) > HIGHEST_SCORE) {
    throw new RegistryError('USAGE', `--min-score takes a whole number from 0 to ${HIGHEST_SCORE}`)
  }
  return { minScore: Number(text) }
}

/** `ggen-node bundle add`. */
export async function add(session: Session, args: readonly string[], options: Options): Promise<void> {
  const [name = '', ...members] = args
  const params = { ...catalogue(options), name, members }
  const result = await withNode(session, { network: false }, client => client.call('bundleAdd', params))
  report(session, result, () => editedLines(`bundle ${result.name}`, result))
}

/** `ggen-node bundle remove`. */
export async function remove(session: Session, args: readonly string[], options: Options): Promise<void> {
  const [name = '', ...members] = args
  const params = { ...catalogue(options), name, members }
  const result = await withNode(session, { network: false }, client => client.call('bundleRemove', params))
  report(session, result, () =>
    editedLines(`bundle ${result.name}`, result, members.length === 0 ? 'Removed' : undefined)
  )
}

/** `ggen-node bundle list`. */
export async function list(session: Session, args: readonly string[], options: Options): Promise<void> {
  const [name] = args
  const params = { ...textParam(options, 'registry'), ...(name === undefined ? {} : { name }) }
  const result = await bundlesOf(session, params)
  report(session, result, () =>
    result.bundles.length === 0
      ? [`No bundle in ${safe(result.alias)}`, nextStep('ggen-node bundle create NAME --title TEXT')]
      : result.bundles.flatMap(bundle => bundleLines(bundle, result.publishers))
  )
}

type Bundles = DocumentMethods['bundleList']['result']

/** One that is not known here may be new: without a daemon, peers are asked before it is said that there is none. */
async function bundlesOf(
  session: Session,
  params: { readonly registry?: string; readonly name?: string },
  { offline = false } = {}
): Promise<Bundles> {
  const look = (network: boolean): Promise<Bundles> =>
    withNode(session, { network }, client => client.call('bundleList', params))
  try {
    return await look(false)
  } catch (error) {
    if (offline || !isRegistryError(error) || error.code !== 'UNKNOWN_ENTRY') throw error
    return await look(true)
  }
}

export function bundleLines(
  { name, title, minScore, members, conflicts }: ShownBundle,
  publishers: readonly NamedKey[] = []
): readonly string[] {
  const score = minScore === null ? '' : `  minimum score ${minScore}`
  return [
    gutter('Bundle', `${safe(name)}  ${valueText(title)}${score}`),
    ...members.map(member => under(safe(memberText(member)))),
    ...conflictLines(conflicts, settleCatalogue, publishers)
  ]
}

/**
 * `ggen-node bundle install`: what the bundle holds is said before anything is fetched, then it is as if each member had
 * been typed.
 */
export async function install(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = { ...textParam(options, 'registry'), name: argument(args, 0) }
  const found = await bundlesOf(session, params, { offline: options['offline'] === true })
  const [bundle] = found.bundles
  if (bundle === undefined || bundle.members.length === 0) {
    throw new RegistryError('UNKNOWN_ENTRY', `the bundle ${params.name} in ${found.alias} has no members`, {
      next: `ggen-node bundle add ${params.name} NAME[@RANGE]`
    })
  }
  const { name, members } = bundle
  if (!session.json) {
    print(gutter('Bundle', `${safe(name)} in ${safe(found.alias)}  ${countOf(members.length, 'package')}`))
    for (const member of members) print(under(safe(memberText(member))))
    for (const line of conflictLines(bundle.conflicts, settleCatalogue)) print(line)
  }
  const installed = await installPackages(session, members.map(referenceOf), { ...options, registry: found.alias })
  report(session, { bundle: { name, members }, ...installed }, () => installLines(installed))
}

type Member = ShownBundle['members'][number]

/** A member that was named without a range is installed as if its name had been typed. */
export function referenceOf({ name, range }: Member): string {
  const short = name.replace(/^ggen\//, '')
  return range === '*' ? short : `${short}@${range}`
}

function memberText({ name, range }: Member): string {
  return `${name.replace(/^ggen\//, '')}${range === '*' ? '' : ` ${range}`}`
}

function catalogue(options: Options): { key?: string; out?: string; registry?: string } {
  return { ...signingParams(options), ...textParam(options, 'registry') }
}
