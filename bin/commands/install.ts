import { resolve } from 'node:path'
import type { InstallResult, InstalledPackage, LockChange } from '../../node/services/install-result.ts'
import type { ProjectParams, ShownInstall } from '../../node/services/api.ts'
import type { AllowParams } from '../../node/services/policy/methods.ts'
import { bytesText, countOf, report, safe } from './print.ts'
import { domainText } from './publisher-text.ts'
import { listOption, textOption, withNode, withProgress } from './run.ts'
import type { Options, Session } from './run.ts'
import { drawTree, gutter, nextStep, under } from './style.ts'

/** `ggen-node install`. */
export async function install(session: Session, args: readonly string[], options: Options): Promise<void> {
  const result = await installPackages(session, args, options)
  report(session, result, () => installLines(result))
}

/** Installs what is named, with the options of `install`. */
export async function installPackages(
  session: Session,
  references: readonly string[],
  options: Options
): Promise<ShownInstall> {
  const registry = textOption(options, 'registry')
  const params = {
    ...paramsOf(options),
    ...allowOf(options),
    references,
    frozen: options['frozen'] === true,
    noDeps: options['deps'] === false,
    ...(registry === undefined ? {} : { registry })
  }
  const call = (network: boolean, quiet: Partial<ProjectParams> = {}): Promise<ShownInstall> =>
    withProgress(session, onProgress =>
      withNode(session, { network, create: true }, client =>
        client.call('install', { ...params, ...quiet }, { signal: session.signal, onProgress })
      )
    )
  const before =
    params.dryRun || 'allow' in params
      ? undefined
      : await upToDate(session, () => call(false, { dryRun: true, offline: true }))
  return before === undefined ? await call(!params.offline) : { ...before, dryRun: false }
}

/** `ggen-node update`. */
export async function update(session: Session, names: readonly string[], options: Options): Promise<void> {
  const params = { ...paramsOf(options), ...allowOf(options), names }
  const result = await withProgress(session, onProgress =>
    withNode(session, { network: !params.offline }, client =>
      client.call('update', params, { signal: session.signal, onProgress })
    )
  )
  report(session, result, () => [
    ...installLines(result),
    ...(result.changes.length === 0
      ? [gutter('Current', 'nothing is newer within the ranges of this project', 'same')]
      : [])
  ])
}

/** `ggen-node remove`. */
export async function remove(session: Session, names: readonly string[], options: Options): Promise<void> {
  const params = { ...paramsOf(options), names }
  const result = await withProgress(session, onProgress =>
    withNode(session, { network: false }, client =>
      client.call('remove', params, { signal: session.signal, onProgress })
    )
  )
  report(session, result, () => installLines(result))
}

/**
 * Without a daemon, a project that is as it should be is found to be so before a network is opened. Undefined when there
 * is work to do, or something is not known here: then peers are asked.
 */
async function upToDate(
  { home, signal }: Session,
  look: () => Promise<ShownInstall>
): Promise<ShownInstall | undefined> {
  const [{ daemonAddress }, { homePath }] = await Promise.all([
    import('../../node/open-client.ts'),
    import('../../node/config.ts')
  ])
  if ((await daemonAddress(homePath(home))) !== undefined) return undefined
  try {
    const result = await look()
    return result.upToDate ? result : undefined
  } catch {
    signal.throwIfAborted()
    return undefined
  }
}

function paramsOf(options: Options): Required<ProjectParams> {
  return {
    project: resolve(textOption(options, 'dir') ?? '.'),
    force: options['force'] === true,
    offline: options['offline'] === true,
    dryRun: options['dryRun'] === true,
    singleSource: options['singleSource'] === true,
    sync: options['sync'] === true,
    acceptMoves: options['acceptMoves'] === true
  }
}

/** Exceptions that somebody makes from the policy. */
function allowOf(options: Options): AllowParams {
  const allow = listOption(options, 'allow')
  const [until, reason] = [textOption(options, 'until'), textOption(options, 'reason')]
  return {
    ...(allow.length === 0 ? {} : { allow }),
    ...(until === undefined ? {} : { until }),
    ...(reason === undefined ? {} : { reason })
  }
}

/** `publishers`: what authors are shown as. */
type Told = InstallResult & Partial<Pick<ShownInstall, 'publishers'>>

/** What an install, an update or a removal did. */
export function installLines(result: Told): readonly string[] {
  const {
    installed,
    changes,
    removed,
    left,
    warnings,
    deprecated,
    dryRun,
    packages,
    projectChanged,
    severalRegistries
  } = result
  const gone = changes.filter(({ to }) => to === null)
  // What was left out for packages that stay as they were has been said before.
  const isNews = ({ by }: { readonly by: string }): boolean =>
    changes.some(({ id, to }) => to !== null && by === `${id}@${to}`)
  const same = installed.filter(({ action }) => action === 'unchanged')
  return [
    ...installed.flatMap(one => packageLine(one, result)),
    ...(removed.length > 0 && gone.length === 0
      ? removed.map(path => gutter(dryRun ? 'Would remove' : 'Removed', path, 'note'))
      : []),
    ...(same.length === 0 ? [] : [gutter('Unchanged', countText(same, severalRegistries), 'same')]),
    ...left
      .filter(isNews)
      .map(({ name, range, why }) => gutter('Skipped', safe(`${name} ${range}  ${whyText(why)}`), 'note')),
    ...warnings.map(({ text }) => gutter('Warning', safe(text), 'note')),
    ...deprecated.map(({ name, version, text }) => gutter('Deprecated', safe(`${name} ${version}  ${text}`), 'note')),
    ...(packages === 0 && installed.length === 0 && gone.length === 0
      ? [gutter('Empty', 'this project wants no packages yet', 'same'), nextStep('ggen-node install NAME')]
      : []),
    ...(projectChanged && changes.length === 0
      ? [gutter(dryRun ? 'Would change' : 'Changed', 'what the project file asks for')]
      : []),
    ...changeLines(result)
  ]
}

/** What became different, as a tree, and where to look next. */
function changeLines({ changes, dryRun, severalRegistries }: InstallResult): readonly string[] {
  if (changes.length === 0) return []
  const branches = changes.map(change => {
    const { from, to } = change
    const name = sourced(change, severalRegistries)
    if (from === null) return { label: `+ ${name} ${to ?? ''}`, children: [] }
    return { label: to === null ? `- ${name} ${from}` : `~ ${name} ${from} -> ${to}`, children: [] }
  })
  return [
    gutter(dryRun ? 'Would change' : 'Changed', countOf(changes.length, 'package')),
    ...drawTree(branches).map(under),
    nextStep(dryRun ? 'the same without --dry-run' : 'ggen-node tree')
  ]
}

/** A package's name, and where it may be of several registries also whose it is. */
function sourced({ id, name, alias }: Pick<LockChange, 'alias' | 'id' | 'name'>, isOneOfSeveral: boolean): string {
  return safe(isOneOfSeveral || id.includes(':') ? `${alias}:${name}` : name)
}

function packageLine(
  one: InstalledPackage,
  { dryRun, severalRegistries, publishers = [] }: Pick<Told, 'dryRun' | 'publishers' | 'severalRegistries'>
): readonly string[] {
  const { version, was, path, action, author, from, bytes, ms } = one
  const name = sourced(one, severalRegistries)
  if (action === 'unchanged') return []
  if (action === 'left') return [gutter('Left', `${name} ${version}  ${path}`, 'same')]
  const publisher = publishers.find(({ key }) => key === author)
  const by = publisher === undefined ? '' : `  by ${domainText(publisher)}`
  const isUpdate = was !== null && was !== version
  const what = isUpdate ? `${name} ${was} -> ${version}` : `${name} ${version}`
  if (dryRun) return [gutter(isUpdate ? 'Would update' : 'Would add', `${what}  ${path}${by}`)]
  const source = from.length === 0 ? 'was here' : `${bytesText(bytes)} from ${from.map(short).join(', ')} in ${ms} ms`
  return [gutter(isUpdate ? 'Updated' : 'Installed', `${what}  ${source}${by}`)]
}

function countText(packages: readonly InstalledPackage[], isOneOfSeveral: boolean): string {
  const [only] = packages
  return packages.length === 1 && only !== undefined
    ? `${sourced(only, isOneOfSeveral)} ${only.version}`
    : countOf(packages.length, 'package')
}

function whyText(why: InstallResult['left'][number]['why']): string {
  return why === 'external' ? 'is outside this registry' : 'is optional and cannot be had'
}

function short(peer: string): string {
  return `…${peer.slice(-8)}`
}
