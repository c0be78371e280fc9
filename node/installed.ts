import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { LIMITS } from '../protocol/limits.ts'
import type { Version } from '../protocol/version.ts'
import { Projects } from './project-store.ts'
import type { Lock, PackId } from './services/project/lock-format.ts'
import { packPath } from './services/project/plan.ts'
import type { FolderChanges, ProjectStore } from './services/project/project.ts'

/** The lock of a project folder, read without a node and without a data directory. */
export async function readProjectLock(project: string): Promise<Lock> {
  return storeOf(project).readLock()
}

/** How one installed package compares with the lockfile. */
export interface VerifiedPackage extends FolderChanges {
  readonly id: PackId
  readonly version: Version
  readonly path: string
  /** `modified` without a named file: what the package held is no longer known here. */
  readonly state: 'missing' | 'modified' | 'ok'
}

export interface VerifyResult {
  readonly clean: boolean
  readonly packages: readonly VerifiedPackage[]
  /** What lies among the packages and belongs to none. */
  readonly extra: readonly string[]
}

const NO_CHANGES: FolderChanges = { modified: [], missing: [], extra: [] }

/** Reads every installed file and compares each package with its content id in the lockfile; trusts nothing else. */
export async function verifyProject(project: string, signal: AbortSignal): Promise<VerifyResult> {
  const store = storeOf(project)
  const lock = await store.readLock()
  const placed = await store.placed()
  const packages: VerifiedPackage[] = []
  for (const pack of [...lock.packs.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    signal.throwIfAborted()
    const { id, version, cid } = pack
    const path = packPath(pack)
    const state = await store.read(path, signal)
    const is = state.type === 'missing' ? 'missing' : state.type === 'folder' && state.root === cid ? 'ok' : 'modified'
    const known = placed.get(path)
    const files = known?.cid === cid ? known.files : undefined
    const isNamed = is === 'modified' && files !== undefined
    packages.push({
      id,
      version,
      path,
      state: is,
      ...(isNamed ? await store.compare(path, files, signal) : NO_CHANGES)
    })
  }
  const extra = await strangers(project, new Set(packages.map(({ path }) => path)))
  return { clean: extra.length === 0 && packages.every(({ state }) => state === 'ok'), packages, extra }
}

/** What lies below `.ggen/packages` and is no package's. */
async function strangers(project: string, expected: ReadonlySet<string>): Promise<readonly string[]> {
  const found: string[] = []
  const pending = ['.ggen/packages']
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    const names = await readdir(join(project, folder)).catch(() => [])
    for (const name of names) {
      const path = `${folder}/${name}`
      if (expected.has(path)) continue
      if ([...expected].some(each => each.startsWith(`${path}/`))) pending.push(path)
      else if (found.length < LIMITS.install.packages) found.push(path)
    }
  }
  return found.toSorted()
}

function storeOf(project: string): ProjectStore {
  return new Projects(() => Date.now()).open(project)
}
