import { RegistryView } from '../node/services/registry-view.ts'
import { resolveTree } from '../node/services/resolve.ts'
import { homePaths } from '../storage/home.ts'
import { subject } from '../test/support/facts.ts'
import { filledHome, MANY, nameAt, openGate } from './corpus.ts'
import { below, informative, quantile, type Figure } from './report.ts'
import { solveFigures } from './solve-tree.ts'
import type { Workbench } from './workbench.ts'

const LOOKUPS = 10_000
const WARM_UP = 1_000

/** Looking up one release, and solving a tree. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  if (workbench.wants('resolve/lookup-p50') || workbench.wants('resolve/lookup-p99')) yield* lookupFigures(workbench)
  if (workbench.wants('resolve/solve-200')) yield* solveFigures(workbench)
}

/** name@range -> release, local, as `install` resolves it: every name once, in an order that no cache helps. */
async function* lookupFigures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const { home, registry } = await filledHome(workbench)
  const { store, close } = await openGate(homePaths(home).store, registry)
  try {
    const view = new RegistryView(store)
    const times: number[] = []
    for (let i = -WARM_UP; i < LOOKUPS; i++) {
      // A stride without a common divisor visits every package once.
      const name = subject(nameAt(((i + WARM_UP) * 7_919) % MANY))
      const started = performance.now()
      const { picks } = await resolveTree(view, registry, { name, range: '^1.0.0' })
      if (i >= 0) times.push(performance.now() - started)
      if (picks.length !== 1) throw new Error(`${name} was not found`)
    }
    const p50 = { bench: 'resolve/lookup-p50', value: quantile(times, 0.5), unit: 'ms' }
    const p99 = { bench: 'resolve/lookup-p99', value: quantile(times, 0.99), unit: 'ms' }
    if (workbench.wants(p50.bench)) yield informative(p50)
    if (workbench.wants(p99.bench)) yield below(p99, 1)
  } finally {
    await close()
  }
}
