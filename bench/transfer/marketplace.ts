import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { startDaemon, startNeighbour } from '../daemon.ts'
import type { Daemon } from '../daemon.ts'
import { tarOf, unpackTar } from '../plain-road.ts'
import { MIN_RUNS, below, median } from '../report.ts'
import type { Figure } from '../report.ts'
import type { Started, Workbench } from '../workbench.ts'

const BENCH = 'transfer/marketplace'
const PACKAGES = join(import.meta.dirname, '..', '..', '..', 'shared', 'data', 'ggen-marketplace', 'packages')
const EXAMPLES = join(import.meta.dirname, '..', '..', 'examples')
/** What both daemons have done once before anything is measured. */
const WARM_UP = 'release-notes'
/** What the sample has that can be published. */
const EXPECTED = 76
/** Downloads of the plain road at once: more did not make it faster. */
const DOWNLOADS = 8

/** All packages of the sample marketplace from one peer into an empty store, against HTTP and one tgz each. */
export async function* marketplaceFigures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  if (!workbench.wants(BENCH)) return
  if (!existsSync(PACKAGES)) {
    console.error(`${BENCH}: skipped, ../shared/data is not beside the checkout`)
    return
  }
  yield await marketplace(workbench)
}

async function marketplace(workbench: Workbench): Promise<Figure> {
  const publisher = await startDaemon(workbench)
  const names = await publish(workbench, publisher)
  const runs = workbench.isQuick ? 1 : MIN_RUNS
  const times: number[] = []
  const plain: number[] = []
  let road: PlainRoad | undefined
  // The first round warms up both roads; then they take turns, so that a slow minute of the machine is nobody's alone.
  for (let run = 0; run <= runs; run++) {
    const { ms, packages } = await install(workbench, publisher, names)
    road ??= await plainRoad(workbench, packages, names)
    const reference = await download(road, await workbench.tempDir())
    if (run > 0) times.push(ms)
    if (run > 0) plain.push(reference)
  }
  const input = `${names.length} packages, ${road?.files ?? 0} files, ${road?.bytes ?? 0} bytes of tgz`
  return below({ bench: BENCH, value: median(times), unit: 'ms', reference: median(plain), input }, 2, 'ratio')
}

async function publish(workbench: Workbench, { client, registry }: Daemon): Promise<readonly string[]> {
  const folder = await workbench.tempDir()
  await cp(join(EXAMPLES, WARM_UP), join(folder, WARM_UP), { recursive: true })
  await copyPublishable(workbench, folder)
  const { published, refused } = await client.call('importFolder', { folder, registry })
  if (published.length !== EXPECTED + 1) {
    const first = refused.map(one => JSON.stringify(one)).at(0)
    throw new Error(`${published.length - 1} of ${EXPECTED} were published; the first that was not: ${first}`)
  }
  return published.map(({ name }) => plainName(name)).filter(name => name !== WARM_UP)
}

/** `ggen/left-pad` as a person writes it. */
const plainName = (name: string): string => name.replace(/^ggen\//, '')

/**
 * Copies what a registry takes of the sample. Many of them need packages that nobody has published, and no lockfile can be made of
 * those: in the copies what the manifest said of that, and of everything but name and version, is a comment.
 */
async function copyPublishable(workbench: Workbench, target: string): Promise<void> {
  const sorter = await startDaemon(workbench)
  const { published } = await sorter.client.call('importFolder', { folder: PACKAGES })
  await sorter.stop()
  if (published.length === 0) throw new Error('nothing of the sample was published')
  for (const { folder, name, version } of published) {
    const own = join(target, basename(folder))
    await cp(join(PACKAGES, basename(folder)), own, { recursive: true })
    const path = join(own, 'package.toml')
    const comment = (await readFile(path, 'utf8')).replaceAll(/^/gm, '# ')
    const head = `[package]\nname = "${plainName(name)}"\nversion = "${version}"\nlicense = "MIT"\n`
    await chmod(path, 0o644)
    await writeFile(path, `${head}${comment}\n`)
  }
}

/** A daemon with an empty store each time; it has fetched something before, so that nothing is measured but this. */
async function install(
  workbench: Workbench,
  publisher: Daemon,
  names: readonly string[]
): Promise<{ readonly ms: number; readonly packages: string }> {
  const node = await startNeighbour(workbench, publisher)
  const folder = await workbench.tempDir()
  const call = async (references: readonly string[], project: string): Promise<number> => {
    const { installed } = await node.client.call('install', { references, project, noDeps: true })
    if (installed.some(({ from }) => from.length === 0)) throw new Error('a package was not fetched')
    return installed.length
  }
  await call([WARM_UP], join(folder, 'before'))
  const project = join(folder, 'project')
  const started = performance.now()
  const installed = await call(names, project)
  const ms = performance.now() - started
  if (installed !== names.length) throw new Error(`${installed} of ${names.length} were installed`)
  await node.stop()
  return { ms, packages: join(project, '.ggen', 'packages') }
}

interface PlainRoad {
  readonly server: Started
  readonly names: readonly string[]
  readonly files: number
  readonly bytes: number
}

/** The same files as an ordinary web server has them. */
async function plainRoad(workbench: Workbench, packages: string, names: readonly string[]): Promise<PlainRoad> {
  const folder = await workbench.tempDir()
  const paths: string[] = []
  let [files, bytes] = [0, 0]
  for (const [i, name] of names.entries()) {
    const tree = await tarOf(join(packages, name))
    const tgz = await promisify(gzip)(tree.tar)
    const path = join(folder, `${i}.tgz`)
    await writeFile(path, tgz)
    paths.push(path)
    files += tree.files
    bytes += tgz.length
  }
  const script = join(import.meta.dirname, '..', 'tar-server.ts')
  return { server: await workbench.start([script, ...paths], folder, /^http:/), names, files, bytes }
}

async function download({ server, names }: PlainRoad, target: string): Promise<number> {
  const queue = names.entries()
  const started = performance.now()
  await Promise.all(
    Array.from({ length: DOWNLOADS }, async () => {
      for (const [i, name] of queue) {
        const response = await fetch(`${server.line}${i}`)
        if (!response.ok) throw new Error(`the server answered ${response.status}`)
        const tar = await promisify(gunzip)(Buffer.from(await response.arrayBuffer()))
        const folder = join(target, name)
        await mkdir(folder, { recursive: true })
        await unpackTar(tar, folder)
      }
    })
  )
  return performance.now() - started
}
