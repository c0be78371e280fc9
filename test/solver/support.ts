import type { CataloguePackage, CatalogueVersion } from '../../protocol/solver/catalogue.ts'
import { explanationText } from '../../protocol/solver/explain.ts'
import type { Explanation } from '../../protocol/solver/explain.ts'
import { nameOfNode } from '../../protocol/solver/node-name.ts'
import type { Ask } from '../../protocol/solver/node-name.ts'
import type { Asking } from '../../protocol/solver/shelf.ts'
import { solve } from '../../protocol/solver/solve.ts'
import type { Outcome, SolveRequest } from '../../protocol/solver/solve.ts'
import { parsePackageName, shortNameOf } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { parseSemver } from '../../protocol/version.ts'
import type { Version } from '../../protocol/version.ts'

/**
 * `{ app: { '1.0.0': ['lib ^1.0.0', 'extra * optional', 'cmake * external'] } }`; `!` before a version: yanked, `=`: in
 * conflict.
 */
export type Registry = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>

export const named = (name: string): PackageName => parsePackageName(`ggen/${name}`)

export function packageOf(name: string, versions: Registry[string]): CataloguePackage {
  return { name: named(name), versions: Object.entries(versions).map(([marked, needs]) => versionOf(marked, needs)) }
}

function versionOf(marked: string, texts: readonly string[]): CatalogueVersion {
  const needs = texts.map(text => {
    const flag = / (optional|external)$/.exec(text)?.[1]
    const [name = '', ...range] = text.replace(/ (optional|external)$/, '').split(' ')
    return { name, range: range.join(' ') || '*', flag }
  })
  return {
    version: parseSemver(marked.replace(/^[!=]/, '')),
    state: marked.startsWith('!') ? 'yanked' : marked.startsWith('=') ? 'conflict' : 'usable',
    reason: marked.startsWith('!') ? 'leaks keys' : '',
    needs: needs.flatMap(({ name, range, flag }) =>
      flag === 'external' ? [] : [{ name: named(name), range, optional: flag === 'optional' }]
    ),
    external: needs.flatMap(({ name, range, flag }) => (flag === 'external' ? [{ name, range }] : []))
  }
}

/** Answers every question from a registry that is in memory; `asked` sees the names of each round. */
export function drive<T>(
  machine: Asking<T>,
  find: (name: PackageName) => CataloguePackage | undefined,
  asked: (names: readonly Ask[]) => void = () => undefined
): T {
  for (let step = machine.next(); ;) {
    if (step.done === true) return step.value
    asked(step.value)
    step = machine.next(new Map(step.value.map(ask => [ask, find(nameOfNode(ask))])))
  }
}

export function finderIn(registry: Registry): (name: PackageName) => CataloguePackage | undefined {
  return name => {
    const versions = registry[shortNameOf(name)]
    return versions === undefined ? undefined : packageOf(shortNameOf(name), versions)
  }
}

export type Project = Omit<SolveRequest, 'wishes'>

/** `solveIn(registry, ['app ^1.0.0', 'tool'])` */
export function solveIn(registry: Registry, wishes: readonly string[], project: Project = {}): Outcome {
  return drive(solve({ wishes: wishes.map(wish), ...project }), finderIn(registry))
}

export function wish(text: string): SolveRequest['wishes'][number] {
  const [name = '', ...range] = text.split(' ')
  return { name: named(name), range: range.join(' ') || '*', by: 'you' }
}

/** `['app@1.0.0', 'lib@1.2.0']`, in the order of the picks. */
export function picksOf(outcome: Outcome): readonly string[] {
  if (outcome.type === 'failed') throw new Error(explanationText(outcome.explanation).join('\n'))
  return outcome.picks.map(({ name, version }) => `${shortNameOf(nameOfNode(name))}@${version}`)
}

export function picksIn(registry: Registry, wishes: readonly string[], project: Project = {}): readonly string[] {
  return picksOf(solveIn(registry, wishes, project)).toSorted()
}

export function explanationOf(outcome: Outcome): Explanation {
  if (outcome.type === 'solved') throw new Error(`it was solved: ${picksOf(outcome).join(', ')}`)
  return outcome.explanation
}

export function explanationIn(registry: Registry, wishes: readonly string[], project: Project = {}): readonly string[] {
  return explanationText(explanationOf(solveIn(registry, wishes, project)))
}

export function lockOf(entries: Readonly<Record<string, string>>): ReadonlyMap<PackageName, Version> {
  return new Map(Object.entries(entries).map(([name, version]) => [named(name), parseSemver(version)]))
}
