import type { RegistryId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { PackageView } from '../../protocol/fold.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { packageNameOf, shortNameOf } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { pickVersion } from '../../protocol/resolve.ts'
import type { Pick, Wanted } from '../../protocol/resolve.ts'

/** What a registry says of a name; undefined when it holds no such package. */
export interface PackageFinder {
  find(registry: RegistryId, name: PackageName): Promise<PackageView | undefined>
  package(registry: RegistryId, name: PackageName): Promise<PackageView>
}

export interface Resolution {
  /** Dependencies before what depends on them. */
  readonly picks: readonly Pick[]
  /** Optional dependencies that the registry does not hold, and dependencies outside it. */
  readonly left: readonly { readonly name: string; readonly range: string; readonly why: 'external' | 'optional' }[]
}

/**
 * The highest version of each package that all wishes in the tree allow. A new wish starts the walk over, so the result
 * does not depend on the order of the manifest; the number of walks is bounded by the number of wishes.
 * @throws RegistryError MISSING_DEPENDENCY by name | UNKNOWN_PACKAGE | UNKNOWN_VERSION | VERSION_CONFLICT | LIMIT_EXCEEDED
 */
export async function resolveTree(
  finder: PackageFinder,
  registry: RegistryId,
  root: { readonly name: PackageName; readonly range: string | undefined }
): Promise<Resolution> {
  const wishes = new Map<PackageName, Wanted[]>([[root.name, [{ range: root.range, by: 'you' }]]])
  await finder.package(registry, root.name)
  for (let walks = 0; walks < LIMITS.install.packages; walks++) {
    const walk = await walkTree(finder, registry, { root: root.name, wishes })
    if (walk !== undefined) return walk
  }
  throw new RegistryError('LIMIT_EXCEEDED', `the dependencies of ${shortNameOf(root.name)} do not settle`)
}

interface Walk {
  readonly root: PackageName
  /** Grows; a walk that adds a wish to a package it had already picked must be taken again. */
  readonly wishes: Map<PackageName, Wanted[]>
}

async function walkTree(finder: PackageFinder, registry: RegistryId, walk: Walk): Promise<Resolution | undefined> {
  const picks = new Map<PackageName, Pick>()
  const left = new Map<string, Resolution['left'][number]>()
  const order: PackageName[] = []
  let isSettled = true
  const visit = async (name: PackageName, path: readonly string[]): Promise<void> => {
    if (picks.has(name)) return
    if (picks.size >= LIMITS.install.packages || path.length > LIMITS.install.depth) {
      throw new RegistryError('LIMIT_EXCEEDED', `an install has at most ${LIMITS.install.packages} packages`)
    }
    const view = await finder.package(registry, name)
    const pick = pickVersion(view, walk.wishes.get(name) ?? [])
    picks.set(name, pick)
    const by = `${shortNameOf(name)}@${pick.version}`
    for (const dependency of pick.content.manifest.dependencies) {
      if (dependency.kind === 'external') {
        left.set(dependency.name, { name: dependency.name, range: dependency.range, why: 'external' })
        continue
      }
      const wanted = packageNameOf('ggen', dependency.name)
      const known = await finder.find(registry, wanted)
      if (known === undefined || known.versions.length === 0) {
        if (dependency.optional !== true) throw missing(dependency, by, path)
        left.set(dependency.name, { name: dependency.name, range: dependency.range, why: 'optional' })
        continue
      }
      const isNew = addWish(walk.wishes, wanted, { range: dependency.range, by })
      if (isNew && picks.has(wanted)) isSettled = false
      await visitDependency(() => visit(wanted, [...path, by]), dependency, by)
    }
    order.push(name)
  }
  await visit(walk.root, [])
  if (!isSettled) return undefined
  return { picks: order.flatMap(name => picks.get(name) ?? []), left: [...left.values()] }
}

/** A version that is missing two levels down is a missing dependency to the person who asked. */
async function visitDependency(
  visit: () => Promise<void>,
  { name, range }: { readonly name: string; readonly range: string },
  by: string
): Promise<void> {
  try {
    await visit()
  } catch (cause) {
    if (!(cause instanceof RegistryError) || cause.code !== 'UNKNOWN_VERSION') throw cause
    const { tried, next } = cause
    throw new RegistryError('MISSING_DEPENDENCY', `${by} needs ${name} ${range}: ${cause.message}`, {
      cause,
      tried,
      ...(next === undefined ? {} : { next })
    })
  }
}

function missing({ name, range }: { name: string; range: string }, by: string, path: readonly string[]): RegistryError {
  return new RegistryError(
    'MISSING_DEPENDENCY',
    `${by} needs ${name} ${range}, and the registry has no package ${name}`,
    {
      tried: path.length === 0 ? [] : [`wanted by way of ${path.join(' > ')}`],
      next: `publish ${name} to the registry, or ask the owner of ${by} to make it optional`
    }
  )
}

function addWish(wishes: Map<PackageName, Wanted[]>, name: PackageName, wanted: Wanted): boolean {
  const known = wishes.get(name) ?? []
  if (known.some(other => other.by === wanted.by && other.range === wanted.range)) return false
  wishes.set(name, [...known, wanted])
  return true
}
