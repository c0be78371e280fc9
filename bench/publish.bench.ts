import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { startDaemon, type Daemon } from './daemon.ts'
import { informative, median, MIN_RUNS, type Figure } from './report.ts'
import type { Workbench } from './workbench.ts'

const ROOT = join(import.meta.dirname, '..')
/** Real packages, where the sample data lies beside the repository; the examples where it does not. */
const MARKETPLACE = join(ROOT, '..', 'shared', 'data', 'ggen-marketplace', 'packages')

/** How fast a folder of packages is read, stored and signed, one release after the other, each durable. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const isReal = existsSync(MARKETPLACE)
  const folder = isReal ? MARKETPLACE : join(ROOT, 'examples')
  const rates: number[] = []
  let count = 0
  for (let run = 0; run <= MIN_RUNS; run++) {
    const node: Daemon = await startDaemon(workbench)
    const started = performance.now()
    const { published } = await node.client.call('importFolder', { folder, registry: node.registry })
    const ms = performance.now() - started
    count = published.length
    if (run > 0) rates.push((count / ms) * 1000)
    await node.stop()
  }
  const input = `${isReal ? 'the sample marketplace' : 'examples'}: ${count} packages`
  yield informative({ bench: 'publish/marketplace', value: median(rates), unit: 'packages/s', input })
}
