import { compareText } from '../../../protocol/bytes.ts'
import type { RegistryId } from '../../../protocol/cid.ts'
import type { Manifest } from '../../../protocol/manifest.ts'
import { ecosystemOf, packageNameOf, shortNameOf } from '../../../protocol/package-name.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { ReleaseContent } from '../../../protocol/payload.ts'
import { compareLeft } from '../../../protocol/solver/tree.ts'
import type { LeftOut } from '../../../protocol/solver/tree.ts'
import { orderingOf } from '../../../protocol/version.ts'
import type { Version } from '../../../protocol/version.ts'
import { reachable, wantedIds } from './graph.ts'
import { packId } from './lock-format.ts'
import type { Lock, LockedPack, PackId } from './lock-format.ts'
import type { Bindings } from './bindings.ts'
import type { Wish } from './wishes.ts'

/** What a project asks for, with the registry of each wish known. */
export interface Asked {
  readonly wishes: readonly Wish[]
  readonly overrides: readonly Wish[]
}

/** What is known of the packages of a lock, with the registries of what they need looked up. */
export interface Facts {
  readonly releases: ReadonlyMap<PackId, ReleaseContent>
  readonly bindings: Pick<Bindings, 'known'>
}

/**
 * Why a lock is not what the project asks for; empty when it is, and then nothing needs to be resolved. Reads the
 * manifests of the locked releases and no other.
 */
export function outdatedReasons(
  lock: Lock,
  { wishes, overrides }: Asked,
  { releases, bindings }: Facts
): readonly string[] {
  const reasons: string[] = []
  const forced = new Map(overrides.map(({ id, range }) => [id, range]))
  const wanted = new Set(wishes.map(({ id }) => id))
  for (const { id, key, range } of wishes) {
    const pack = lock.packs.get(id)
    if (pack?.requested === undefined) reasons.push(`${key} is wanted and not locked`)
    else if (pack.requested !== range) reasons.push(`${key} is wanted in ${range}, and locked for ${pack.requested}`)
    else if (!fits(pack.name, pack.version, forced.get(id) ?? range)) {
      reasons.push(`${key} is locked at ${pack.version}, which ${forced.get(id) ?? range} does not allow`)
    }
  }
  for (const id of wantedIds(lock)) if (!wanted.has(id)) reasons.push(`${id} is locked and no longer wanted`)
  if (!sameOverrides(lock, overrides)) reasons.push('the overrides are not those it was locked with')
  const needed = reachable(lock, [...wanted])
  for (const pack of lock.packs.values()) {
    const release = releases.get(pack.id)
    if (!needed.has(pack.id)) reasons.push(`${pack.id} is locked and nothing needs it`)
    else if (release !== undefined) reasons.push(...needReasons(lock, pack, { release, forced, bindings }))
  }
  return reasons.slice(0, 100)
}

interface Needing extends Pick<Facts, 'bindings'> {
  readonly release: ReleaseContent
  readonly forced: ReadonlyMap<PackId, string>
}

function needReasons(lock: Lock, pack: LockedPack, { release, forced, bindings }: Needing): readonly string[] {
  const reasons: string[] = []
  for (const { kind, name, range, optional } of release.manifest.dependencies) {
    if (kind !== 'ggen' || optional === true) continue
    const needed = neededIn(lock, pack, { name, bindings })
    if (needed === undefined) reasons.push(`${pack.id} needs ${name}, which is not locked`)
    else if (!forced.has(needed.id) && !fits(needed.name, needed.version, range)) {
      reasons.push(`${pack.id} needs ${name} ${range}, and ${needed.version} is locked`)
    }
  }
  const edges = edgesOf(lock, pack, { manifest: release.manifest, bindings })
  if (edges.join() !== pack.dependencies.toSorted(compareText).join()) {
    reasons.push(`the dependencies of ${pack.id} are not those of its manifest`)
  }
  return reasons
}

/** Ids of what a package depends on, as far as it is in the lock, sorted. */
export function edgesOf(
  lock: Lock,
  pack: LockedPack,
  { manifest, bindings }: Pick<Facts, 'bindings'> & { readonly manifest: Manifest }
): readonly PackId[] {
  const ids = manifest.dependencies.flatMap(({ kind, name, range, optional }) => {
    const found = kind === 'ggen' ? neededIn(lock, pack, { name, bindings }) : undefined
    if (found === undefined || (optional === true && !fits(found.name, found.version, range))) return []
    return [found.id]
  })
  return [...new Set(ids)].toSorted(compareText)
}

/** What locked packages ask for and the lock does not have: dependencies of another world, and optional ones. */
export function leftOut(lock: Lock, { releases, bindings }: Facts): readonly LeftOut[] {
  const left = new Map<string, LeftOut>()
  for (const pack of lock.packs.values()) {
    const edges = new Set(pack.dependencies)
    for (const { kind, name, range, optional } of releases.get(pack.id)?.manifest.dependencies ?? []) {
      const why = kind === 'external' ? 'external' : optional === true ? 'optional' : undefined
      if (why === undefined) continue
      if (why === 'optional' && edges.has(neededIn(lock, pack, { name, bindings })?.id ?? '')) continue
      const by = `${shortNameOf(pack.name)}@${pack.version}`
      left.set(`${why} ${name} ${range} ${by}`, { name, range, why, by })
    }
  }
  return [...left.values()].toSorted(compareLeft)
}

/** What a locked package means by the name of a dependency, as far as that is locked. */
function neededIn(
  { packs }: Lock,
  { registry: from }: LockedPack,
  { name: short, bindings }: Pick<Facts, 'bindings'> & { readonly name: string }
): LockedPack | undefined {
  const name = packageNameOf('ggen', short)
  const registry = bindings.known(from, name)
  if (registry === undefined) return undefined
  const plain = packs.get(packId(name, registry, true))
  return plain?.registry === registry ? plain : packs.get(packId(name, registry, false))
}

/** What the dependencies of these are called, and in which registry that is said. */
export function needsOf(
  { packs }: Lock,
  releases: ReadonlyMap<PackId, Pick<ReleaseContent, 'manifest'>>
): readonly { readonly from: RegistryId; readonly name: PackageName }[] {
  return [...packs.values()].flatMap(({ id, registry: from }) =>
    (releases.get(id)?.manifest.dependencies ?? []).flatMap(({ kind, name }) =>
      kind === 'ggen' ? [{ from, name: packageNameOf('ggen', name) }] : []
    )
  )
}

function fits(name: PackageName, version: Version, range: string): boolean {
  // A pre-release that the lock has was let in by some range; its place in the order is what is left to check.
  return orderingOf(ecosystemOf(name)).parseRange(range, { prereleases: true })(version)
}

function sameOverrides({ overrides: locked }: Lock, overrides: readonly Wish[]): boolean {
  return locked.size === overrides.length && overrides.every(({ key, range }) => locked.get(key) === range)
}
