import { cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { startDaemon } from './daemon.ts'
import type { Daemon } from './daemon.ts'
import { below, median, type Figure } from './report.ts'
import type { Workbench } from './workbench.ts'

const RUNS = 9
const PACKAGES = 76
const EXAMPLES = join(import.meta.dirname, '..', 'examples')
const run = promisify(execFile)

/** What an install costs when all is here already: the bytes are on this disk, or even in their place. */
export async function* localFigures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  const isWanted = ['warm', 'noop'].some(name => workbench.wants(`install/${name}`))
  if (!isWanted) return
  const daemon = await startDaemon(workbench)
  const names = await publishMany(workbench, daemon)
  const project = join(await workbench.tempDir(), 'project')
  await daemon.client.call('install', { references: names, project })
  if (workbench.wants('install/warm')) yield* warm(workbench, daemon, project)
  if (workbench.wants('install/noop')) yield await noop(workbench, daemon, project)
}

/** As many packages as the sample marketplace has, made of the examples, each with a name of its own. */
async function publishMany(workbench: Workbench, { client }: Daemon): Promise<readonly string[]> {
  const folder = join(await workbench.tempDir(), 'packages')
  const examples = (await readdir(EXAMPLES)).toSorted()
  const names: string[] = []
  for (let i = 0; i < PACKAGES; i++) {
    const example = examples[i % examples.length] ?? ''
    const own = join(folder, `p${i}`)
    await cp(join(EXAMPLES, example), own, { recursive: true })
    const name = `varied-${i}`
    // No dependencies: the packages are asked for by name, and every one of them is installed.
    await rm(join(own, 'pack.toml'), { force: true })
    await writeFile(join(own, 'package.toml'), `[package]\nname = "${name}"\nversion = "1.0.0"\nlicense = "MIT"\n`)
    // Nobody's files are those of another package, as in a marketplace.
    await writeFile(join(own, 'NOTES.md'), `${name}\n${'word '.repeat(200)}${i}\n`)
    names.push(name)
  }
  const { published } = await client.call('importFolder', { folder })
  if (published.length !== PACKAGES) throw new Error(`${published.length} of ${PACKAGES} were published`)
  return names
}

/** From the local store into an empty project, against `cp -r` of the same files. */
async function* warm(workbench: Workbench, { client }: Daemon, project: string): AsyncGenerator<Figure, void, void> {
  const folder = await workbench.tempDir()
  const times: number[] = []
  const copies: number[] = []
  for (let i = 0; i <= RUNS; i++) {
    const target = join(folder, `warm-${i}`)
    await mkdir(join(target, '.ggen'), { recursive: true })
    for (const file of ['project.toml', 'packs.lock'])
      await cp(join(project, '.ggen', file), join(target, '.ggen', file))
    const started = performance.now()
    const { installed } = await client.call('install', { references: [], project: target, frozen: true, offline: true })
    if (i > 0) times.push(performance.now() - started)
    if (installed.filter(({ action }) => action === 'added').length !== PACKAGES)
      throw new Error('not all was installed')
    // The disk is waited for before the next run, so that no run pays for another.
    await client.call('install', { references: [], project: target, sync: true })
    await rm(target, { recursive: true })
    const copied = performance.now()
    await run('cp', ['-r', join(project, '.ggen', 'packages'), join(folder, `copy-${i}`)])
    if (i > 0) copies.push(performance.now() - copied)
  }
  const input = await sizeOf(project)
  yield below({ bench: 'install/warm', value: median(times), unit: 'ms', reference: median(copies), input }, 2, 'ratio')
}

/** The whole command, run as a person runs it, on a project that is as it should be. */
async function noop(workbench: Workbench, { home }: Daemon, project: string): Promise<Figure> {
  const cli = await workbench.builtCli()
  const times: number[] = []
  for (let i = 0; i <= RUNS; i++) {
    const { code, stdout, stderr, ms } = await workbench.run([cli, '--json', 'install', '--dir', project], home)
    if (code !== 0) throw new Error(stderr)
    if (!(JSON.parse(stdout) as { upToDate: boolean }).upToDate) throw new Error('there was something to do')
    if (i > 0) times.push(ms)
  }
  return below({ bench: 'install/noop', value: median(times), unit: 'ms', input: await sizeOf(project) }, 300)
}

async function sizeOf(project: string): Promise<string> {
  const entries = await readdir(join(project, '.ggen', 'packages'), { recursive: true, withFileTypes: true })
  return `${PACKAGES} packages, ${entries.filter(entry => entry.isFile()).length} files`
}
