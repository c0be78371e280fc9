import type { Figure } from './report.ts'
import { churnFigures } from './swarm/churn.ts'
import { expelFigures } from './swarm/expel.ts'
import { hostsFigures } from './swarm/hosts.ts'
import { joinFigures } from './swarm/join.ts'
import type { Workbench } from './workbench.ts'

/** Private swarms: how soon somebody is in, how soon somebody is out, what each costs, and what they stand. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  for (const part of [joinFigures, expelFigures, hostsFigures, churnFigures]) {
    yield* part(workbench)
    // Nobody is measured beside the nodes of the figure before.
    await workbench.clear()
  }
}
