import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { ARCHIVE_END, archiveHeader, archivePadding } from '../protocol/archive.ts'
import { startDaemon, startNeighbour } from './daemon.ts'
import { localFigures } from './install-local.ts'
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
  const response = await fetch(url)
  const tar = Buffer.from(await response.arrayBuffer())
  const made = new Set<string>()
  for (let offset = 0; offset + 1024 < tar.length;) {
    const name = tar.toString('utf8', offset, offset + 100).replace(/\0.*$/s, '')
    const size = Number.parseInt(tar.toString('latin1', offset + 124, offset + 135), 8)
    const path = join(folder, name)
    if (!made.has(dirname(path))) await mkdir(dirname(path), { recursive: true })
    made.add(dirname(path))
    await writeFile(path, tar.subarray(offset + 512, offset + 512 + size))
    offset += 512 + Math.ceil(size / 512) * 512
  }
}

async function tarOf(folder: string, except: string): Promise<{ readonly tar: Buffer; readonly files: number }> {
  const parts: Uint8Array[] = []
  let files = 0
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const bytes = await readFile(path)
    const name = relative(folder, path).split(sep).join('/')
    if (name.startsWith(`${except}/`)) continue
    parts.push(archiveHeader(name, bytes.length), bytes, archivePadding(bytes.length))
    files += 1
  }
  return { tar: Buffer.concat([...parts, ARCHIVE_END]), files }
}
