import { RegistryError } from './errors.ts'
import type { ContentView, PackageView, VersionView } from './fold.ts'
import { ecosystemOf, shortNameOf } from './package-name.ts'
import type { PackageName } from './package-name.ts'
import { orderingOf } from './version.ts'
import type { Version } from './version.ts'

/** A version that may be installed: one content, and which fact says so. */
export interface Pick {
  readonly name: PackageName
  readonly version: Version
  readonly content: ContentView
}

/** A range and who asked for it; undefined is "the highest stable version". */
export interface Wanted {
  readonly range: string | undefined
  readonly by: string
}

/**
 * The highest version that every wish allows. Yanked versions and versions in conflict are passed over; pre-releases
 * count only where a range names one.
 * @throws RegistryError UNKNOWN_VERSION | VERSION_CONFLICT | INVALID_VERSION
 */
export function pickVersion(view: PackageView, wanted: readonly Wanted[]): Pick {
  const ordering = orderingOf(ecosystemOf(view.name))
  const tests = wanted.map(({ range }) =>
    range === undefined ? (version: Version) => !ordering.isPrerelease(version) : ordering.parseRange(range)
  )
  const fitting = view.versions.filter(({ version }) => tests.every(test => test(version)))
  const usable = fitting.filter(entry => entry.yanks.length === 0)
  for (const { version, contents } of usable) {
    const [content, ...others] = contents
    if (content !== undefined && others.length === 0) return { name: view.name, version, content }
  }
  throw notPicked(view, wanted, fitting)
}

function notPicked(view: PackageView, wanted: readonly Wanted[], fitting: readonly VersionView[]): RegistryError {
  const name = shortNameOf(view.name)
  const asked = wanted.map(({ range, by }) => `${by} wants ${range ?? 'the highest stable version'}`)
  const [conflict] = fitting.filter(entry => entry.yanks.length === 0 && entry.contents.length > 1)
  if (conflict !== undefined) {
    const contents = conflict.contents.map(({ root, by }) => `${root} signed by ${by}`)
    return new RegistryError(
      'VERSION_CONFLICT',
      `${name}@${conflict.version} has ${contents.length} different contents`,
      {
        tried: contents,
        next: 'ask the owners of the package to resolve the conflict, or choose another version'
      }
    )
  }
  const [yanked] = fitting.filter(entry => entry.yanks.length > 0)
  if (yanked !== undefined) {
    const reason = yanked.yanks[0]?.reason ?? ''
    return new RegistryError(
      'UNKNOWN_VERSION',
      `${name}@${yanked.version} was yanked: ${reason === '' ? 'no reason given' : reason}`,
      {
        tried: asked,
        next: `choose another version of ${name}`
      }
    )
  }
  const exist = view.versions.map(entry => entry.version).slice(0, 10)
  return new RegistryError('UNKNOWN_VERSION', `no version of ${name} fits`, {
    tried: [...asked, exist.length === 0 ? `${name} has no versions` : `${name} has ${exist.join(', ')}`],
    next: exist[0] === undefined ? `ask the owners of ${name} to publish one` : `try ${name}@${exist[0]}`
  })
}
