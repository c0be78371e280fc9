import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import { startDaemon, startNeighbour } from '../daemon.ts'
import type { Daemon } from '../daemon.ts'
import { tarOf, unpackTar } from '../plain-road.ts'
import { MIN_RUNS, below, informative, median } from '../report.ts'
import type { Figure } from '../report.ts'
import type { Started, Workbench } from '../workbench.ts'

const BENCH = 'transfer/marketplace'
const FIRST = `${BENCH}-first`
const PACKAGES = join(import.meta.dirname, '..', '..', '..', 'shared', 'data', 'ggen-marketplace', 'packages')
const EXAMPLES = join(import.meta.dirname, '..', '..', 'examples')
/** What every daemon has installed once before anything is measured. */
const WARM_UP = 'release-notes'
/** What the sample has that can be published. */
const EXPECTED = 76
/** What tells the names of one set from those of another: by more than a slip of the finger, which would be looked into. */
const SETS = ['amber', 'birch', 'cedar', 'delta', 'flint', 'grove']
/** Downloads of the plain road at once: more did not make it faster. */
const DOWNLOADS = 8

/**
 * All packages of the sample marketplace from one peer, against HTTP and one tgz each:
 *
 *   transfer/marketplace        one daemon installs another set of them in each round, one client downloads in each round
 *   transfer/marketplace-first  a daemon that has just started, with an empty store, and has installed one package before
 *
 * Sets are the same packages under other names, with other bytes in every file, so that nothing of a set is in any store
 * before its turn. Round 0 warms up both sides and is not counted.
 */
export async function* marketplaceFigures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  if (!workbench.wants(BENCH) && !workbench.wants(FIRST)) return
  if (!existsSync(PACKAGES)) {
    console.error(`${BENCH}: skipped, ../shared/data is not beside the checkout`)
    return
  }
  yield* marketplace(workbench)
}

async function* marketplace(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const publisher = await startDaemon(workbench)
  const runs = workbench.isQuick ? 1 : MIN_RUNS
  const sets = await publish(workbench, publisher, SETS.slice(0, runs + 1))
  const warm = await warmNode(workbench, publisher)
  const times: number[] = []
  const firsts: number[] = []
  const plain: number[] = []
  let road: PlainRoad | undefined
  // The roads take turns, so that a slow minute of the machine is nobody's alone.
  for (const [run, names] of sets.entries()) {
    const fresh = await warmNode(workbench, publisher)
    const first = await install(workbench, fresh, names)
    await fresh.stop()
    const { ms, packages, bytes } = await install(workbench, warm, names)
    if (bytes < 0.9 * first.bytes) throw new Error(`${bytes} bytes came, and ${first.bytes} into an empty store`)
    road ??= await plainRoad(workbench, packages, names)
    const reference = await download(road, await workbench.tempDir())
    if (run === 0) continue
    times.push(ms)
    firsts.push(first.ms)
    plain.push(reference)
  }
  const input = `${EXPECTED} packages, ${road?.files ?? 0} files, ${road?.bytes ?? 0} bytes of tgz`
  const reference = median(plain)
  yield below({ bench: BENCH, value: median(times), unit: 'ms', reference, input }, 2, 'ratio')
  yield informative({ bench: FIRST, value: median(firsts), unit: 'ms', reference, input })
}

/** Publishes the sample several times. Returns the names of each set. */
async function publish(
  workbench: Workbench,
  { client, registry }: Daemon,
  called: readonly string[]
): Promise<readonly (readonly string[])[]> {
  const folder = await workbench.tempDir()
  await cp(join(EXAMPLES, WARM_UP), join(folder, WARM_UP), { recursive: true })
  await client.call('importFolder', { folder, registry })
  const sets: (readonly string[])[] = []
  const sorted = await publishable(workbench)
  for (const set of called) {
    const copies = await workbench.tempDir()
    for (const one of sorted) await copyPublishable(one, copies, set)
    const { published, refused } = await client.call('importFolder', { folder: copies, registry })
    if (published.length !== EXPECTED) {
      const first = refused.map(one => JSON.stringify(one)).at(0)
      throw new Error(`${published.length} of ${EXPECTED} were published; the first that was not: ${first}`)
    }
    sets.push(published.map(({ name }) => plainName(name)))
  }
  return sets
}

/** `ggen/left-pad` as a person writes it. */
const plainName = (name: string): string => name.replace(/^ggen\//, '')

interface Publishable {
  readonly folder: string
  readonly name: string
  readonly version: string
}

/** What a registry takes of the sample. */
async function publishable(workbench: Workbench): Promise<readonly Publishable[]> {
  const sorter = await startDaemon(workbench)
  const { published } = await sorter.client.call('importFolder', { folder: PACKAGES })
  await sorter.stop()
  if (published.length === 0) throw new Error('nothing of the sample was published')
  return published.map(({ folder, name, version }) => ({ folder: basename(folder), name: plainName(name), version }))
}

/**
 * Copies a package for one of the sets. Many need packages that nobody has published, and no lockfile can be made of
 * those: in the copies what the manifest said of that, and of everything but name and version, is a comment.
 */
async function copyPublishable({ folder, name, version }: Publishable, target: string, set: string): Promise<void> {
  const own = join(target, folder)
  await cp(join(PACKAGES, folder), own, { recursive: true })
  for (const entry of await readdir(own, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const isManifest = path === join(own, 'package.toml')
    const bytes = await readFile(path)
    const comment = bytes.toString('utf8').replaceAll(/^/gm, '# ')
    const head = `[package]\nname = "${name}-${set}"\nversion = "${version}"\nlicense = "MIT"\n`
    await chmod(path, 0o644)
    await writeFile(path, isManifest ? `${head}${comment}\n` : Buffer.concat([bytes, Buffer.from(`\n${set}`)]))
  }
}

/** A daemon with an empty store that has fetched something before. */
async function warmNode(workbench: Workbench, publisher: Daemon): Promise<Daemon> {
  const node = await startNeighbour(workbench, publisher)
  await install(workbench, node, [WARM_UP])
  return node
}

interface Installed {
  readonly ms: number
  readonly packages: string
  readonly bytes: number
}

/** Installs into a new project. Before it returns the disk has what the install left to be written, which is not measured. */
async function install(workbench: Workbench, { client }: Daemon, names: readonly string[]): Promise<Installed> {
  const project = join(await workbench.tempDir(), 'project')
  const started = performance.now()
  const { installed } = await client.call('install', { references: names, project, noDeps: true })
  const ms = performance.now() - started
  if (installed.length !== names.length) throw new Error(`${installed.length} of ${names.length} were installed`)
  if (installed.some(({ from }) => from.length === 0)) throw new Error('a package was not fetched')
  await client.call('install', { references: [], project, noDeps: true, sync: true })
  const bytes = installed.reduce((sum, one) => sum + one.bytes, 0)
  return { ms, packages: join(project, '.ggen', 'packages'), bytes }
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
