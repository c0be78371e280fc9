import { isOpen } from '../../../protocol/fold-versions.ts'
import type { RegistryId } from '../../../protocol/cid.ts'
import { isRegistryError } from '../../../protocol/errors.ts'
import { ecosystemOf } from '../../../protocol/package-name.ts'
import { orderingOf } from '../../../protocol/version.ts'
import type { Version } from '../../../protocol/version.ts'
import { inOrder, wantedIds } from './graph.ts'
import type { LockedPack, PackId } from './lock-format.ts'
import type { ProjectStore } from './project.ts'
import { findTarget } from './target.ts'
import type { TargetComponents } from './target.ts'

/** A package that has a newer version than the one that is locked. */
export interface NewerVersion {
  readonly id: PackId
  readonly registry: RegistryId
  readonly alias: string
  readonly current: Version
  /** What `update` would lock; null when it would no longer be needed. */
  readonly wanted: Version | null
  /** The highest stable version that there is, whatever the project's ranges say. */
  readonly latest: Version | null
  /** The range that the project asked for; null for what only others need. */
  readonly requested: string | null
}

export interface OutdatedResult {
  readonly outdated: readonly NewerVersion[]
  readonly packages: number
  /** Why nothing can be resolved anew, when that is so: then `wanted` is `current`. */
  readonly unsolvable: string | null
}

export interface NewerComponents extends TargetComponents {
  readonly open: (folder: string) => ProjectStore
}

export type FindNewer = (folder: string, signal: AbortSignal) => Promise<OutdatedResult>

/** Finds what is newer than a project's lock, by the facts that are here. Asks nobody and changes nothing. */
export function newerFinder(components: NewerComponents): FindNewer {
  return async (folder, signal) => {
    const store = components.open(folder)
    const state = { project: await store.readProject(), lock: await store.readLock() }
    signal.throwIfAborted()
    const all = { kind: 'update', names: [], registry: undefined, frozen: false, acceptMoves: false } as const
    let unsolvable: string | null = null
    const target = await findTarget(all, state, components).catch((error: unknown) => {
      if (!isRegistryError(error)) throw error
      unsolvable = error.message
      return state
    })
    const outdated: NewerVersion[] = []
    for (const pack of inOrder(state.lock, wantedIds(state.lock))) {
      const { id, registry, alias, version: current, requested = null } = pack
      const wanted = target.lock.packs.get(id)?.version ?? null
      const latest = await latestOf(pack, components)
      if (wanted !== current || (latest !== null && latest !== current)) {
        outdated.push({ id, registry, alias, current, wanted, latest, requested })
      }
    }
    return { outdated, packages: state.lock.packs.size, unsolvable }
  }
}

async function latestOf({ registry, name }: LockedPack, { find }: NewerComponents): Promise<Version | null> {
  const { isPrerelease } = orderingOf(ecosystemOf(name))
  const view = await find(registry, name)
  const stable = view?.versions.find(entry => {
    return entry.contents.length === 1 && isOpen(entry) && !isPrerelease(entry.version)
  })
  return stable?.version ?? null
}
