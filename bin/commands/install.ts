import { resolve } from 'node:path'
import type { InstallResult, InstalledPackage, LockChange } from '../../node/services/install.ts'
import type { ProjectParams } from '../../node/services/api.ts'
import { bytesText, progress, report, safe } from './print.ts'
import { textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'

/** `ggen-node install`. */
export async function install(session: Session, args: readonly string[], options: Options): Promise<void> {
  const registry = textOption(options, 'registry')
  const params = {
    ...paramsOf(options),
    references: args,
    frozen: options['frozen'] === true,
    noDeps: options['deps'] === false,
    ...(registry === undefined ? {} : { registry })
  }
  const call = (network: boolean, quiet: Partial<ProjectParams> = {}): Promise<InstallResult> =>
    withNode(session, { network, create: true }, client =>
      client.call('install', { ...params, ...quiet }, contextOf(session))
    ).finally(() => progress(session, ''))
  const before = params.dryRun ? undefined : await upToDate(session, () => call(false, { dryRun: true, offline: true }))
  const result = before === undefined ? await call(!params.offline) : { ...before, dryRun: false }
  report(session, result, () => linesOf(result))
}

/** `ggen-node update`. */
export async function update(session: Session, names: readonly string[], options: Options): Promise<void> {
  const params = { ...paramsOf(options), names }
  const result = await withNode(session, { network: !params.offline }, client =>
    client.call('update', params, contextOf(session))
  ).finally(() => progress(session, ''))
  report(session, result, () => [
    ...linesOf(result),
    ...(result.changes.length === 0 ? ['Nothing is newer within the ranges of this project'] : [])
  ])
}

/** `ggen-node remove`. */
export async function remove(session: Session, names: readonly string[], options: Options): Promise<void> {
  const params = { ...paramsOf(options), names }
  const result = await withNode(session, { network: false }, client =>
    client.call('remove', params, contextOf(session))
  ).finally(() => progress(session, ''))
  report(session, result, () => linesOf(result))
}

/**
 * Without a daemon, a project that is as it should be is found to be so before a network is opened. Undefined when there
 * is work to do, or something is not known here: then peers are asked.
 */
async function upToDate(
  { home, signal }: Session,
  look: () => Promise<InstallResult>
): Promise<InstallResult | undefined> {
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
    dryRun: options['dryRun'] === true
  }
}

function contextOf(session: Session): { signal: AbortSignal; onProgress: (at: { text: string }) => void } {
  return { signal: session.signal, onProgress: ({ text }) => progress(session, text) }
}

function linesOf(result: InstallResult): readonly string[] {
  const { installed, changes, removed, left, warnings, dryRun, packages } = result
  const gone = changes.filter(({ to }) => to === null)
  return [
    ...installed.map(one => packageLine(one, dryRun)),
    ...gone.map(change => goneLine(change, dryRun)),
    ...(removed.length > 0 && gone.length === 0
      ? removed.map(path => `${dryRun ? 'Would remove' : 'Removed'} ${path}`)
      : []),
    ...left.map(({ name, range, why }) =>
      why === 'external'
        ? safe(`  not installed: ${name} ${range} is outside this registry`)
        : safe(`  not installed: optional ${name} ${range}`)
    ),
    ...warnings.map(({ text }) => safe(`  warning: ${text}`)),
    ...(packages === 0 && installed.length === 0 && gone.length === 0 ? ['This project wants no packages yet'] : [])
  ]
}

function packageLine({ name, version, was, path, action, from, bytes, ms }: InstalledPackage, dryRun: boolean): string {
  const what = `${name}@${version}`
  if (action === 'unchanged') return `Unchanged ${what}  ${path}`
  if (action === 'left') return `Left ${what}  ${path}`
  if (dryRun) return `Would install ${what}  ${path}`
  const source = from.length === 0 ? 'was here' : `${bytesText(bytes)} from ${from.map(short).join(', ')} in ${ms} ms`
  if (was !== null && was !== version) return `Updated ${name} ${was} -> ${version}  ${path}  ${source}`
  return `Installed ${what}  ${path}  ${source}`
}

function goneLine({ id, from }: LockChange, dryRun: boolean): string {
  return `${dryRun ? 'Would remove' : 'Removed'} ${id}@${from ?? ''}`
}

function short(peer: string): string {
  return `…${peer.slice(-8)}`
}
