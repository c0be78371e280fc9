import { setImmediate } from 'node:timers/promises'
import type { RegistryId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { PackageView } from '../../protocol/fold.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { toPick, toResolveError } from '../../protocol/resolve.ts'
import type { Pick } from '../../protocol/resolve.ts'
import { cataloguePackage } from '../../protocol/solver/catalogue.ts'
import type { CataloguePackage } from '../../protocol/solver/catalogue.ts'
import type { Wish } from '../../protocol/solver/search.ts'
import type { Asking } from '../../protocol/solver/shelf.ts'
import { solve } from '../../protocol/solver/solve.ts'
import type { LeftOut, Overridden } from '../../protocol/solver/tree.ts'
import type { Version } from '../../protocol/version.ts'

/** What a registry says of a name; undefined when it holds no such package. */
export type FindPackage = (registry: RegistryId, name: PackageName) => Promise<PackageView | undefined>

export interface PackageFinder {
  readonly find: FindPackage
  /** Names that somebody who asked for this one may have meant. */
  readonly near?: (registry: RegistryId, name: PackageName) => Promise<readonly string[]>
}

/** What is asked of one registry. */
export interface ResolveRequest {
  readonly wishes: readonly Wish[]
  /** What the lockfile has: preferred where it is allowed, and the only way to a yanked version. */
  readonly locked?: ReadonlyMap<PackageName, { readonly version: Version }>
  /** Names whose locked version counts for nothing. */
  readonly update?: 'all' | ReadonlySet<PackageName>
  /** Ranges that replace, in the whole tree, whatever is asked of a name. */
  readonly overrides?: ReadonlyMap<PackageName, string>
  readonly signal?: AbortSignal
}

export interface Resolution {
  /** Dependencies before what depends on them. */
  readonly picks: readonly Pick[]
  /** Optional dependencies that can't be had, and dependencies outside the registry. */
  readonly left: readonly LeftOut[]
  readonly overridden: readonly Overridden[]
}

/**
 * One version of each package that the wishes need, docs/spec/resolution.md. Each package is looked at once: a fact that
 * arrives meanwhile changes nothing.
 * @throws RegistryError UNKNOWN_PACKAGE | UNKNOWN_VERSION | VERSION_CONFLICT | MISSING_DEPENDENCY | UNSOLVABLE | LIMIT_EXCEEDED
 */
export async function resolveWishes(
  finder: PackageFinder,
  registry: RegistryId,
  request: ResolveRequest
): Promise<Resolution> {
  const views = new Map<PackageName, PackageView | undefined>()
  const { locked = new Map<PackageName, { readonly version: Version }>(), signal, ...rest } = request
  const versions = new Map([...locked].map(([name, { version }]) => [name, version]))
  const lookUp = async (name: PackageName): Promise<readonly [PackageName, CataloguePackage | undefined]> => {
    const view = await finder.find(registry, name)
    views.set(name, view)
    // A row may hold nothing but facts that do not count: then the name does not exist.
    const isThere = view !== undefined && (view.claim !== null || view.versions.length > 0)
    return [name, isThere ? cataloguePackage(view) : undefined]
  }
  const outcome = await drive(solve({ ...rest, locked: versions }), lookUp, signal)
  if (outcome.type === 'solved') {
    const picks = outcome.picks.map(pick => toPick(pick, views.get(pick.name)))
    return { picks, left: outcome.left, overridden: outcome.overridden }
  }
  const near = new Map<PackageName, readonly string[]>()
  for (const name of outcome.explanation.absent.slice(0, LIMITS.solver.nearLookUps)) {
    near.set(name, (await finder.near?.(registry, name)) ?? [])
  }
  throw toResolveError(outcome.explanation, { viewOf: name => views.get(name), near })
}

/** One package by name, and what it needs. */
export function resolveTree(
  finder: PackageFinder,
  registry: RegistryId,
  root: { readonly name: PackageName; readonly range: string | undefined }
): Promise<Resolution> {
  return resolveWishes(finder, registry, { wishes: [{ name: root.name, range: root.range ?? '*', by: 'you' }] })
}

/** Resolves with a finder of the caller's: what it says of a package is what is resolved over. */
export function resolverWith(near: PackageFinder['near']) {
  return (registry: RegistryId, request: ResolveRequest, find: FindPackage): Promise<Resolution> =>
    resolveWishes({ find, ...(near === undefined ? {} : { near }) }, registry, request)
}

async function drive<T>(
  machine: Asking<T>,
  lookUp: (name: PackageName) => Promise<readonly [PackageName, CataloguePackage | undefined]>,
  signal: AbortSignal | undefined
): Promise<T> {
  let step = machine.next()
  while (step.done !== true) {
    signal?.throwIfAborted()
    if (step.value.length > LIMITS.solver.namesPerRound) {
      throw new RegistryError('INTERNAL', 'the solver asked for too much at once')
    }
    // Solving is long work for one thread: the node goes on answering others in between.
    if (step.value.length === 0) await setImmediate()
    step = machine.next(new Map(await Promise.all(step.value.map(lookUp))))
  }
  return step.value
}
