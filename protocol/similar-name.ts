import { ecosystemOf, shortNameOf } from './package-name.ts'
import type { PackageName } from './package-name.ts'

/** Names that would pass for this program or for a registry itself: never given to strangers. */
const RESERVED = new Set(['ggen', 'ggennode', 'registry'])

/** A name without what nobody remembers of it: upper case as lower, without `-`, `_`, `.`, `/` and `@`. */
export function lookOf(name: string): string {
  return name.toLowerCase().replaceAll(/[-_./@]/g, '')
}

export function isReservedName(name: PackageName): boolean {
  return RESERVED.has(lookOf(shortNameOf(name)))
}

const FOLDS: readonly (readonly [RegExp, string])[] = [
  [/0/g, 'o'],
  [/[1i]/g, 'l'],
  [/5/g, 's'],
  [/rn/g, 'm'],
  [/vv/g, 'w']
]

/**
 * What a name looks like to somebody in a hurry: its look, in which characters that pass for one another are one. Two names
 * with one skeleton are one trap, so at most one of them is given out.
 */
export function skeletonOf(name: string): string {
  return FOLDS.reduce((text, [from, to]) => text.replaceAll(from, to), lookOf(name))
}

/** The same with its ecosystem: names of two ecosystems are never confused by a program. */
export function skeletonKey(name: PackageName): string {
  return `${ecosystemOf(name)}/${skeletonOf(shortNameOf(name))}`
}

/** Characters of a skeleton. What folds is not among them. */
const ALPHABET = 'abcdefghjklmnopqrstuvwxyz2346789'

/** Below this length names come near each other by chance: only letters that changed places, and a letter too many, count. */
const SHORT = 5

/** What people add to a name that is taken. A part of its own: `js-name`, `name-js`, `name.js`. */
const AFFIXES = ['go', 'js', 'lib', 'node', 'py', 'python', 'rs', 'rust', 'ts']

/**
 * The skeletons to which this name comes near, itself left out: one letter more, less or other, two that changed places, a
 * letter that is written twice or once, an affix more or less. So looking for near names costs by the length of the name and
 * not by the number of names: about 1,300 look-ups for one of 20 characters.
 */
export function nearSkeletons(short: string): ReadonlySet<string> {
  const own = skeletonOf(short)
  const found = new Set<string>(affixedSkeletons(short))
  for (let i = 0; i < own.length; i++) {
    const [before, here, after] = [own.slice(0, i), own[i] ?? '', own.slice(i + 1)]
    const isTwice = here === own[i + 1]
    if (own.length > SHORT || isTwice) found.add(before + after)
    found.add(before + here + here + after)
    if (after !== '') found.add(`${before}${after[0]}${here}${after.slice(1)}`)
    if (own.length < SHORT) continue
    for (const letter of ALPHABET) {
      found.add(before + letter + after)
      found.add(before + letter + here + after)
    }
  }
  if (own.length >= SHORT) for (const letter of ALPHABET) found.add(own + letter)
  found.delete(own)
  found.delete('')
  return found
}

/**
 * Whether one text is the other with one character more, less or other, or with two neighbours that changed places. Without affixes,
 * `nearSkeletons` holds nothing else: whether it can hold one of a few names is seen without making all of it.
 */
export function isOneSlipAway(a: string, b: string): boolean {
  const shorter = Math.min(a.length, b.length)
  if (Math.max(a.length, b.length) - shorter > 1 || a === b) return false
  let before = 0
  while (before < shorter && a.charCodeAt(before) === b.charCodeAt(before)) before += 1
  let after = 0
  const rest = shorter - before
  while (after < rest && a.charCodeAt(a.length - 1 - after) === b.charCodeAt(b.length - 1 - after)) after += 1
  const differ = rest - after
  if (differ < 2) return true
  return differ === 2 && a.length === b.length && a[before] === b[before + 1] && a[before + 1] === b[before]
}

/** The name with what is added taken away, and with it added. */
export function affixedSkeletons(short: string): readonly string[] {
  const parts = short.split(/[-_./]/).filter(part => part !== '')
  const [first = '', last = ''] = [parts[0], parts.at(-1)]
  const whole = skeletonOf(short)
  const shorter = [
    ...(AFFIXES.includes(first) && parts.length > 1 ? [parts.slice(1)] : []),
    ...(AFFIXES.includes(last) && parts.length > 1 ? [parts.slice(0, -1)] : [])
  ].map(rest => skeletonOf(rest.join('')))
  // `namejs` is `name` with what the others write behind a dash.
  if (whole.length > SHORT + 2 && whole.endsWith('js')) shorter.push(whole.slice(0, -2))
  return [...shorter, ...AFFIXES.map(skeletonOf).flatMap(affix => [whole + affix, affix + whole])]
}
