import { resolve } from 'node:path'
import { parseReference } from '../../protocol/reference.ts'
import { readProjectLock, verifyProject } from '../../node/installed.ts'
import type { VerifiedPackage } from '../../node/installed.ts'
import { treeOf, whyOf } from '../../node/services/project/graph.ts'
import type { TreeNode } from '../../node/services/project/graph.ts'
import type { Lock, PackId } from '../../node/services/project/lock-format.ts'
import { findLocked } from '../../node/services/project/wishes.ts'
import { report, safe, table } from './print.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'

/** Files differ from what was installed: the exit code of LOCALLY_MODIFIED. */
const NOT_CLEAN = 4

/** `ggen-node list`: what the lockfile has. */
export async function list(session: Session, options: Options): Promise<void> {
  const { packs } = await readProjectLock(folderOf(options))
  const installed = [...packs.values()].map(({ id, name, version, registry, alias, cid, requested }) => {
    return { id, name, version, registry, alias, cid, requested: requested ?? null }
  })
  report(session, { installed }, () => [
    ...table(installed.map(({ id, version, alias, cid }) => [`${shownId(packs, id)}@${version}`, alias, cid])),
    ...(installed.length === 0 ? ['Nothing is installed here'] : [])
  ])
}

/** `ggen-node tree`: what needs what. */
export async function tree(session: Session, options: Options): Promise<void> {
  const lock = await readProjectLock(folderOf(options))
  const roots = treeOf(lock)
  report(session, { tree: roots }, () => [
    ...roots.flatMap(root => [nodeText(root, lock), ...branches(root.children, '', lock)]),
    ...(roots.length === 0 ? ['Nothing is installed here'] : [])
  ])
}

function branches(nodes: readonly TreeNode[], before: string, lock: Lock): readonly string[] {
  return nodes.flatMap((node, i) => {
    const isLast = i === nodes.length - 1
    const line = `${before}${isLast ? '└── ' : '├── '}${nodeText(node, lock)}`
    return [line, ...branches(node.children, `${before}${isLast ? '    ' : '│   '}`, lock)]
  })
}

function nodeText({ id, version, again }: TreeNode, { packs }: Lock): string {
  return `${shownId(packs, id)}@${version}${again ? ' (see above)' : ''}`
}

/** An id as it can be typed: a registry's alias in place of its id. */
function shownId(packs: Lock['packs'], id: PackId): string {
  return readable(id, packs.get(id)?.alias)
}

function readable(id: PackId, alias: string | undefined): string {
  return alias === undefined ? id : id.replace(/^[^:]+:(?:ggen\/)?/, `${alias}:`)
}

/** `ggen-node why`: which wishes lead to a package. */
export async function why(session: Session, args: readonly string[], options: Options): Promise<void> {
  const lock = await readProjectLock(folderOf(options))
  const { id, version, requested = null } = findLocked(lock, parseReference(argument(args, 0)))
  const paths = whyOf(lock, id)
  report(session, { id, version, requested, paths }, () => [
    `${shownId(lock.packs, id)}@${version}`,
    ...paths.map(path =>
      path.length === 1
        ? `  this project wants it: ${requested ?? ''}`
        : `  ${path.map(each => shownId(lock.packs, each)).join(' > ')}`
    )
  ])
}

/** `ggen-node outdated`: current, wanted, latest. */
export async function outdated(session: Session, options: Options): Promise<void> {
  const result = await withNode(session, { network: options['offline'] !== true }, client =>
    client.call('outdated', { project: folderOf(options) }, { signal: session.signal })
  )
  report(session, result, () => [
    ...(result.outdated.length === 0
      ? [`All ${result.packages} packages are the latest`]
      : table([
          ['PACKAGE', 'CURRENT', 'WANTED', 'LATEST'],
          ...result.outdated.map(({ id, alias, current, wanted, latest }) => [
            readable(id, alias),
            current,
            wanted ?? '-',
            latest ?? '-'
          ])
        ])),
    ...(result.unsolvable === null ? [] : [safe(`  warning: it cannot be resolved anew: ${result.unsolvable}`)])
  ])
}

/** `ggen-node verify`: installed files against the lockfile. */
export async function verify(session: Session, options: Options): Promise<void> {
  const result = await verifyProject(folderOf(options), session.signal)
  report(session, { ok: result.clean, ...result }, () => [
    ...result.packages.flatMap(packageLines),
    ...result.extra.map(path => safe(`extra     ${path} is in no lockfile`)),
    ...(result.clean ? [] : ['  next: ggen-node install puts back what is missing, --force also what is modified'])
  ])
  if (!result.clean) process.exitCode = NOT_CLEAN
}

function packageLines({ id, version, path, state, modified, missing, extra }: VerifiedPackage): readonly string[] {
  return [
    `${state.padEnd(9)} ${id}@${version}  ${path}`,
    ...modified.map(file => safe(`  modified: ${file}`)),
    ...missing.map(file => safe(`  missing: ${file}`)),
    ...extra.map(file => safe(`  not from the package: ${file}`))
  ]
}

function folderOf(options: Options): string {
  return resolve(textOption(options, 'dir') ?? '.')
}
