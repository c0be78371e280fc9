import { RegistryError } from './errors.ts'
import type { PackageView } from './fold.ts'
import type { ContentView } from './fold-versions.ts'
import { LIMITS } from './limits.ts'
import type { PackageName } from './package-name.ts'
import { explanationText } from './solver/explain.ts'
import type { Explanation } from './solver/explain.ts'
import { PLAIN_WORDS } from './solver/node-name.ts'
import type { NodeName, Words } from './solver/node-name.ts'
import type { PickedVersion } from './solver/tree.ts'
import type { Version } from './version.ts'

/** A version that may be installed: one content, and which fact says so. */
export interface Pick {
  readonly name: PackageName
  readonly version: Version
  readonly content: ContentView
}

/** The picked version with what it is made of. */
export function toPick({ name, version }: PickedVersion, view: PackageView | undefined): Pick {
  const [content] = view?.versions.find(entry => entry.version === version)?.contents ?? []
  if (view === undefined || content === undefined)
    throw new RegistryError('INTERNAL', `${name}@${version} was picked out of nothing`)
  return { name: view.name, version, content }
}

export interface FailureContext {
  readonly viewOf: (node: NodeName) => PackageView | undefined
  /** What somebody may have meant by a name that the registry does not hold. */
  readonly near: ReadonlyMap<NodeName, readonly string[]>
  readonly words?: Words
}

/** The error of a resolution that failed: what is wrong in one line, how that follows, what to do. */
export function toResolveError(
  explanation: Explanation,
  { viewOf, near, words = PLAIN_WORDS }: FailureContext
): RegistryError {
  const { code, summary, lines, facts } = explanation
  // What a single line would say again is left away.
  const told = explanationText(
    lines.length === 1 && code !== 'UNSOLVABLE' ? { ...explanation, lines: [] } : explanation,
    words
  )
  const who = lines.length === 0 ? [] : facts.filter(fact => fact !== summary).slice(0, LIMITS.solver.versionsShown)
  const [absent] = explanation.absent
  const isSimple = code === 'UNKNOWN_PACKAGE' && absent !== undefined
  return new RegistryError(code, isSimple ? words.absent(absent) : summary, {
    tried: [...(lines.length === 1 ? who : []), ...told, ...contentsInConflict(explanation, viewOf, words)],
    next: nextStep(explanation, near, words)
  })
}

function contentsInConflict(
  { code, known }: Explanation,
  viewOf: FailureContext['viewOf'],
  { called }: Words
): readonly string[] {
  if (code !== 'VERSION_CONFLICT') return []
  return known.flatMap(({ name, versions }) => {
    const inConflict = new Set(versions.filter(({ state }) => state === 'conflict').map(({ version }) => version))
    const entries = viewOf(name)?.versions.filter(({ version }) => inConflict.has(version)) ?? []
    return entries
      .flatMap(({ version, contents }) =>
        contents.map(({ root, by }) => `${called(name)} ${version} is ${root} signed by ${by}`)
      )
      .slice(0, LIMITS.solver.versionsShown)
  })
}

function nextStep({ code, known, absent }: Explanation, near: FailureContext['near'], { called }: Words): string {
  const [unknown] = absent
  const [first] = known
  const meant = unknown === undefined ? [] : (near.get(unknown) ?? [])
  const name = unknown === undefined ? first && called(first.name) : called(unknown)
  switch (code) {
    case 'UNKNOWN_PACKAGE':
      return meant.length > 0 ? `perhaps you meant ${meant.join(' or ')}` : 'run ggen-node search to see what there is'
    case 'MISSING_DEPENDENCY':
      if (meant.length > 0)
        return `perhaps its author meant ${meant.join(' or ')}: ask for another version of what needs ${name}`
      return `publish ${name ?? 'it'} to the registry in a version that fits, or ask the author of what needs it to make it optional`
    case 'UNKNOWN_VERSION': {
      const usable = first?.versions.find(({ state }) => state === 'usable')
      if (first === undefined || usable === undefined) return `ask the owners of ${name ?? 'it'} to publish a version`
      return `try ${called(first.name)}@${usable.version}`
    }
    case 'VERSION_CONFLICT':
      return 'ask the owners of the package to resolve the conflict, or choose another version'
    case 'UNSOLVABLE':
      return name === undefined
        ? 'ask for other versions'
        : `ask for other versions of what needs ${name}, or override ${name} in the project file`
  }
}
