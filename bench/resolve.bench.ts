import { RegistryView } from '../node/services/registry-view.ts'
import { resolveTree } from '../node/services/resolve.ts'
import { homePaths } from '../storage/home.ts'
import { subject } from '../test/support/facts.ts'
import { nameAt } from './corpus.ts'
import type { Shape } from './corpus.ts'
import { filledHome, MANY, MOST, openGate } from './filled-home.ts'
import { below, informative, quantile, type Figure } from './report.ts'
import { solveFigures } from './solve-tree.ts'
import type { Workbench } from './workbench.ts'

const LOOKUPS = 10_000
const WARM_UP = 1_000

/** Looking up one release, and solving a tree. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const p50 = 'resolve/lookup-p50'
  const p99 = 'resolve/lookup-p99'
  const most = 'resolve/lookup-50k'
  if (workbench.wants(p50) || workbench.wants(p99)) {
    const times = await lookupTimes(workbench, MANY)
    if (workbench.wants(p50)) yield informative({ bench: p50, value: quantile(times, 0.5), unit: 'ms' })
    if (workbench.wants(p99)) yield below({ bench: p99, value: quantile(times, 0.99), unit: 'ms' }, 1)
  }
  if (workbench.wants(most)) {
    const times = await lookupTimes(workbench, MOST)
    const input = `p99 of ${LOOKUPS} in ${MOST.packages} packages, p50 ${quantile(times, 0.5).toFixed(3)} ms`
    yield below({ bench: most, value: quantile(times, 0.99), unit: 'ms', input }, 1)
  }
  if (workbench.wants('resolve/solve-200')) yield* solveFigures(workbench)
}

/** name@range -> release, local, as `install` resolves it: every name once, in an order that no cache helps. */
async function lookupTimes(workbench: Workbench, shape: Shape): Promise<readonly number[]> {
  const { home, registry } = await filledHome(workbench, shape)
  const { store, close } = await openGate(homePaths(home).store, registry)
  try {
    const view = new RegistryView(store)
    const times: number[] = []
    for (let i = -WARM_UP; i < LOOKUPS; i++) {
      // A stride without a common divisor visits no package twice.
      const name = subject(nameAt(((i + WARM_UP) * 7_919) % shape.packages))
      const started = performance.now()
      const { picks } = await resolveTree(view, registry, { name, range: '^1.0.0' })
      if (i >= 0) times.push(performance.now() - started)
      if (picks.length !== 1) throw new Error(`${name} was not found`)
    }
    return times
  } finally {
    await close()
  }
}
