/**
 * The base score of CVSS v4.0 (first.org/cvss/v4-0/specification-document, section 8). A vector lies in a class of vectors, each with
 * the score of its highest; from that is taken how far the vector lies below it, as a share of the way to the classes that are next.
 *
 * Only base metrics are read: threat and environment are those of whoever asks, and count as the specification has them by default,
 * which is the worst. So of its 270 classes those are left in which exploits are known and every requirement is high.
 */

/** Steps below the worst value of each metric. */
const STEPS = {
  AV: { N: 0, A: 1, L: 2, P: 3 },
  PR: { N: 0, L: 1, H: 2 },
  UI: { N: 0, P: 1, A: 2 },
  AC: { L: 0, H: 1 },
  AT: { N: 0, P: 1 },
  VC: { H: 0, L: 1, N: 2 },
  VI: { H: 0, L: 1, N: 2 },
  VA: { H: 0, L: 1, N: 2 },
  SC: { H: 1, L: 2, N: 3 },
  SI: { H: 1, L: 2, N: 3 },
  SA: { H: 1, L: 2, N: 3 }
} as const satisfies Readonly<Record<string, Readonly<Record<string, number>>>>

type Metric = keyof typeof STEPS
type Steps = Readonly<Record<Metric, number>>
const METRICS = Object.keys(STEPS) as readonly Metric[]

/** A class that the specification calls an equivalence set: its highest vectors, and how many steps it is deep. */
interface Level {
  readonly metrics: readonly Metric[]
  readonly highest: readonly (readonly number[])[]
  readonly depth: number
}

const REACH: readonly Metric[] = ['AV', 'PR', 'UI']
const EFFORT: readonly Metric[] = ['AC', 'AT']
const IMPACT: readonly Metric[] = ['VC', 'VI', 'VA']
const BEYOND: readonly Metric[] = ['SC', 'SI', 'SA']

// EQ1, EQ2, EQ3 with EQ6, and EQ4, in the order of their levels; tables 24 to 28 of the specification.
const REACH_LEVELS: readonly Level[] = [
  { metrics: REACH, highest: [[0, 0, 0]], depth: 1 },
  { metrics: REACH, highest: [[1, 0, 0], [0, 1, 0], [0, 0, 1]], depth: 4 }, // prettier-ignore
  { metrics: REACH, highest: [[3, 0, 0], [1, 1, 1]], depth: 5 } // prettier-ignore
]
const EFFORT_LEVELS: readonly Level[] = [
  { metrics: EFFORT, highest: [[0, 0]], depth: 1 },
  { metrics: EFFORT, highest: [[1, 0], [0, 1]], depth: 2 } // prettier-ignore
]
const IMPACT_LEVELS: readonly Level[] = [
  { metrics: IMPACT, highest: [[0, 0, 0]], depth: 7 },
  { metrics: IMPACT, highest: [[1, 0, 0], [0, 1, 0]], depth: 8 }, // prettier-ignore
  { metrics: IMPACT, highest: [[1, 1, 1]], depth: 10 }
]
const BEYOND_LEVELS: readonly Level[] = [
  { metrics: BEYOND, highest: [[1, 1, 1]], depth: 5 },
  { metrics: BEYOND, highest: [[2, 2, 2]], depth: 4 }
]

/**
 * Scores of the highest vectors (table 29: those with EQ5 = 0): by EQ1, EQ2, and EQ4 = 1 or 2; in each row those of EQ3 and EQ6
 * at 00, 01, 10, 11 and 21.
 */
const SCORES: Readonly<Record<string, readonly [number, number, number, number, number]>> = {
  '001': [10, 9.6, 9.3, 9.2, 7.9],
  '002': [9.3, 9, 8.8, 8, 6.9],
  '011': [9.5, 9.1, 9.2, 8.2, 7.1],
  '012': [9.2, 8.1, 8.4, 7, 6.3],
  '101': [9.4, 8.9, 8.6, 7.6, 6.5],
  '102': [8.7, 7.5, 7.2, 5.7, 5.3],
  '111': [9, 7.7, 7.4, 5.9, 5.8],
  '112': [7.7, 6.6, 6.1, 5.2, 2.3],
  '201': [8.6, 7.4, 7.2, 5.7, 4.7],
  '202': [7, 5.4, 5.3, 3.6, 2.4],
  '211': [7.3, 5.5, 6.1, 5.1, 2.4],
  '212': [5.4, 4.3, 4.6, 1.8, 1]
}

/** Takes the metrics of a vector by name. Undefined where a base metric is missing or has a value that it cannot have. */
export function baseScoreV4(metrics: ReadonlyMap<string, string>): number | undefined {
  const found: Partial<Record<Metric, number>> = {}
  for (const metric of METRICS) {
    const values: Readonly<Record<string, number>> = STEPS[metric]
    const value = metrics.get(metric) ?? ''
    // Attack: a value called `constructor`.
    if (!Object.hasOwn(values, value)) return undefined
    found[metric] = values[value] ?? 0
  }
  return scoreOf(found as Steps)
}

function scoreOf(steps: Steps): number {
  if (IMPACT.every(metric => steps[metric] === 2) && BEYOND.every(metric => steps[metric] === 3)) return 0
  const [reach, effort, impact, beyond] = levelsOf(steps)
  const at = (eq1: number, eq2: number, eq4: number): readonly number[] | undefined => SCORES[`${eq1}${eq2}${eq4}`]
  const here = at(reach, effort, beyond)
  const score = impactScore(here, impact) ?? 0
  const lower = [
    { next: impactScore(at(reach + 1, effort, beyond), impact), level: REACH_LEVELS[reach] },
    { next: impactScore(at(reach, effort + 1, beyond), impact), level: EFFORT_LEVELS[effort] },
    { next: belowImpact(here, impact), level: IMPACT_LEVELS[impact] },
    { next: impactScore(at(reach, effort, beyond + 1), impact), level: BEYOND_LEVELS[beyond - 1] }
  ]
  // The class in which an exploit is only described lies below each, and no base vector is on the way to it.
  let classes = 1
  let distance = 0
  for (const { next, level } of lower) {
    if (next === undefined || level === undefined) continue
    classes += 1
    distance += (score - next) * (stepsBelow(steps, level) / level.depth)
  }
  return rounded(Math.min(10, Math.max(0, score - distance / classes)))
}

/** EQ1, EQ2, EQ3 and EQ4. With every requirement high, EQ6 is 0 where anything is high, which EQ3 says as well. */
function levelsOf({ AV, PR, UI, AC, AT, VC, VI, VA, SC, SI, SA }: Steps): readonly [number, number, number, number] {
  const isOpen = [AV, PR, UI].map(step => step === 0)
  const reach = isOpen.every(Boolean) ? 0 : AV < 3 && isOpen.some(Boolean) ? 1 : 2
  const effort = AC === 0 && AT === 0 ? 0 : 1
  const impact = VC === 0 && VI === 0 ? 0 : [VC, VI, VA].includes(0) ? 1 : 2
  const beyond = [SC, SI, SA].includes(1) ? 1 : 2
  return [reach, effort, impact, beyond]
}

/** Of EQ3 at 0, 1 and 2 with EQ6 at 0, 0 and 1. */
function impactScore(row: readonly number[] | undefined, impact: number): number | undefined {
  return row?.[[0, 2, 4][impact] ?? 0]
}

/** The score of the class below in EQ3 or EQ6: of two the higher; below the last one there is none. */
function belowImpact(row: readonly number[] | undefined, impact: number): number | undefined {
  if (row === undefined || impact === 2) return undefined
  return impact === 0 ? Math.max(row[1] ?? 0, row[2] ?? 0) : row[3]
}

/** How many steps the vector lies below the first of the highest ones that is nowhere below it. */
function stepsBelow(steps: Steps, { metrics, highest }: Level): number {
  for (const top of highest) {
    const below = metrics.map((metric, i) => steps[metric] - (top[i] ?? 0))
    if (below.every(each => each >= 0)) return below.reduce((sum, each) => sum + each, 0)
  }
  return 0
}

/** To one decimal, half up, whatever floating point makes of a half. */
function rounded(score: number): number {
  return Math.round(score * 10 + 1e-6) / 10
}
