import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import { expect, inject } from 'vitest'
import { run } from './run.ts'
import { REPOSITORY } from './shared.ts'
import { tempDir } from './temp-dir.ts'

const modules = join(REPOSITORY, 'node_modules')

/** The published package, built, packed and installed. */
export interface InstalledPackage {
  readonly built: string
  /** An empty project that the packed package was installed to. */
  readonly project: string
  readonly env: Readonly<Record<string, string>>
}

/** Packs the package that was built, and installs the tarball offline and without scripts into an empty project. */
export async function installPackage(): Promise<InstalledPackage> {
  const root = await tempDir('package')
  const built = inject('built')
  const [tarballs, project] = [join(root, 'tarballs'), join(root, 'project')]
  const env = {
    PATH: [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter),
    HOME: root,
    npm_config_cache: join(root, 'cache'),
    npm_config_update_notifier: 'false'
  }
  await mkdir(tarballs)
  await mkdir(project)
  const folders = [built, ...(await closureOf('classic-level')).map(name => join(modules, name))]
  const pack = ['pack', '--silent', '--ignore-scripts', '--pack-destination', tarballs, ...folders]
  expect(await run('npm', pack, { cwd: root, env })).toMatchObject({ code: 0 })
  await installOffline({ tarballs, project, env })
  return { built, project, env }
}

/** A package and all it depends on, as they lie in node_modules. */
async function closureOf(name: string): Promise<readonly string[]> {
  const names = new Set([name])
  for (const next of names) {
    const manifest = JSON.parse(await readFile(join(modules, next, 'package.json'), 'utf8')) as {
      dependencies?: Record<string, string>
    }
    for (const dependency of Object.keys(manifest.dependencies ?? {})) names.add(dependency)
  }
  return [...names]
}

/** Every package is a file, so an install that asks a registry for anything fails. */
async function installOffline({
  tarballs,
  project,
  env
}: {
  tarballs: string
  project: string
  env: InstalledPackage['env']
}): Promise<void> {
  const files = (await readdir(tarballs)).map(name => `file:${join(tarballs, name)}`)
  await writeFile(join(project, 'package.json'), '{ "name": "somebody", "version": "1.0.0", "private": true }\n')
  const install = ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', ...files]
  expect(await run('npm', install, { cwd: project, env })).toMatchObject({ code: 0 })
}
