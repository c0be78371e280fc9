import { isRegistryError } from '../errors.ts'
import { ecosystemOf } from '../package-name.ts'
import type { PackageName } from '../package-name.ts'
import { orderingOf } from '../version.ts'
import type { Version } from '../version.ts'

/** A range of versions that somebody who may say so advises against, and what to do instead. */
export interface Deprecation {
  readonly range: string
  readonly text: string
}

/**
 * Which of the deprecations of a package are about a version. A pre-release belongs where its place in the order is:
 * `<2` is about 1.0.0-rc.1, and not about 2.0.0-rc.1.
 */
export function deprecationsOf(
  name: PackageName,
  deprecated: readonly Deprecation[]
): (version: Version) => readonly Deprecation[] {
  const { parseRange } = orderingOf(ecosystemOf(name))
  const tests = deprecated.map(deprecation => ({ deprecation, isIn: parsed(deprecation.range) }))
  return version => tests.filter(({ isIn }) => isIn(version)).map(({ deprecation }) => deprecation)

  function parsed(range: string): (version: Version) => boolean {
    try {
      return parseRange(range, { prereleases: true })
    } catch (error) {
      // No range that can't be read comes through the gate; one that an older record holds is about nothing.
      if (isRegistryError(error)) return () => false
      throw error
    }
  }
}
