import { readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createNode } from '../../node/index.ts'
import type { EmbeddedNode } from '../../node/index.ts'
import type { ApiMethods } from '../../node/services/api.ts'
import type { InstallResult } from '../../node/services/install-result.ts'
import type { Published } from '../../node/services/publish.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { packageFolder } from './package-folder.ts'
import type { PackageSpec } from './package-folder.ts'
import { tempDir } from './temp-dir.ts'

type InstallOptions = Omit<ApiMethods['install']['params'], 'project' | 'references'>

/** A node in this process, without a network, with two registries: what it is used for happens in project folders. */
export interface ProjectNode {
  readonly node: EmbeddedNode
  /** Into `acme`, the default registry, or into `other`. */
  publish(spec: PackageSpec, registry?: 'acme' | 'other'): Promise<Published>
  install(project: string, references?: readonly string[], options?: InstallOptions): Promise<InstallResult>
  update(project: string, names?: readonly string[]): Promise<InstallResult>
  remove(project: string, names: readonly string[]): Promise<InstallResult>
}

/** Starts one, with base 1.0.0, 1.1.0 and 2.0.0, lib that needs base ^1.0.0, app that needs lib, and single. */
export async function projectNode(): Promise<ProjectNode> {
  const node = await createNode({ home: await tempDir('home'), network: false })
  await node.registries.create('acme')
  await node.registries.create('other', { alias: 'other' })
  const publish: ProjectNode['publish'] = async (spec, registry = 'acme') =>
    node.publish(await packageFolder(spec), { registry })
  await publish({ name: 'base', files: { 'src/one.txt': 'one\n' } })
  await publish({ name: 'base', version: '1.1.0', files: { 'src/one.txt': 'one, better\n' } })
  await publish({ name: 'base', version: '2.0.0' })
  await publish({ name: 'lib', dependencies: { base: '^1.0.0' } })
  await publish({ name: 'app', dependencies: { lib: '^1.0.0' } })
  await publish({ name: 'single' })
  // With `sync`, so that nothing in a project changes any more once there is an answer.
  return {
    node,
    publish,
    install: (project, references = [], options = {}) =>
      node.call('install', { project, references, sync: true, ...options }),
    update: (project, names = []) => node.call('update', { project, names, sync: true }),
    remove: (project, names) => node.call('remove', { project, names, sync: true })
  }
}

/** A file of a project. */
export const textIn = (project: string, path: string): Promise<string> => readFile(join(project, path), 'utf8')

/** A lockfile as JSON. */
export type LockJson = { packs: Record<string, Record<string, unknown>> } & Record<string, unknown>

/** The lockfile of a project. */
export async function lockOf(project: string): Promise<LockJson> {
  return JSON.parse(await textIn(project, '.ggen/packs.lock')) as LockJson
}

/** The locked versions by their ids. */
export async function versionsIn(project: string): Promise<Record<string, unknown>> {
  const { packs } = await lockOf(project)
  return Object.fromEntries(Object.entries(packs).map(([id, { version }]) => [id, version]))
}

/** Edits a lockfile by hand. */
export async function editLock(project: string, change: (json: LockJson) => unknown): Promise<void> {
  const json = await lockOf(project)
  change(json)
  await writeFile(join(project, '.ggen/packs.lock'), `${JSON.stringify(json, null, 2)}\n`)
}

/** What a call is refused with. */
export async function refusal(call: Promise<unknown>): Promise<RegistryError> {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown
  )
  if (error instanceof RegistryError) return error
  throw new Error('it was not refused', { cause: error })
}

/** Every file of a project with its times: equal before and after, nothing was written. */
export async function snapshot(project: string): Promise<readonly string[]> {
  const entries = await readdir(project, { recursive: true, withFileTypes: true })
  const lines = entries.map(async ({ parentPath, name }) => {
    const path = join(parentPath, name)
    const { ino, mtimeMs, ctimeMs } = await stat(path)
    return `${path} ${ino} ${mtimeMs} ${ctimeMs}`
  })
  return (await Promise.all(lines)).toSorted()
}
