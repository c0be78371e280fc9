import { setTimeout as pause } from 'node:timers/promises'
import type { FactId } from '../protocol/cid.ts'
import { bootstrapFigures } from './bootstrap.ts'
import { holdAll, startFleet } from './fleet/fleet.ts'
import type { Fleet, Ship } from './fleet/fleet.ts'
import type { Look } from './fleet/orders.ts'
import { oneOf100kFigures } from './one-of-100k.ts'
import { above, below, type Figure } from './report.ts'
import type { Workbench } from './workbench.ts'

const SPLIT_MS = 20_000
const PUBLISHES_PER_NODE = 20

/** Longer than anybody should wait: what is missing then counts as lost. */
const PATIENCE_MS = 60_000

const HEAL = ['sync/heal', 'sync/heal-ms', 'sync/heal-lost', 'sync/heal-digests', 'sync/heal-bytes']

/** How nodes that were apart, or are new, come to hold the same. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  if (HEAL.some(name => workbench.wants(name))) yield* healFigures(workbench)
  yield* bootstrapFigures(workbench)
  yield* oneOf100kFigures(workbench)
}

/** Twenty nodes are split in two halves, publish on both sides, and may talk again. */
async function* healFigures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const fleet = await startFleet(workbench)
  const { ships, registry } = fleet
  const splitAt = performance.now()
  await Promise.all(ships.map(({ side, order }) => order('forbid', { peers: peersOf(ships, 1 - side) })))
  const published = await publishApart(fleet, splitAt)
  await pause(Math.max(0, splitAt + SPLIT_MS - performance.now()))
  const difference = sum(await bytesLacking(fleet, published))
  const before = await lookAll(fleet)
  const healedAt = performance.now()
  await Promise.all(ships.map(({ order }) => order('forbid', { peers: [] })))
  const facts = fleet.facts + published.size
  await holdAll(ships, { registry, facts, timeoutMs: PATIENCE_MS })
  const value = performance.now() - healedAt
  const after = await lookAll(fleet)
  const bytes = sum(after.map(({ bytesIn }, i) => bytesIn - (before[i]?.bytesIn ?? 0)))
  const lacking = await Promise.all(
    ships.map(({ order }) => order('lacking', { registry, ids: [...published.keys()] }))
  )
  const input = `${ships.length} nodes, ${published.size} publishes, ${(SPLIT_MS / 1000).toFixed()} s apart`
  yield below({ bench: 'sync/heal-ms', value, unit: 'ms', input }, 10_000)
  yield below({ bench: 'sync/heal-lost', value: lacking.flat().length, unit: 'facts' }, 0)
  yield above({ bench: 'sync/heal-digests', value: equalDigests(after), unit: 'nodes' }, ships.length)
  yield below({ bench: 'sync/heal-bytes', value: bytes, unit: 'bytes', reference: difference }, 3, 'ratio')
}

function peersOf(ships: readonly Ship[], side: number): readonly string[] {
  return ships.filter(ship => ship.side === side).map(({ peer }) => peer)
}

/** Every node publishes in turn, spread over the time apart; ids and sizes of what was published. */
async function publishApart({ ships, registry }: Fleet, splitAt: number): Promise<ReadonlyMap<FactId, number>> {
  const published = new Map<FactId, number>()
  for (let round = 0; round < PUBLISHES_PER_NODE; round++) {
    await pause(Math.max(0, splitAt + (SPLIT_MS / (PUBLISHES_PER_NODE + 1)) * round - performance.now()))
    const made = await Promise.all(ships.map(({ owns: name, order }) => order('publish', { registry, name })))
    for (const { id, bytes } of made) published.set(id, bytes)
  }
  return published
}

/** For each node the bytes of the facts that it lacks. */
async function bytesLacking(
  { ships, registry }: Fleet,
  published: ReadonlyMap<FactId, number>
): Promise<readonly number[]> {
  const ids = [...published.keys()]
  const lacking = await Promise.all(ships.map(({ order }) => order('lacking', { registry, ids })))
  return lacking.map(some => sum(some.map(id => published.get(id) ?? 0)))
}

function lookAll({ ships, registry }: Fleet): Promise<readonly Look[]> {
  return Promise.all(ships.map(({ order }) => order('look', { registry })))
}

/** How many nodes agree with most. */
function equalDigests(looks: readonly Look[]): number {
  const counts = new Map<string, number>()
  for (const { digest } of looks) counts.set(digest, (counts.get(digest) ?? 0) + 1)
  return Math.max(...counts.values())
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
