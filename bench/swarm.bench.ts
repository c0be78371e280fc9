import type { Figure } from './report.ts'
import { churnFigures } from './swarm/churn.ts'
import { expelFigures } from './swarm/expel.ts'
import { hostsFigures } from './swarm/hosts.ts'
import { joinFigures } from './swarm/join.ts'
import type { Workbench } from './workbench.ts'

/** Private swarms: how soon somebody is in, how soon somebody is out, what each costs, and what they stand. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  yield* joinFigures(workbench)
  yield* expelFigures(workbench)
  yield* hostsFigures(workbench)
  yield* churnFigures(workbench)
}
