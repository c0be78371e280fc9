import { Precedence } from '../node/services/precedence.ts'
import type { Followed } from '../node/services/precedence.ts'
import { RegistryView } from '../node/services/registry-view.ts'
import { lookingOnce, resolveTree } from '../node/services/resolve.ts'
import type { RegistryId } from '../protocol/cid.ts'
import { homePaths } from '../storage/home.ts'
import { FactWriter, person, subject } from '../test/support/facts.ts'
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
  const several = 'resolve/precedence-50k'
  if (workbench.wants(several)) {
    const times = await lookupTimes(workbench, MOST, { isAmongOthers: true })
    const input = `p99 of ${LOOKUPS} in ${MOST.packages} packages, beside ${OTHERS} other registries, p50 ${quantile(times, 0.5).toFixed(3)} ms`
    yield below({ bench: several, value: quantile(times, 0.99), unit: 'ms', input }, 1)
  }
  if (workbench.wants('resolve/solve-200')) yield* solveFigures(workbench)
}

/** Private registries that are looked at first and hold none of the names. */
const OTHERS = 3

function amongOthers(registry: RegistryId, view: RegistryView): Precedence {
  const others = Array.from({ length: OTHERS }, (_, i) => {
    const { registry: id } = new FactWriter(person(`other ${i}`))
    return { id, alias: `other-${i}`, isDefault: false }
  })
  const bench: Followed = { id: registry, alias: 'bench', isDefault: true }
  return new Precedence({
    registries: { all: [...others, bench], find: () => bench },
    find: view.find.bind(view),
    isTraced: async () => false,
    near: async () => [],
    isPrivate: ({ isDefault }) => !isDefault,
    isRead: () => true,
    isFresh: () => true,
    heardAt: () => undefined
  })
}

/** name@range -> release, local, as `install` resolves it: every name once, in an order that no cache helps. */
async function lookupTimes(
  workbench: Workbench,
  shape: Shape,
  { isAmongOthers = false } = {}
): Promise<readonly number[]> {
  const { home, registry } = await filledHome(workbench, shape)
  const { store, close } = await openGate(homePaths(home).store, registry)
  try {
    const view = new RegistryView(store)
    const precedence = isAmongOthers ? amongOthers(registry, view) : undefined
    const times: number[] = []
    for (let i = -WARM_UP; i < LOOKUPS; i++) {
      // A stride without a common divisor visits no package twice.
      const name = subject(nameAt(((i + WARM_UP) * 7_919) % shape.packages))
      const started = performance.now()
      const find = lookingOnce((of, which) => view.find(of, which))
      const from = precedence === undefined ? registry : (await precedence.over(find).find(name)).id
      const { picks } = await resolveTree({ find }, from, { name, range: '^1.0.0' })
      if (i >= 0) times.push(performance.now() - started)
      if (picks.length !== 1) throw new Error(`${name} was not found`)
    }
    return times
  } finally {
    await close()
  }
}
