import semver from 'semver'
import { compareText } from '../bytes.ts'
import { LIMITS } from '../limits.ts'
import type { Ecosystem } from '../package-name.ts'
import type { Version } from '../version.ts'

/**
 * Where a version that somebody outside wrote lies among ours, which all have three numbers. `behind`: how far behind `at`, and
 * before whatever version of ours comes next: `2.9.10.8` of Maven lies behind 2.9.10, `1.0.post1` of PyPI behind 1.0.0.
 */
export interface Place {
  readonly at: Version
  readonly behind: readonly Far[]
}

/** Words are before numbers, as PyPI has them in what follows a `+`; of others never one beside the other. */
type Far = number | string

/**
 * One version in both orders in which it may be meant. `1.0.0-1` is behind 1.0.0 to PyPI and Maven, and before it to semver, which
 * is how ours are ordered. What one of the two does not read is where the other has it.
 */
export interface Places {
  readonly native: Place
  readonly semver: Place
}

export type Order = keyof Places

export const ORDERS: readonly Order[] = ['native', 'semver']

/**
 * Undefined for what neither the ecosystem nor semver orders, or we do not: `2024a`, of npm `1.0` too. Of Go without the `v`; build
 * metadata, which orders nothing, is left away, but of PyPI and Maven, to whom it is behind what has none.
 */
export function placesIn(text: string, ecosystem: Ecosystem): Places | undefined {
  return text.length > LIMITS.names.versionChars ? undefined : bothOf(text, ecosystem, false)
}

/** Where one of ours lies, which semver always reads. */
export function placesOf(version: Version, ecosystem: Ecosystem): Places {
  const semverOnly: Place = { at: version, behind: NOTHING }
  return bothOf(version, ecosystem, true) ?? { native: semverOnly, semver: semverOnly }
}

function bothOf(text: string, ecosystem: Ecosystem, isOurs: boolean): Places | undefined {
  const plain = bySemver(text, ecosystem)
  const native = nativeOf(text, ecosystem, isOurs) ?? plain
  const either = plain ?? native
  return native === undefined || either === undefined ? undefined : { native, semver: either }
}

/** To PyPI and Maven `RC1` is `rc1`, also where only semver reads the rest of it. */
function nativeOf(text: string, ecosystem: Ecosystem, isOurs: boolean): Place | undefined {
  if (ecosystem === 'pypi') return pep440(text) ?? bySemver(text.toLowerCase(), ecosystem)
  if (ecosystem === 'maven') return maven(text, isOurs) ?? bySemver(text.toLowerCase(), ecosystem)
  return undefined
}

function bySemver(text: string, ecosystem: Ecosystem): Place | undefined {
  const bare = ecosystem === 'go' ? text.replace(/^v/, '') : text
  if (!/^\d/.test(bare)) return undefined
  const [, build] = bare.split('+')
  const isOrdered = build !== undefined && (ecosystem === 'pypi' || ecosystem === 'maven')
  return place(bare, isOrdered ? [...NOTHING, ...localOf(build)] : NOTHING)
}

export function comparePlace(a: Place, b: Place): number {
  const order = semver.compare(a.at, b.at)
  if (order !== 0) return order
  for (let i = 0; i < Math.max(a.behind.length, b.behind.length); i++) {
    const far = compareFar(a.behind[i], b.behind[i])
    if (far !== 0) return far
  }
  return 0
}

function compareFar(a: Far | undefined, b: Far | undefined): number {
  if (a === b) return 0
  if (a === undefined || b === undefined) return a === undefined ? -1 : 1
  if (typeof a === 'number' && typeof b === 'number') return a - b
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b)
  return typeof a === 'string' ? -1 : 1
}

/** A fourth number of a release and more of them, and how far something lies behind all of those. */
const NOTHING: readonly Far[] = [0, 0, 0]

/** Undefined also where a number is too large to be told from the next one: two versions would lie on one place. */
function place(text: string, behind: readonly Far[] = NOTHING): Place | undefined {
  if (behind.some(far => typeof far === 'number' && far > Number.MAX_SAFE_INTEGER)) return undefined
  const parsed = semver.parse(text)
  return parsed === null ? undefined : { at: parsed.version as Version, behind }
}

/** `1.0+ubuntu.1`: what PEP 440 calls a local version. */
function localOf(text: string | undefined): readonly Far[] {
  const parts = (text ?? '').toLowerCase().split(/[-_.]/)
  return parts.filter(part => part !== '').map(part => (/^\d+$/.test(part) ? Number(part) : part))
}

interface Read {
  /** `1.2.3.4` */
  readonly release: string
  /** Before the release, in the words that order as they must: `alpha`, `beta`, …; empty when it is not. */
  readonly before: string
  /** Behind the release, by this much; 0 when it is not. */
  readonly after: number
  /** What tells those apart that are behind it by as much. */
  readonly more?: readonly Far[]
}

function placed({ release, before, after, more: tail = [] }: Read): Place | undefined {
  const numbers = release.split('.').map(Number)
  if (numbers.length > NOTHING.length + 2) return undefined
  const [major = 0, minor = 0, patch = 0, ...more] = numbers
  const rest = [more[0] ?? 0, more[1] ?? 0]
  // Before 1.2.3.4 and behind 1.2.3 is behind 1.2.3: none of ours lies between.
  const isBetween = rest.some(number => number > 0)
  const word = isBetween || before === '' ? '' : `-${before}`
  return place(`${major}.${minor}.${patch}${word}`, [...rest, after, ...tail])
}

const PEP440 =
  /^v?(?<release>\d+(?:\.\d+)*)(?:[-_.]?(?<pre>alpha|a|beta|b|preview|pre|rc|c)[-_.]?(?<count>\d*))?(?:-(?<again>\d+)|[-_.]?(?<post>post|rev|r)[-_.]?(?<turn>\d*))?(?:[-_.]?(?<dev>dev)[-_.]?(?<day>\d*))?(?:\+(?<local>[a-z0-9._-]+))?$/i

/** PEP 440, but for epochs, and for builds of pre-releases in the making. */
function pep440(text: string): Place | undefined {
  const { release = '', pre, count, again, post, turn, dev, day, local } = PEP440.exec(text)?.groups ?? {}
  const after = again !== undefined || post !== undefined ? Number(again ?? turn) + 1 : 0
  const more = localOf(local)
  if (release === '' || (dev !== undefined && pre !== undefined)) return undefined
  if (pre !== undefined)
    return placed({ release, before: `${PRE[pre.toLowerCase()] ?? 'rc'}.${Number(count)}`, after, more })
  if (dev === undefined) return placed({ release, before: '', after, more })
  // In the making is before what is made: behind the turn before that one, or before everything else of a version, and `0` before every word.
  if (after > 0) return placed({ release, before: '', after: after - 1 / 2, more: [Number(day), ...more] })
  return placed({ release, before: `0.dev.${Number(day)}`, after, more })
}

const PRE: Readonly<Record<string, string>> = { a: 'alpha', alpha: 'alpha', b: 'beta', beta: 'beta' }

const MAVEN = /^(?<release>\d+(?:\.\d+)*)(?:[-.]?(?<word>[a-z]+)(?<gap>[-.]?)(?<count>\d*)|-(?<again>\d+))?$/i

/** What comes before a release, in the order in which its words stand in a dictionary, too; empty: the release itself. */
const QUALIFIERS: ReadonlyMap<string, string> = new Map([
  ['a', 'alpha'],
  ['alpha', 'alpha'],
  ['b', 'beta'],
  ['beta', 'beta'],
  ['m', 'milestone'],
  ['milestone', 'milestone'],
  ['rc', 'rc'],
  ['cr', 'rc'],
  ['snapshot', 'snapshot'],
  ['final', ''],
  ['ga', ''],
  ['release', '']
])

/** Shorter than a word, they are one where a number follows at once: `1.0-b` is behind 1.0 like any word that Maven does not know. */
const LETTERS = new Set(['a', 'b', 'm'])

/** As Maven orders versions: words that it knows before the release, all others behind it. Ours say `m.1` where Maven says `m1`. */
function maven(text: string, isOurs: boolean): Place | undefined {
  const { release = '', word: said = '', gap = '', count = '', again } = MAVEN.exec(text)?.groups ?? {}
  if (release === '') return undefined
  const word = said.toLowerCase()
  if (again !== undefined) return placed({ release, before: '', after: 3, more: [Number(again)] })
  const isKnown = !LETTERS.has(word) || (count !== '' && (gap === '' || isOurs))
  const known = isKnown ? QUALIFIERS.get(word) : undefined
  if (word === '' || (known === '' && Number(count) === 0)) return placed({ release, before: '', after: 0 })
  if (known === '') return placed({ release, before: '', after: 3, more: [Number(count)] })
  if (known !== undefined) return placed({ release, before: `${known}.${Number(count)}`, after: 0 })
  // Behind the release are its service packs, then all words that Maven does not know, then numbers.
  return placed({ release, before: '', after: word === 'sp' ? 1 : 2, more: [word, Number(count)] })
}
