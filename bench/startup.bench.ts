import { LISTENING, START } from './daemon.ts'
import { filledHome, MANY, MOST } from './filled-home.ts'
import { below, median, medianMs, MIN_RUNS, type Figure } from './report.ts'
import type { Workbench } from './workbench.ts'

const HELP_RUNS = 11

/** How long a person waits before the program does anything. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  if (workbench.wants('startup/help')) yield await help(workbench)
  if (workbench.wants('startup/empty')) {
    const value = await startMs(workbench, () => workbench.tempDir())
    yield below({ bench: 'startup/empty', value, unit: 'ms' }, 1_500)
  }
  for (const [bench, shape] of [
    ['startup/10k', MANY],
    ['startup/50k', MOST]
  ] as const) {
    if (!workbench.wants(bench)) continue
    const { home, facts } = await filledHome(workbench, shape)
    const value = await startMs(workbench, async () => home)
    yield below({ bench, value, unit: 'ms', input: `${facts} facts` }, 1_500)
  }
}

/** `ggen-node --help` of the built package; the reference is Node.js itself doing nothing. */
async function help(workbench: Workbench): Promise<Figure> {
  const cli = await workbench.builtCli()
  const home = await workbench.tempDir()
  const reference = await medianMs(HELP_RUNS, () => workbench.run(['--eval', '0'], home))
  const value = await medianMs(HELP_RUNS, async () => {
    const { code, stderr } = await workbench.run([cli, '--help'], home)
    if (code !== 0) throw new Error(`--help failed: ${stderr}`)
  })
  return below({ bench: 'startup/help', value, unit: 'ms', reference }, 150)
}

/** From the command line to the line that says where the node listens. The first start warms up and is not counted. */
async function startMs(workbench: Workbench, nextHome: () => Promise<string>): Promise<number> {
  const cli = await workbench.builtCli()
  const times: number[] = []
  for (let run = 0; run <= MIN_RUNS; run++) {
    const started = await workbench.start([cli, ...START], await nextHome(), LISTENING)
    if (run > 0) times.push(started.readyMs)
    await started.stop()
  }
  return median(times)
}
