import { resolve } from 'node:path'
import type { AuditedPackage, Finding, ProjectAudit } from '../../node/services/advisory/methods.ts'
import { ERROR_CODES, RegistryError } from '../../protocol/errors.ts'
import { countOf, report, safe } from './print.ts'
import { listOption, textOption, withNode, withProgress } from './run.ts'
import type { Options, Session } from './run.ts'
import { gutter, nextStep, under } from './style.ts'

/** `ggen-node audit` of a project. */
export async function auditProject(session: Session, options: Options): Promise<void> {
  if (listOption(options, 'criteria').length > 0)
    throw new RegistryError('USAGE', '--criteria is about a release', {
      next: 'ggen-node audit NAME@VERSION --criteria …'
    })
  const project = resolve(textOption(options, 'dir') ?? '.')
  if (options['fix'] === true) return fixProject(session, project, options['offline'] === true)
  const result = await withNode(session, { network: false }, client =>
    client.call('auditProject', { project }, { signal: session.signal })
  )
  report(session, { ...result, ok: result.denied === 0 }, () => auditLines(result))
  if (result.denied > 0) process.exitCode = ERROR_CODES.POLICY_DENIED.exit
}

async function fixProject(session: Session, project: string, offline: boolean): Promise<void> {
  const result = await withProgress(session, onProgress =>
    withNode(session, { network: !offline }, client =>
      client.call('auditFix', { project, offline }, { signal: session.signal, onProgress })
    )
  )
  const { after, before, changes, undone } = result
  report(session, { ...result, ok: after.denied === 0 }, () => [
    ...changes.map(({ name, from, to }) => gutter('Moved', safe(`${name} ${from ?? 'nothing'} -> ${to ?? 'nothing'}`))),
    ...(before.findings.length > 0 && changes.length === 0
      ? [gutter('Unchanged', safe(undone ?? 'no version is known to move to'), 'note')]
      : []),
    ...auditLines(after)
  ])
  if (after.denied > 0) process.exitCode = ERROR_CODES.POLICY_DENIED.exit
}

function auditLines({ audited, denied, findings, packages }: ProjectAudit): readonly string[] {
  const known = packages.flatMap(one => [
    gutter(one.verdict === 'deny' ? 'Denied' : 'Package', safe(one.reference), 'note'),
    ...findings.filter(({ reference }) => reference === one.reference).map(findingLine),
    under(moveText(one))
  ])
  const isFixable = packages.some(({ moveTo }) => moveTo !== null)
  return [
    ...known,
    packages.length === 0
      ? gutter('Audited', `${countOf(audited, 'package')}: nothing is known against them`)
      : gutter('Audited', `${countOf(audited, 'package')}: ${packages.length} with findings, ${denied} denied`, 'note'),
    ...(isFixable ? [nextStep('ggen-node audit --fix')] : [])
  ]
}

function findingLine({ code, text, fixed }: Finding): string {
  return under(safe(`${code}: ${text}${fixed === null ? '' : ` (fixed in ${fixed})`}`))
}

function moveText({ moveTo }: AuditedPackage): string {
  return moveTo === null ? 'no version is known here to move to' : `move to ${moveTo}`
}
