import { below, medianMs, type Figure } from './report.ts'
import type { Workbench } from './workbench.ts'

const HELP_RUNS = 11

/** How long a person waits before the program does anything. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  if (workbench.wants('startup/help')) yield await help(workbench)
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
