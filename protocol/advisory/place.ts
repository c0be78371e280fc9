import semver from 'semver'
import { LIMITS } from '../limits.ts'
import type { Ecosystem } from '../package-name.ts'
import type { Version } from '../version.ts'

/**
 * Where a version that somebody outside wrote lies among ours, which all have three numbers. `behind`: how far behind `at`, and
 * before whatever version of ours comes next: `2.9.10.8` of Maven lies behind 2.9.10, `1.0.post1` of PyPI behind 1.0.0.
 */
export interface Place {
  readonly at: Version
  readonly behind: readonly number[]
}

/**
 * Undefined for what the ecosystem does not order, or we do not: `2024a`, of semver `1.0` too. Of Go without the `v`; build metadata,
 * which orders nothing, is left away.
 */
export function placeIn(text: string, ecosystem: Ecosystem): Place | undefined {
  if (text.length > LIMITS.names.versionChars) return undefined
  if (ecosystem === 'pypi') return pep440(text)
  if (ecosystem === 'maven') return maven(text)
  const bare = ecosystem === 'go' ? text.replace(/^v/, '') : text
  return /^\d/.test(bare) ? place(bare) : undefined
}

export function comparePlace(a: Place, b: Place): number {
  const order = semver.compare(a.at, b.at)
  if (order !== 0) return order
  for (const [i, far] of a.behind.entries()) if (far !== b.behind[i]) return far - (b.behind[i] ?? 0)
  return 0
}

/** A fourth number of a release and more of them, and how far something lies behind all of those. */
const NOTHING: readonly number[] = [0, 0, 0]

/** Where one of ours lies. What its ecosystem does not read is where semver has it. */
export function placeOf(version: Version, ecosystem: Ecosystem): Place {
  return placeIn(version, ecosystem) ?? { at: version, behind: NOTHING }
}

function place(text: string, behind: readonly number[] = NOTHING): Place | undefined {
  const parsed = semver.parse(text)
  return parsed === null ? undefined : { at: parsed.version as Version, behind }
}

interface Read {
  /** `1.2.3.4` */
  readonly release: string
  /** Before the release, in the words that order as they must: `alpha`, `beta`, …; empty when it is not. */
  readonly before: string
  /** Behind the release, by this much; 0 when it is not. */
  readonly after: number
}

function placed({ release, before, after }: Read): Place | undefined {
  const numbers = release.split('.').map(Number)
  if (numbers.length > NOTHING.length + 2) return undefined
  const [major = 0, minor = 0, patch = 0, ...more] = numbers
  const rest = NOTHING.slice(1).map((_, i) => more[i] ?? 0)
  // Before 1.2.3.4 and behind 1.2.3 is behind 1.2.3: none of ours lies between.
  const isBetween = rest.some(number => number > 0)
  const tail = isBetween || before === '' ? '' : `-${before}`
  return place(`${major}.${minor}.${patch}${tail}`, [...rest, after])
}

const PEP440 =
  /^v?(?<release>\d+(?:\.\d+)*)(?:[-_.]?(?<pre>alpha|a|beta|b|preview|pre|rc|c)[-_.]?(?<count>\d*))?(?:-(?<again>\d+)|[-_.]?(?<post>post|rev|r)[-_.]?(?<turn>\d*))?(?:[-_.]?(?<dev>dev)[-_.]?(?<day>\d*))?(?:\+[a-z0-9._-]+)?$/i

/** PEP 440, but for epochs, and for builds of pre-releases in the making. */
function pep440(text: string): Place | undefined {
  const { release = '', pre, count, again, post, turn, dev, day } = PEP440.exec(text)?.groups ?? {}
  const after = again !== undefined || post !== undefined ? Number(again ?? turn) + 1 : 0
  if (release === '' || (dev !== undefined && pre !== undefined)) return undefined
  if (pre !== undefined) return placed({ release, before: `${PRE[pre.toLowerCase()] ?? 'rc'}.${Number(count)}`, after })
  // In the making is before everything else of a version, and `0` before every word.
  const before = dev === undefined || after > 0 ? '' : `0.dev.${Number(day)}`
  return placed({ release, before, after })
}

const PRE: Readonly<Record<string, string>> = { a: 'alpha', alpha: 'alpha', b: 'beta', beta: 'beta' }

const MAVEN = /^(?<release>\d+(?:\.\d+)*)(?:[-.]?(?<word>[a-z]+)[-.]?(?<count>\d*)|-(?<again>\d+))?$/i

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

/** As Maven orders versions: words that it knows before the release, all others behind it. */
function maven(text: string): Place | undefined {
  const { release = '', word = '', count, again } = MAVEN.exec(text)?.groups ?? {}
  if (release === '') return undefined
  const known = QUALIFIERS.get(word.toLowerCase())
  if (again !== undefined) return placed({ release, before: '', after: Number(again) })
  if (known === '' || word === '') return placed({ release, before: '', after: 0 })
  if (known !== undefined) return placed({ release, before: `${known}.${Number(count)}`, after: 0 })
  return placed({ release, before: '', after: 1 })
}
