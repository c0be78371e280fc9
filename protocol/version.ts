import semver from 'semver'
import type { Brand } from './brand.ts'
import { RegistryError } from './errors.ts'
import { LIMITS } from './limits.ts'
import type { Ecosystem } from './package-name.ts'
import { quoted } from './strange-text.ts'

/** A version in the one spelling of its ecosystem. ggen: semver 2.0.0 without build metadata, `1.2.3-rc.1`. */
export type Version = Brand<string, 'Version'>

/** How an ecosystem orders versions and reads ranges. ggen uses semver; others bring their own later. */
export interface Ordering {
  readonly parseVersion: (text: string) => Version
  /** Negative, zero or positive; zero only for the same version. */
  readonly compare: (a: Version, b: Version) => number
  readonly isPrerelease: (version: Version) => boolean
  /**
   * What a range allows. A pre-release only where the range names one of the same version; with `prereleases`, by its
   * place in the order alone.
   * @throws RegistryError INVALID_VERSION
   */
  readonly parseRange: (text: string, options?: RangeOptions) => (version: Version) => boolean
}

export interface RangeOptions {
  readonly prereleases?: boolean
}

export const SEMVER_ORDERING: Ordering = {
  parseVersion: parseSemver,
  compare: (a, b) => semver.compare(a, b),
  isPrerelease: version => semver.prerelease(version) !== null,
  parseRange: (text, { prereleases = false } = {}) => {
    const options = { includePrerelease: prereleases }
    const range = text.length > LIMITS.names.rangeChars ? null : semver.validRange(text, options)
    if (range === null) {
      throw new RegistryError('INVALID_VERSION', `${quoted(text)} is not a version range`)
    }
    const parsed = new semver.Range(range, options)
    return version => parsed.test(version)
  }
}

export function orderingOf(_ecosystem: Ecosystem): Ordering {
  return SEMVER_ORDERING
}

/** @throws RegistryError INVALID_VERSION */
export function parseSemver(text: string): Version {
  const parsed = text.length > LIMITS.names.versionChars ? null : semver.parse(text)
  // One spelling: "v1.0.0", "=1.0.0", " 1.0.0" and build metadata (which semver orders as equal) all fail here.
  if (parsed === null || parsed.version !== text) {
    throw new RegistryError('INVALID_VERSION', `${quoted(text)} is not a version like 1.2.3 or 1.2.3-rc.1`)
  }
  return text as Version
}
