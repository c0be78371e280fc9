import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startDaemon, startNeighbour } from './daemon.ts'
import { localFigures } from './install-local.ts'
import { tarOf, unpackTar } from './plain-road.ts'
import { below, median, medianMs, type Figure } from './report.ts'
import type { Workbench } from './workbench.ts'

const RUNS = 9
const EXAMPLES = join(import.meta.dirname, '..', 'examples')
/** The example that needs most others. */
const DEEPEST = 'billing-service'
/** Installed first, so that nothing is measured but the install: it shares no package with the other. */
const UNRELATED = 'release-notes'

/** What an install costs against downloading and unpacking the same bytes by plain HTTP, without any check. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  if (workbench.wants('install/examples')) yield await examples(workbench)
  yield* localFigures(workbench)
}

async function examples(workbench: Workbench): Promise<Figure> {
  const first = await startDaemon(workbench)
  await first.client.call('importFolder', { folder: EXAMPLES, registry: first.registry })
  const folder = await workbench.tempDir()
  const times: number[] = []
  let packages = 0
  let last = ''
  for (let run = 0; run <= RUNS; run++) {
    // A new node each time: the store is cold, and bitswap sends no block to one peer twice within five seconds.
    const node = await startNeighbour(workbench, first)
    const install = async (reference: string): Promise<number> => {
      last = join(folder, `installed-${run}`)
      const { installed } = await node.client.call('install', { references: [reference], project: last, force: false })
      if (installed.some(({ from }) => from.length === 0)) throw new Error('a package was not fetched')
      return installed.length
    }
    await install(UNRELATED)
    const started = performance.now()
    packages = await install(DEEPEST)
    if (run > 0) times.push(performance.now() - started)
    await node.stop()
  }
  const { tar, files } = await tarOf(join(last, '.ggen', 'packages'), UNRELATED)
  const file = join(folder, 'tree.tar')
  await writeFile(file, tar)
  const server = await workbench.start([join(import.meta.dirname, 'tar-server.ts'), file], folder, /^http:/)
  let run = 0
  const reference = await medianMs(RUNS, () => download(server.line, join(folder, `plain-${run++}`)))
  const input = `${DEEPEST}: ${packages} packages, ${files} files, ${tar.length} bytes of tar`
  return below({ bench: 'install/examples', value: median(times), unit: 'ms', reference, input }, 2, 'ratio')
}

async function download(url: string, folder: string): Promise<void> {
  const response = await fetch(`${url}0`)
  await unpackTar(Buffer.from(await response.arrayBuffer()), folder)
}
