/**
 * A set of whole numbers as the places where membership changes: `[1, 4, 6, 7]` holds 1, 2, 3 and 6. Ascending, each
 * place once, of even length: one spelling per set. Number 0 stands for "no version of it is picked" and 1…n for the
 * package's versions in ascending order, so "bar must not be ^2" and "bar must be ^2" are both plain sets.
 */
export type VersionSet = readonly number[]

/** What no version is in, nor the absence of one. */
export const NOTHING: VersionSet = []

/** Everything: the absence, and all versions. */
export function everything(versions: number): VersionSet {
  return [0, versions + 1]
}

/** One number alone. */
export function only(index: number): VersionSet {
  return [index, index + 1]
}

/** The set of ascending numbers, each given once. */
export function setOf(indices: Iterable<number>): VersionSet {
  const out: number[] = []
  for (const index of indices) {
    if (out.at(-1) === index) out[out.length - 1] = index + 1
    else out.push(index, index + 1)
  }
  return out
}

/** What is in both. */
export function intersect(a: VersionSet, b: VersionSet): VersionSet {
  return merge(a, b, (inA, inB) => inA && inB)
}

/** What is in one of them. */
export function union(a: VersionSet, b: VersionSet): VersionSet {
  return merge(a, b, (inA, inB) => inA || inB)
}

/** What is not in it, out of everything about a package of so many versions. */
export function complement(set: VersionSet, versions: number): VersionSet {
  return merge(everything(versions), set, (inAll, inSet) => inAll && !inSet)
}

function merge(a: VersionSet, b: VersionSet, keeps: (inA: boolean, inB: boolean) => boolean): VersionSet {
  const out: number[] = []
  let [i, j] = [0, 0]
  let inside = false
  while (i < a.length || j < b.length) {
    const at = Math.min(a[i] ?? Number.POSITIVE_INFINITY, b[j] ?? Number.POSITIVE_INFINITY)
    if (a[i] === at) i += 1
    if (b[j] === at) j += 1
    // After an odd number of changes one is inside.
    const now = keeps(i % 2 === 1, j % 2 === 1)
    if (now !== inside) out.push(at)
    inside = now
  }
  return out
}

/** Whether all of `a` is in `b`. Allocates nothing: propagation asks this more than anything else. */
export function isSubset(a: VersionSet, b: VersionSet): boolean {
  let j = 0
  for (let i = 0; i < a.length; i += 2) {
    const [from = 0, to = 0] = [a[i], a[i + 1]]
    while (j < b.length && (b[j + 1] ?? 0) <= from) j += 2
    if (j >= b.length || (b[j] ?? 0) > from || (b[j + 1] ?? 0) < to) return false
  }
  return true
}

/** Whether nothing is in both. */
export function isDisjoint(a: VersionSet, b: VersionSet): boolean {
  let [i, j] = [0, 0]
  while (i < a.length && j < b.length) {
    if ((a[i + 1] ?? 0) <= (b[j] ?? 0)) i += 2
    else if ((b[j + 1] ?? 0) <= (a[i] ?? 0)) j += 2
    else return false
  }
  return true
}

/** Whether both hold the same. */
export function isEqual(a: VersionSet, b: VersionSet): boolean {
  return a.length === b.length && a.every((at, i) => at === b[i])
}

/** Whether a number is in it. */
export function includes(set: VersionSet, index: number): boolean {
  for (let i = 0; i < set.length; i += 2) {
    if (index < (set[i] ?? 0)) return false
    if (index < (set[i + 1] ?? 0)) return true
  }
  return false
}

/** The highest number in it, or undefined when it is empty. */
export function highest(set: VersionSet): number | undefined {
  const end = set.at(-1)
  return end === undefined ? undefined : end - 1
}

/** How many numbers it holds. */
export function count(set: VersionSet): number {
  let total = 0
  for (let i = 0; i < set.length; i += 2) total += (set[i + 1] ?? 0) - (set[i] ?? 0)
  return total
}

/** Its numbers, ascending. */
export function* indicesOf(set: VersionSet): Generator<number> {
  for (let i = 0; i < set.length; i += 2) {
    for (let index = set[i] ?? 0; index < (set[i + 1] ?? 0); index++) yield index
  }
}
