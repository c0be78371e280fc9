import type { ErrorCode } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { Version } from '../version.ts'
import type { CatalogueVersion } from './catalogue.ts'
import type { Asked, Incompatibility } from './incompatibility.ts'
import { PLAIN_WORDS } from './node-name.ts'
import type { NodeName, Words } from './node-name.ts'
import { leavesOf, stepsOf } from './proof.ts'
import type { Step } from './proof.ts'
import type { Shelf } from './shelf.ts'
import { conclusionText, factText } from './wording.ts'

/** One step of the derivation: `because a 1.2.0 needs b ^2.0.0 and (1), …`. */
export interface ExplanationLine {
  readonly number: number
  readonly text: string
  /** The lines it builds on. */
  readonly cites: readonly number[]
}

/** The versions of a package that somebody's ranges do not agree about. */
export interface KnownVersions {
  readonly name: NodeName
  /** Highest first, at most `LIMITS.solver.versionsShown` of them. */
  readonly versions: readonly {
    readonly version: Version
    readonly state: CatalogueVersion['state']
    readonly reason: string
  }[]
  readonly more: number
}

/** Why there is no solution. Says nothing that the registry, the project or the person did not say, or that does not follow from it. */
export interface Explanation {
  readonly code: Extract<
    ErrorCode,
    'MISSING_DEPENDENCY' | 'UNKNOWN_PACKAGE' | 'UNKNOWN_VERSION' | 'UNSOLVABLE' | 'VERSION_CONFLICT'
  >
  /** One line. */
  readonly summary: string
  readonly lines: readonly ExplanationLine[]
  readonly linesLeftOut: number
  /** What the derivation rests on, in plain words. */
  readonly facts: readonly string[]
  readonly known: readonly KnownVersions[]
  /** Names that are asked for and that the registry does not hold. */
  readonly absent: readonly NodeName[]
}

/** Tells the proof that nothing fits as a person would. */
export function explain(proof: Incompatibility, shelf: Shelf): Explanation {
  const leaves = leavesOf(proof)
  const steps = stepsOf(proof)
  const asked = leaves.flatMap(leaf => askedIn(leaf) ?? [])
  const shown =
    steps.length <= LIMITS.solver.lines ? steps : [...steps.slice(0, LIMITS.solver.lines - 1), ...steps.slice(-1)]
  const numbers = new Map(steps.map(({ conclusion, number }) => [conclusion, number]))
  const code = codeOf(leaves, shelf)
  const facts = leaves.slice(0, LIMITS.solver.lines).map(leaf => factText(leaf, shelf))
  const unmet = leaves.find(leaf => askedIn(leaf)?.unmet !== undefined)
  const summary =
    code !== 'UNSOLVABLE' && unmet !== undefined
      ? factText(unmet, shelf)
      : leaves.length <= 3
        ? facts.join(', and ')
        : 'no choice of versions agrees with all that is needed'
  return {
    code,
    summary,
    lines: shown.map(step => lineOf(step, numbers, shelf)),
    linesLeftOut: steps.length - shown.length,
    facts,
    known: contested(asked).flatMap(name => knownOf(name, shelf) ?? []),
    absent: [...new Set(asked.filter(({ unmet }) => unmet === 'absent').map(({ name }) => name))]
  }
}

/** The explanation as people read it: numbered lines, then what versions there are. */
export function explanationText(
  { lines, linesLeftOut, known }: Explanation,
  words: Words = PLAIN_WORDS
): readonly string[] {
  const told = lines.map(({ number, text }) => `${number}. ${text}`)
  if (linesLeftOut > 0) told.splice(-1, 0, `… and ${linesLeftOut} more steps`)
  return [...told, ...known.map(one => knownText(one, words))]
}

function knownText({ name, versions, more }: KnownVersions, { called }: Words): string {
  if (versions.length === 0) return `${called(name)} has no versions`
  const list = versions.map(({ version, state, reason }) => {
    if (state === 'conflict') return `${version} (in conflict)`
    if (state === 'yanked' || state === 'quarantined')
      return `${version} (${state === 'yanked' ? state : 'in quarantine'}${reason === '' ? '' : `: ${reason}`})`
    return version
  })
  return `${called(name)} has ${list.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

function lineOf(
  { conclusion, premises, continues, number }: Step,
  numbers: ReadonlyMap<Incompatibility, number>,
  shelf: Shelf
): ExplanationLine {
  const parts = premises.map(premise => {
    const cited = numbers.get(premise)
    return cited === undefined ? factText(premise, shelf) : `${conclusionText(premise, shelf)} (${cited})`
  })
  const cites = premises.flatMap(premise => numbers.get(premise) ?? [])
  return {
    number,
    text: `${continues ? 'and because' : 'because'} ${parts.join(' and ')}, ${conclusionText(conclusion, shelf)}`,
    cites: (continues ? [number - 1, ...cites] : cites).toSorted((a, b) => a - b)
  }
}

function askedIn({ cause }: Incompatibility): Asked | undefined {
  return cause.type === 'derived' ? undefined : cause.asked
}

/** Plain cases have codes of their own: something is missing and nobody disagrees about anything. */
function codeOf(leaves: readonly Incompatibility[], shelf: Shelf): Explanation['code'] {
  const asked = leaves.flatMap(leaf => askedIn(leaf) ?? [])
  const unmet = leaves.find(leaf => askedIn(leaf)?.unmet !== undefined)
  const missing = unmet === undefined ? undefined : askedIn(unmet)
  if (unmet === undefined || missing === undefined) return 'UNSOLVABLE'
  if (missing.unmet === 'held' || disputed(asked).length > 0) return 'UNSOLVABLE'
  const matching = missing.unmet === 'absent' ? [] : (shelf.get(missing.name)?.matching(missing.range) ?? [])
  if (matching.some(({ state }) => state === 'conflict')) return 'VERSION_CONFLICT'
  if (unmet.cause.type !== 'wish') return 'MISSING_DEPENDENCY'
  return missing.unmet === 'absent' ? 'UNKNOWN_PACKAGE' : 'UNKNOWN_VERSION'
}

/** Names that are asked for with more than one range; who takes any version disagrees with nobody. */
function disputed(asked: readonly Asked[]): readonly NodeName[] {
  const particular = asked.filter(({ range }) => range !== '*')
  return [...Map.groupBy(particular, ({ name }) => name)]
    .filter(([, list]) => new Set(list.map(({ range }) => range)).size > 1)
    .map(([name]) => name)
}

function contested(asked: readonly Asked[]): readonly NodeName[] {
  const unmet = asked.filter(one => one.unmet !== undefined).map(({ name }) => name)
  return [...new Set([...disputed(asked), ...unmet])].slice(0, LIMITS.solver.versionsShown)
}

function knownOf(name: NodeName, shelf: Shelf): KnownVersions | undefined {
  const known = shelf.get(name)?.known
  if (known === undefined) return undefined
  const versions = known
    .slice(0, LIMITS.solver.versionsShown)
    .map(({ version, state, reason }) => ({ version, state, reason }))
  return { name, versions, more: known.length - versions.length }
}
