import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startDaemon, startNeighbour } from './daemon.ts'
import { holdAll, startFleet } from './fleet/fleet.ts'
import { below, quantile, type Figure } from './report.ts'
import type { Workbench } from './workbench.ts'

const PUBLISHES = 40
const PATIENCE_MS = 30_000
const PACKAGE = join(import.meta.dirname, '..', 'examples', 'core-vocabulary')

/** How soon others know of a publish. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  if (workbench.wants('gossip/latency')) yield await latency(workbench)
  if (workbench.wants('gossip/20-nodes')) yield await fleetLatency(workbench)
}

/** From the call that publishes a version on one node to its being counted on another one. */
async function latency(workbench: Workbench): Promise<Figure> {
  const first = await startDaemon(workbench)
  const second = await startNeighbour(workbench, first)
  const { registry } = first
  const folder = join(await workbench.tempDir(), 'core-vocabulary')
  await cp(PACKAGE, folder, { recursive: true })
  const manifest = await readFile(join(folder, 'package.toml'), 'utf8')
  const times: number[] = []
  // The genesis is there; the first publish brings a claim and a release and warms up.
  let facts = 2
  for (let i = 0; i <= PUBLISHES; i++) {
    await writeFile(join(folder, 'package.toml'), manifest.replace(/^version = .*$/m, `version = "1.0.${i}"`))
    facts += 1
    const started = performance.now()
    const seen = second.client.call('waitFor', { registry, facts, peers: 0, kept: false, timeoutMs: 30_000 })
    await first.client.call('publish', { folder, registry })
    await seen
    if (i > 0) times.push(performance.now() - started)
  }
  return below({ bench: 'gossip/latency', value: quantile(times, 0.95), unit: 'ms', input: 'p95, two nodes' }, 1_000)
}

/** From the order to publish on one node to its being counted on all twenty; every node publishes in its turn. */
async function fleetLatency(workbench: Workbench): Promise<Figure> {
  const { ships, registry, facts } = await startFleet(workbench)
  const times: number[] = []
  // The first round warms up and is not counted.
  for (let i = -ships.length; i < PUBLISHES; i++) {
    const ship = ships[(i + ships.length) % ships.length]
    if (ship === undefined) throw new Error('a fleet has nodes')
    const wanted = facts + ships.length + i + 1
    const started = performance.now()
    await ship.order('publish', { registry, name: ship.owns })
    const held = await holdAll(ships, { registry, facts: wanted, timeoutMs: PATIENCE_MS })
    if (held.some(count => count < wanted)) throw new Error(`a publish of node ${ship.index} was not seen by all nodes`)
    if (i >= 0) times.push(performance.now() - started)
  }
  const input = `p95 of ${PUBLISHES} publishes, the last of ${ships.length} nodes`
  return below({ bench: 'gossip/20-nodes', value: quantile(times, 0.95), unit: 'ms', input }, 1_000)
}
