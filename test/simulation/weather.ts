import type { WriteFault } from './disk.ts'
import type { Rng } from './rng.ts'

export const OPERATIONS = [
  'claim',
  'release',
  'conflict',
  'yank',
  'unyank',
  'grant',
  'revoke',
  'cosign',
  'resolve',
  'rotate'
] as const
/** What is said about words; of these the first ones are said more often. */
export const EDITS = ['edit', 'edit', 'edit', 'edit', 'catalogue', 'catalogue', 'rollover', 'rollover'] as const
/** People are invited, and come; of these the first ones happen more often. */
export const ADMISSIONS = ['invite', 'invite', 'redeem', 'redeem', 'redeem', 'redeem', 'endInvite'] as const
export type Operation = (typeof OPERATIONS)[number] | (typeof EDITS)[number] | (typeof ADMISSIONS)[number]

export const EVILS = ['liar', 'garbler', 'forker', 'stranger', 'replayer', 'backdater', 'orphans', 'scribbler'] as const
export type Evil = (typeof EVILS)[number]

export const COPIES = ['restore-backup', 'copy-home', 'second-home'] as const
export type Copy = (typeof COPIES)[number]

const WRITE_FAULTS: readonly WriteFault[] = ['full', 'answer-lost', 'limbo', 'dies-before', 'dies-after']

/** What goes on in one run, and how strongly. A rate is per simulated minute; zero is never. */
export interface Weather {
  readonly nodes: number
  readonly links: 'mesh' | 'ring' | 'star'
  /** How long it goes on before everything heals. */
  readonly lastsMs: number
  readonly syncIntervalMs: number
  readonly roots: number
  readonly threshold: number
  readonly packages: number
  readonly operations: readonly Operation[]
  readonly operationsPerMinute: number
  readonly editsPerMinute: number
  readonly admissionsPerMinute: number
  /** One edits alone while an owner begins documents anew. */
  readonly apart: boolean
  /** What a document takes in the background, at most. */
  readonly workerMs: number
  /** Releases that one node makes at once while it hears nobody: more than a page. */
  readonly bulk: number
  readonly gossipLoss: number
  readonly gossipDouble: number
  readonly delayMs: number
  readonly jitterMs: number
  readonly cuts: number
  readonly streamResets: number
  readonly partitions: number
  readonly crashes: number
  /** The share of crashes that take the machine down and not only the process. */
  readonly powerCuts: number
  readonly writeFaults: number
  readonly writeFaultKinds: readonly WriteFault[]
  /** Facts that the gate has no time for. */
  readonly overRate: number
  readonly skewMs: number
  readonly evils: readonly Evil[]
  readonly copies: readonly Copy[]
  /** The share of new connections that are cut while their first session is under way. */
  readonly flaps: number
}

/** Each seed has some faults and lacks others: what only one of them brings out is not drowned by the rest. */
export function drawWeather(rng: Rng, nodes?: number): Weather {
  const often = (probability: number, low: number, high: number): number =>
    rng.chance(probability) ? rng.between(low, high) : 0
  const share = (probability: number, high: number): number =>
    rng.chance(probability) ? Math.round(rng.int(1_000) * high) / 1_000 : 0
  const some = <T>(list: readonly T[], probability: number): readonly T[] => list.filter(() => rng.chance(probability))
  const count = nodes ?? rng.between(3, 6)
  const roots = Math.min(count, rng.between(1, 3))
  const operations = some(OPERATIONS, 0.7)
  return {
    nodes: count,
    links: rng.pick(['mesh', 'mesh', 'ring', 'star'] as const) ?? 'mesh',
    lastsMs: rng.between(40_000, 120_000),
    syncIntervalMs: rng.pick([10_000, 20_000, 60_000]) ?? 60_000,
    roots,
    threshold: rng.chance(0.3) ? Math.min(2, roots) : 1,
    packages: rng.between(1, 5),
    operations: [...new Set<Operation>(['claim', 'release', ...operations])],
    operationsPerMinute: rng.between(15, 45),
    editsPerMinute: often(0.75, 5, 20),
    apart: rng.chance(0.5),
    workerMs: rng.pick([50, 500, 3_000]) ?? 500,
    bulk: rng.chance(0.06) ? rng.between(130, 180) : 0,
    gossipLoss: share(0.6, 1),
    gossipDouble: share(0.4, 0.5),
    delayMs: rng.between(1, 200),
    jitterMs: often(0.7, 1, 3_000),
    cuts: often(0.5, 1, 12),
    streamResets: often(0.4, 1, 12),
    partitions: often(0.4, 1, 4),
    crashes: often(0.5, 1, 6),
    powerCuts: rng.chance(0.7) ? 1 : 0.3,
    writeFaults: often(0.35, 1, 6),
    writeFaultKinds: WRITE_FAULTS.filter(() => rng.chance(0.6)),
    overRate: share(0.15, 0.3),
    skewMs: often(0.4, 1, 600_000),
    evils: rng.chance(0.6) ? some(EVILS, 0.3) : [],
    copies: rng.chance(0.35) ? some(COPIES, 0.5) : [],
    flaps: share(0.5, 0.8),
    // Drawn last: a seed from before people were invited has the weather that it had.
    admissionsPerMinute: often(0.5, 5, 20)
  }
}
