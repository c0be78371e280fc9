import { shortNameOf } from './package-name.ts'
import type { PackageName } from './package-name.ts'

/** Names that would pass for this program or for a registry itself: never given to strangers. */
const RESERVED = new Set(['ggen', 'ggennode', 'registry'])

/**
 * What a name looks like to somebody in a hurry: upper case as lower, without `-`, `_` and `.`. Two names that look alike
 * are one trap, so strangers get at most one of them.
 */
export function lookOf(name: string): string {
  return name.toLowerCase().replaceAll(/[-_.]/g, '')
}

export function isReservedName(name: PackageName): boolean {
  return RESERVED.has(lookOf(shortNameOf(name)))
}
