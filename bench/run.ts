import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Figure } from './report.ts'
import { openWorkbench, type Workbench } from './workbench.ts'

/** What a `*.bench.ts` file exports: its figures, measured one after the other. */
export interface BenchGroup {
  figures(workbench: Workbench): AsyncGenerator<Figure, void, void>
}

const SUFFIX = '.bench.ts'
const QUICK = '--quick'

/**
 * `npm run bench [-- NAME…]`: runs the groups (one `NAME.bench.ts` each), or those that the names select (`startup`, or
 * one figure: `startup/help`), and prints one line of JSON per figure. Fails when a group fails, not when a target is missed.
 * With `--quick` groups that run many nodes for minutes run few of them for seconds: it shows that they run, and no more.
 */
async function main(args: readonly string[]): Promise<number> {
  const wanted = args.filter(arg => arg !== QUICK)
  const files = (await readdir(import.meta.dirname)).filter(name => name.endsWith(SUFFIX)).sort()
  const groups = files.map(name => name.slice(0, -SUFFIX.length))
  const unknown = wanted.filter(name => !groups.includes(name.split('/')[0] ?? ''))
  if (unknown.length > 0) {
    console.error(`no such group: ${unknown.join(', ')}; there are: ${groups.join(', ')}`)
    return 2
  }
  let failed = 0
  const workbench = await openWorkbench(wanted, { isQuick: args.includes(QUICK) })
  try {
    for (const name of groups) {
      if (wanted.length > 0 && !wanted.some(one => one.split('/')[0] === name)) continue
      try {
        const group = (await import(pathToFileURL(join(import.meta.dirname, `${name}${SUFFIX}`)).href)) as BenchGroup
        for await (const figure of group.figures(workbench)) console.log(JSON.stringify(figure))
      } catch (error) {
        failed++
        console.error(`${name}:`, error)
      }
      await workbench.clear()
    }
  } finally {
    await workbench.close()
  }
  return failed === 0 ? 0 : 1
}

process.exitCode = await main(process.argv.slice(2))
