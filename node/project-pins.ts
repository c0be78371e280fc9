import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ContentId, RegistryId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'
import type { PinRecords, ProjectRecord } from '../storage/pin-records.ts'
import type { Lock } from './services/project/lock-format.ts'

type Pack = ProjectRecord['packs'][number]

/** What was installed: the contents that the lockfile of each project named when something was last done there. */
export class ProjectPins {
  readonly #records: PinRecords
  readonly #now: () => number

  constructor(records: PinRecords, now: () => number) {
    this.#records = records
    this.#now = now
  }

  /** Written when it changes only: an install that has nothing to do writes nothing. */
  async installed(path: string, lock: Lock): Promise<void> {
    if (path.length > LIMITS.store.projectPathChars) return
    const packs = [...lock.packs.values()].map(({ registry, cid }): Pack => ({ registry, root: cid }))
    const before = await this.#records.project(path)
    if (before !== undefined && isSame(before.packs, packs)) return
    if (before === undefined && packs.length === 0) return
    if (before === undefined) await this.#makePlace()
    if (packs.length === 0) await this.#records.deleteProject(path)
    else await this.#records.putProject({ path, time: this.#now(), packs })
  }

  /**
   * Projects whose lockfile is there. One whose lockfile is not has no say: its folder was deleted, or its disk is away, and
   * then what it needs is let go last and comes again from peers.
   */
  async *current(): AsyncGenerator<ProjectRecord> {
    for await (const project of this.#records.projects()) {
      if (await hasLock(project.path)) yield project
    }
  }

  /** Whether a project of that folder was known. */
  async forget(path: string): Promise<boolean> {
    if ((await this.#records.project(path)) === undefined) return false
    await this.#records.deleteProject(path)
    return true
  }

  async #makePlace(): Promise<void> {
    let count = 0
    let oldest: { readonly path: string; readonly time: number } | undefined
    for await (const { path, time } of this.#records.projects()) {
      count += 1
      if (oldest === undefined || time < oldest.time) oldest = { path, time }
    }
    if (count >= LIMITS.store.projects && oldest !== undefined) await this.#records.deleteProject(oldest.path)
  }
}

/** The content roots of a project that are in the block store of one swarm. */
export function rootsIn({ packs }: ProjectRecord, isThere: (registry: RegistryId) => boolean): readonly ContentId[] {
  return packs.filter(({ registry }) => isThere(registry)).map(({ root }) => root)
}

async function hasLock(path: string): Promise<boolean> {
  try {
    return (await stat(join(path, '.ggen', 'packs.lock'))).isFile()
  } catch (error) {
    // Only what is certainly not there has no say.
    const { code } = error as NodeJS.ErrnoException
    return code !== 'ENOENT' && code !== 'ENOTDIR'
  }
}

function isSame(before: readonly Pack[], after: readonly Pack[]): boolean {
  const textOf = (packs: readonly Pack[]): string => packs.map(({ registry, root }) => `${registry} ${root}`).join('\n')
  return textOf(before) === textOf(after)
}
