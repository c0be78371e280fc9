import semver from 'semver'
import { LIMITS } from './limits.ts'
import { ggenNameFault } from './package-name.ts'

/**
 * The one spelling of a ggen range, or undefined when the text is none. A bare version means "compatible with", as it
 * does in the manifests that ggen's descend from: `1.0.0` is `^1.0.0` and `0.1` is `^0.1.0`; `=1.0.0` means that one only.
 */
export function normaliseRange(text: string): string | undefined {
  const trimmed = text.replaceAll(/[\s,]+/g, ' ').trim()
  if (trimmed === '' || trimmed.length > LIMITS.names.rangeChars) return undefined
  if (trimmed === '*') return '*'
  const bare = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+)(-[0-9A-Za-z.-]+)?)?$/.exec(trimmed)
  if (bare !== null) {
    const [, major = '0', minor = '0', patch = '0', pre = ''] = bare
    const version = `${major}.${minor}.${patch}${pre}`
    return semver.valid(version) === version ? `^${version}` : undefined
  }
  const range = semver.validRange(trimmed) === null ? undefined : new semver.Range(trimmed).raw
  return range === undefined || range === '' ? undefined : range
}

/** Why a name and a range can't be a dependency in a record, or undefined when they can. */
export function dependencyFault(name: string, range: string, kind: 'ggen' | 'external'): string | undefined {
  if (kind === 'ggen') {
    const fault = ggenNameFault(name)
    if (fault !== undefined) return `has a name that can't be: ${fault}`
    return normaliseRange(range) === range ? undefined : 'has a range that is not in its one spelling'
  }
  if (!isExternalName(name)) return 'has a name that no ecosystem would give'
  return isExternalRange(range) ? undefined : 'has a range that is not printable ASCII'
}

/** Names of crates, modules and tools: printable ASCII without spaces and quotes. */
export function isExternalName(name: string): boolean {
  return name.length <= LIMITS.names.nameChars && /^@?[A-Za-z0-9][A-Za-z0-9._/:@+-]*$/.test(name)
}

/** Ranges of other ecosystems are kept as written, never read by us. */
export function isExternalRange(range: string): boolean {
  return range.length <= LIMITS.names.rangeChars && /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(range)
}
