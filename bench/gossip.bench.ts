import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startDaemon, startNeighbour } from './daemon.ts'
import { below, quantile, type Figure } from './report.ts'
import type { Workbench } from './workbench.ts'

const PUBLISHES = 40
const PACKAGE = join(import.meta.dirname, '..', 'examples', 'core-vocabulary')

/** From the call that publishes a version on one node to its being counted on another one. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
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
  yield below({ bench: 'gossip/latency', value: quantile(times, 0.95), unit: 'ms', input: 'p95, two nodes' }, 1_000)
}
