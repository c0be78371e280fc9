import { setTimeout as pause } from 'node:timers/promises'
import { LISTENING, START } from './daemon.ts'
import { filledHome, MANY, MOST } from './filled-home.ts'
import { below, informative, median, MIN_RUNS, type Figure } from './report.ts'
import type { Workbench } from './workbench.ts'

const SAMPLES = 20
const SAMPLE_EVERY_MS = 100

/** What a node costs that has nothing to do. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  if (workbench.wants('memory/idle')) {
    const value = await residentMb(workbench, () => workbench.tempDir())
    yield below({ bench: 'memory/idle', value, unit: 'MB' }, 200)
  }
  if (workbench.wants('memory/10k')) {
    const { home, facts } = await filledHome(workbench, MANY)
    const value = await residentMb(workbench, async () => home)
    yield informative({ bench: 'memory/10k', value, unit: 'MB', input: `${facts} facts` })
  }
  if (workbench.wants('memory/50k')) {
    const { home, facts } = await filledHome(workbench, MOST)
    const value = await residentMb(workbench, async () => home)
    yield below({ bench: 'memory/50k', value, unit: 'MB', input: `${facts} facts` }, 400)
  }
}

/** The highest resident memory in the first two seconds of listening, when the start has left most garbage. */
async function residentMb(workbench: Workbench, nextHome: () => Promise<string>): Promise<number> {
  const cli = await workbench.builtCli()
  const highest: number[] = []
  for (let run = 0; run < MIN_RUNS; run++) {
    const node = await workbench.start([cli, ...START], await nextHome(), LISTENING)
    let most = 0
    for (let sample = 0; sample < SAMPLES; sample++) {
      most = Math.max(most, await node.residentMb())
      await pause(SAMPLE_EVERY_MS)
    }
    highest.push(most)
    await node.stop()
  }
  return median(highest)
}
