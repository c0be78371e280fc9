import { equalBytes } from '../../../protocol/bytes.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import type { VersionView } from '../../../protocol/fold-versions.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { ReleaseContent } from '../../../protocol/payload.ts'
import type { Version } from '../../../protocol/version.ts'
import type { Lock, LockedPack, PackId } from './lock-format.ts'
import type { ProjectRegistry } from './project.ts'
import type { FindPackage } from '../resolve.ts'

/** Something a person should know, and that does not stop an install. */
export interface Warning {
  readonly code:
    | 'conflict'
    | 'forked-author'
    | 'kept'
    | 'policy'
    | 'quarantined'
    | 'similar-name'
    | 'single-source'
    | 'stale'
    | 'withdrawn'
    | 'yanked'
  readonly id: PackId
  readonly text: string
}

/** A release as a fact in the local set states it, whether it counts or not. */
export interface StatedRelease {
  readonly name: PackageName
  readonly version: Version
  readonly by: Principal
  readonly content: ReleaseContent
  /** Its author was ever allowed to publish the package, whatever was taken from him since. */
  readonly wasAllowed: boolean
}

export interface LockCheckComponents {
  readonly find: FindPackage
  /** The release that a fact states which is known here; undefined when there is no such fact, or it is no release. */
  readonly release: (
    registry: RegistryId,
    said: { readonly name: PackageName; readonly fact: FactId }
  ) => Promise<StatedRelease | undefined>
  readonly registries: () => readonly ProjectRegistry[]
}

/** What the facts say of what a lock names. */
export interface CheckedLock {
  readonly releases: ReadonlyMap<PackId, ReleaseContent>
  readonly warnings: readonly Warning[]
}

/**
 * Believes nothing in a lockfile that no signed fact says: every entry must be a release of that name, version and
 * content in that registry. Whoever edits a lockfile can choose among what was published, and nothing else.
 * @throws RegistryError LOCKFILE_INVALID | UNKNOWN_REGISTRY
 */
export async function checkLock({ packs }: Lock, components: LockCheckComponents): Promise<CheckedLock> {
  const releases = new Map<PackId, ReleaseContent>()
  const warnings: Warning[] = []
  const followed = new Set(components.registries().map(({ id }) => id))
  const stranger = [...packs.values()].find(({ registry }) => !followed.has(registry))
  if (stranger !== undefined) throw notFollowed(stranger)
  const looking = [...packs.values()].map(
    async pack => [pack, await components.find(pack.registry, pack.name)] as const
  )
  for (const [pack, view] of await Promise.all(looking)) {
    const version = view?.versions.find(entry => entry.version === pack.version)
    const { content, marks } = await releaseOf(pack, version, components)
    assertSame(pack, content)
    releases.set(pack.id, content)
    warnings.push(...marks)
  }
  return { releases, warnings }
}

interface Backed {
  readonly content: ReleaseContent & { readonly by: Principal }
  readonly marks: readonly Warning[]
}

async function releaseOf(
  pack: LockedPack,
  version: VersionView | undefined,
  { release }: LockCheckComponents
): Promise<Backed> {
  const counted = version?.contents.find(content => content.fact === pack.fact)
  if (counted !== undefined && version !== undefined) return { content: counted, marks: marksOf(pack, version) }
  const stated = await release(pack.registry, pack)
  if (stated === undefined || stated.name !== pack.name || stated.version !== pack.version) {
    throw notBacked(pack, version)
  }
  const content = { ...stated.content, by: stated.by }
  // Two facts that say the same: the view names one of them, and the other is as good.
  const isSaid = version?.contents.some(({ root }) => root === stated.content.root) === true
  if (isSaid && version !== undefined) return { content, marks: marksOf(pack, version) }
  if (!stated.wasAllowed) throw invalid(pack, `${stated.by} signed it, who was never allowed to publish it`)
  const text = `${pack.id}@${pack.version} no longer counts in its registry; it is installed because the lockfile has it`
  return { content, marks: [{ code: 'withdrawn', id: pack.id, text }] }
}

function marksOf(pack: LockedPack, { contents, yanks, quarantines = [] }: VersionView): readonly Warning[] {
  const { id } = pack
  const warnings: Warning[] = []
  const what = `${id}@${pack.version}`
  const [stopped] = quarantines
  if (stopped !== undefined) {
    const reason = stopped.reason === '' ? 'no reason given' : stopped.reason
    warnings.push({ code: 'quarantined', id, text: `${what} is in quarantine: ${reason}` })
  }
  if (yanks.length > 0) {
    const reason = yanks.find(yank => yank.reason !== '')?.reason ?? 'no reason given'
    warnings.push({ code: 'yanked', id, text: `${what} was yanked: ${reason}` })
  }
  if (contents.length > 1) {
    const text = `${what} has ${contents.length} different contents in its registry; the lockfile's is installed: ${pack.cid}`
    warnings.push({ code: 'conflict', id, text })
  }
  if (contents.some(({ root, marks }) => root === pack.cid && marks.includes('forked-author'))) {
    const text = `the author of ${what} signed two statements for one place: ${pack.author}`
    warnings.push({ code: 'forked-author', id, text })
  }
  return warnings
}

function assertSame(pack: LockedPack, { root, digests, by }: Backed['content']): void {
  if (root !== pack.cid) {
    throw invalid(pack, `it has the content ${pack.cid}, and the release it names has ${root}`)
  }
  if (!equalBytes(digests.sha256, pack.sha256)) throw invalid(pack, 'its integrity is not that of the release it names')
  if (by !== pack.author) throw invalid(pack, `it names the author ${pack.author}, and the release was signed by ${by}`)
}

function notBacked(pack: LockedPack, version: VersionView | undefined): RegistryError {
  const known = version?.contents.map(({ root }) => root) ?? []
  if (known.length > 0) {
    return invalid(pack, `it has the content ${pack.cid}, and the registry has ${known.join(' and ')}`)
  }
  return new RegistryError(
    'LOCKFILE_INVALID',
    `.ggen/packs.lock: no statement here says that there is a ${pack.id}@${pack.version}`,
    {
      tried: [`looked for fact ${pack.fact}`, `in registry ${pack.registry} (${pack.alias})`],
      next: 'if it is new, connect to a peer that follows the registry and try again: ggen-node connect ADDRESS'
    }
  )
}

function invalid(pack: LockedPack, why: string): RegistryError {
  return new RegistryError('LOCKFILE_INVALID', `.ggen/packs.lock: ${pack.id}@${pack.version}: ${why}`, {
    tried: [`fact ${pack.fact}`],
    next: 'do not install from it before you know who changed it; ggen-node update resolves anew'
  })
}

function notFollowed({ id, registry, alias }: LockedPack): RegistryError {
  return new RegistryError('UNKNOWN_REGISTRY', `.ggen/packs.lock: ${id} is of registry ${alias}, not followed here`, {
    detail: { registry },
    tried: [`looked for registry ${registry}`],
    next: `ggen-node registry add ${registry}@ADDRESS --alias ${alias}`
  })
}
