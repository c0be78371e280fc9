import type { NodeName } from './node-name.ts'
import { intersect, union } from './version-set.ts'
import type { VersionSet } from './version-set.ts'

/** Says that the package's version is in the set; with 0 in the set, that the package may be absent too. */
export interface Term {
  readonly name: NodeName
  readonly set: VersionSet
}

/** Whether a term asks for the package to be there. */
export function isPositive({ set }: Term): boolean {
  return set[0] !== 0
}

/** Why a need can't be met by any version: the registry has no such package, no version that fits, or another is held. */
export type Unmet = 'absent' | 'none-fits' | 'held'

/** A range that somebody asked for. */
export interface Asked {
  readonly name: NodeName
  readonly range: string
  /** Set when the project file replaced the range: what was written where it was asked. */
  readonly instead: string | undefined
  readonly unmet: Unmet | undefined
}

/** Where an incompatibility comes from: what the person asked, what a manifest says, or two others. */
export type Cause =
  | { readonly type: 'wish'; readonly by: string; readonly asked: Asked }
  | { readonly type: 'needs'; readonly from: Term; readonly asked: Asked }
  | { readonly type: 'derived'; readonly left: Incompatibility; readonly right: Incompatibility }

/** Terms that can't all hold. At most one for each package, in ascending order of name; none means "no solution". */
export interface Incompatibility {
  readonly terms: readonly Term[]
  readonly cause: Cause
}

/** How many versions a package has, as far as sets of them go. */
export type Size = (name: NodeName) => number

/**
 * The terms in their one spelling: two of one package become their intersection; what always holds says nothing and is
 * dropped.
 */
export function normalise(terms: readonly Term[], size: Size): readonly Term[] {
  const byName = new Map<NodeName, VersionSet>()
  for (const { name, set } of terms) {
    const other = byName.get(name)
    byName.set(name, other === undefined ? set : intersect(other, set))
  }
  return [...byName]
    .map(([name, set]) => ({ name, set }))
    .filter(({ name, set }) => !(set[0] === 0 && set[1] === size(name) + 1))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** Whether it can never be violated because one of its terms never holds: not worth keeping. */
export function isVoid({ terms }: Incompatibility): boolean {
  return terms.some(({ set }) => set.length === 0)
}

/**
 * What follows from two incompatibilities about one package: whichever version it has, or none, one of the two has its
 * term of that package fulfilled, so the other terms of both can't all hold.
 */
export function resolve(
  left: Incompatibility,
  right: Incompatibility,
  { on, size }: { readonly on: NodeName; readonly size: Size }
): Incompatibility {
  const others = [...left.terms, ...right.terms].filter(({ name }) => name !== on)
  const a = left.terms.find(({ name }) => name === on)
  const b = right.terms.find(({ name }) => name === on)
  const joined = a === undefined || b === undefined ? [] : [{ name: on, set: union(a.set, b.set) }]
  return { terms: normalise([...others, ...joined], size), cause: { type: 'derived', left, right } }
}
