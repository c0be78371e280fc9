import { setImmediate } from 'node:timers/promises'
import type { RegistryId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { PackageView } from '../../protocol/fold.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { toPick, toResolveError } from '../../protocol/resolve.ts'
import type { Pick as Picked } from '../../protocol/resolve.ts'
import { cataloguePackage } from '../../protocol/solver/catalogue.ts'
import type { CataloguePackage } from '../../protocol/solver/catalogue.ts'
import { nameOfNode } from '../../protocol/solver/node-name.ts'
import type { Ask, NodeName, Words } from '../../protocol/solver/node-name.ts'
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

/** Looks at each package once, so that a fact that arrives meanwhile changes nothing of what is decided together. */
export function lookingOnce(find: FindPackage): FindPackage {
  const looked = new Map<string, ReturnType<FindPackage>>()
  return (registry, name) => {
    const key = `${registry} ${name}`
    const found = looked.get(key) ?? find(registry, name)
    looked.set(key, found)
    return found
  }
}

/** A package of one registry, and what the solver calls it. */
export interface Place {
  readonly registry: RegistryId
  readonly name: PackageName
  readonly node: NodeName
}

/** What a resolution over several registries reads. */
export interface NodeFinder {
  readonly find: FindPackage
  /**
   * Which package is meant; undefined when there is none in any registry that counts.
   * @throws RegistryError AMBIGUOUS_NAME when nobody can tell
   */
  readonly place: (ask: Ask) => Promise<Place | undefined>
  /** Names that somebody who asked for this one may have meant. */
  readonly near: (node: NodeName) => Promise<readonly string[]>
  readonly words?: Words
}

/** What is asked of registries. Names are nodes: plain ones where there is one registry. */
export interface ResolveRequest {
  readonly wishes: readonly Wish[]
  /** What the lockfile has: preferred where it is allowed, and the only way to a yanked version. */
  readonly locked?: ReadonlyMap<NodeName, { readonly version: Version }>
  /** Names whose locked version counts for nothing. */
  readonly update?: 'all' | ReadonlySet<NodeName>
  /** Ranges that replace, in the whole tree, whatever is asked of a name. */
  readonly overrides?: ReadonlyMap<NodeName, string>
  readonly signal?: AbortSignal
}

/** A picked version and the registry that it is of. */
export interface Pick extends Picked {
  readonly registry: RegistryId
}

export interface Resolution {
  /** Dependencies before what depends on them. */
  readonly picks: readonly Pick[]
  /** Optional dependencies that can't be had, and dependencies outside the registry. */
  readonly left: readonly LeftOut[]
  readonly overridden: readonly Overridden[]
}

/** Chooses versions out of what registries hold. @throws RegistryError that says what does not go together */
export type Solve = (finder: NodeFinder, request: ResolveRequest) => Promise<Resolution>

/**
 * One version of each package that the wishes need, docs/spec/resolution.md. Each package is looked at once: a fact that
 * arrives meanwhile changes nothing.
 * @throws RegistryError UNKNOWN_PACKAGE | UNKNOWN_VERSION | VERSION_CONFLICT | MISSING_DEPENDENCY | UNSOLVABLE |
 * LIMIT_EXCEEDED | AMBIGUOUS_NAME
 */
export const resolveNodes: Solve = async (finder, request) => {
  const seen = new Map<NodeName, Looked>()
  const { locked = new Map<NodeName, { readonly version: Version }>(), signal, ...rest } = request
  const versions = new Map([...locked].map(([node, { version }]) => [node, version]))
  const lookUp = async (ask: Ask): Promise<readonly [Ask, CataloguePackage | undefined]> => {
    const place = await finder.place(ask)
    if (place === undefined) return [ask, undefined]
    const looked = seen.get(place.node) ?? { registry: place.registry, view: finder.find(place.registry, place.name) }
    seen.set(place.node, looked)
    const view = await looked.view
    return [ask, isThere(view) ? cataloguePackage(view, place.node) : undefined]
  }
  const { words } = finder
  const spoken = words === undefined ? {} : { words }
  const outcome = await drive(solve({ ...rest, ...spoken, locked: versions }), lookUp, signal)
  const views = await viewsOf(seen)
  if (outcome.type === 'solved') {
    const picks = outcome.picks.map(pick => {
      const looked = seen.get(pick.name)
      if (looked === undefined) throw new RegistryError('INTERNAL', `${pick.name} was picked and not looked at`)
      return { ...toPick(pick, views.get(pick.name)), registry: looked.registry }
    })
    return { picks, left: outcome.left, overridden: outcome.overridden }
  }
  const near = new Map<NodeName, readonly string[]>()
  for (const node of outcome.explanation.absent.slice(0, LIMITS.solver.nearLookUps)) {
    near.set(node, await finder.near(node))
  }
  throw toResolveError(outcome.explanation, { viewOf: node => views.get(node), near, ...spoken })
}

interface Looked {
  readonly registry: RegistryId
  readonly view: Promise<PackageView | undefined>
}

async function viewsOf(seen: ReadonlyMap<NodeName, Looked>): Promise<ReadonlyMap<NodeName, PackageView | undefined>> {
  const views = new Map<NodeName, PackageView | undefined>()
  for (const [node, { view }] of seen) views.set(node, await view)
  return views
}

/** A row may hold nothing but facts that do not count: then the name does not exist. */
export function isThere(view: PackageView | undefined): view is PackageView {
  return view !== undefined && (view.claim !== null || view.versions.length > 0)
}

/** The same within one registry, in which every name means a package. */
export function resolveWishes(
  finder: PackageFinder,
  registry: RegistryId,
  request: ResolveRequest
): Promise<Resolution> {
  const within: NodeFinder = {
    find: (of, name) => finder.find(of, name),
    place: async ask => ({ registry, name: nameOfNode(ask), node: nameOfNode(ask) }),
    near: async node => (await finder.near?.(registry, nameOfNode(node))) ?? []
  }
  return resolveNodes(within, request)
}

/** One package by name, and what it needs. */
export function resolveTree(
  finder: PackageFinder,
  registry: RegistryId,
  root: { readonly name: PackageName; readonly range: string | undefined }
): Promise<Resolution> {
  return resolveWishes(finder, registry, { wishes: [{ name: root.name, range: root.range ?? '*', by: 'you' }] })
}

async function drive<T>(
  machine: Asking<T>,
  lookUp: (ask: Ask) => Promise<readonly [Ask, CataloguePackage | undefined]>,
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
    const looked = await Promise.allSettled(step.value.map(lookUp))
    const failed = looked.find(one => one.status === 'rejected')
    // The solver is told: whether what can't be had was required, only it knows.
    step =
      failed === undefined
        ? machine.next(new Map(looked.flatMap(one => (one.status === 'fulfilled' ? [one.value] : []))))
        : machine.throw(failed.reason)
  }
  return step.value
}
