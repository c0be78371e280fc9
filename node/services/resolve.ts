import type { RegistryId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import type { PackageView } from '../../protocol/fold.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Dependency } from '../../protocol/manifest.ts'
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

/** A range, who asked for it, and which package that was: undefined for the person. */
interface Wish extends Wanted {
  readonly from: PackageName | undefined
}

type Wishes = ReadonlyMap<PackageName, readonly Wish[]>

interface Walk {
  readonly resolution: Resolution
  /** What the versions picked in this walk ask for, and nothing else. */
  readonly wishes: Wishes
  /** The first dependency that could not be met. It counts only once the wishes have settled. */
  readonly failure: RegistryError | undefined
}

/**
 * The highest version of each package that all wishes in the tree allow. A walk that ends with other wishes than it began
 * with is taken again, so the result does not depend on the order of the manifest, and what a version asked for that is
 * no longer picked binds nobody. Should that go in circles, wishes are only added from then on, which must end.
 * @throws RegistryError MISSING_DEPENDENCY by name | UNKNOWN_PACKAGE | UNKNOWN_VERSION | VERSION_CONFLICT | LIMIT_EXCEEDED
 */
export async function resolveTree(
  finder: PackageFinder,
  registry: RegistryId,
  root: { readonly name: PackageName; readonly range: string | undefined }
): Promise<Resolution> {
  await finder.package(registry, root.name)
  // One look at each package: a fact that arrives in between must not make two walks differ.
  const views = new Map<PackageName, PackageView | undefined>()
  const find = async (name: PackageName): Promise<PackageView | undefined> => {
    if (!views.has(name)) views.set(name, await finder.find(registry, name))
    return views.get(name)
  }
  const own: Wish = { range: root.range, by: 'you', from: undefined }
  const seen = new Set<string>()
  let wishes: Wishes = new Map([[root.name, [own]]])
  for (let walks = 0; walks < LIMITS.install.walks; walks++) {
    const before = printOf(wishes)
    const isCircling = seen.has(before)
    seen.add(before)
    const walk = await new TreeWalk(find, { wishes, own, root: root.name }).run()
    const after = isCircling ? merge(wishes, walk.wishes) : walk.wishes
    if (printOf(after) === before) {
      if (walk.failure !== undefined) throw walk.failure
      return walk.resolution
    }
    wishes = after
  }
  throw new RegistryError('LIMIT_EXCEEDED', `the dependencies of ${shortNameOf(root.name)} do not settle`)
}

/** What depends on what is one walk through the tree, with the wishes of the walk before as a first guess. */
class TreeWalk {
  readonly #find: (name: PackageName) => Promise<PackageView | undefined>
  readonly #root: PackageName
  readonly #guessed: Wishes
  readonly #wishes: Map<PackageName, Wish[]>
  readonly #picks = new Map<PackageName, Pick>()
  readonly #visited = new Set<PackageName>()
  readonly #left = new Map<string, Resolution['left'][number]>()
  readonly #order: Pick[] = []
  #failure: RegistryError | undefined

  constructor(
    find: (name: PackageName) => Promise<PackageView | undefined>,
    { wishes, own, root }: { readonly wishes: Wishes; readonly own: Wish; readonly root: PackageName }
  ) {
    this.#find = find
    this.#root = root
    this.#guessed = wishes
    this.#wishes = new Map([[root, [own]]])
  }

  async run(): Promise<Walk> {
    await this.#visit(this.#root, [])
    const resolution = { picks: this.#order, left: [...this.#left.values()] }
    return { resolution, wishes: this.#wishes, failure: this.#failure }
  }

  async #visit(name: PackageName, path: readonly string[]): Promise<void> {
    if (this.#visited.has(name)) return
    if (this.#visited.size >= LIMITS.install.packages || path.length > LIMITS.install.depth) {
      throw new RegistryError('LIMIT_EXCEEDED', `an install has at most ${LIMITS.install.packages} packages`)
    }
    this.#visited.add(name)
    const pick = await this.#pick(name, path.at(-1))
    if (pick === undefined) return
    this.#picks.set(name, pick)
    const by = `${shortNameOf(name)}@${pick.version}`
    for (const dependency of pick.content.manifest.dependencies) {
      const wanted = await this.#wantedOf(dependency, by, path)
      if (wanted === undefined) continue
      const wish = { range: dependency.range, by, from: name }
      this.#wishes.set(wanted, [...(this.#wishes.get(wanted) ?? []), wish])
      await this.#visit(wanted, [...path, by])
    }
    this.#order.push(pick)
  }

  /** The package that a dependency means, or undefined for one that is not installed. */
  async #wantedOf(
    { kind, name, range, optional }: Dependency,
    by: string,
    path: readonly string[]
  ): Promise<PackageName | undefined> {
    if (kind === 'external') {
      this.#left.set(name, { name, range, why: 'external' })
      return undefined
    }
    const wanted = packageNameOf('ggen', name)
    if (((await this.#find(wanted))?.versions.length ?? 0) > 0) return wanted
    if (optional === true) this.#left.set(name, { name, range, why: 'optional' })
    else this.#failure ??= missing({ name, range }, by, path)
    return undefined
  }

  async #pick(name: PackageName, by: string | undefined): Promise<Pick | undefined> {
    const view = await this.#find(name)
    const wishes = this.#wishesFor(name)
    try {
      if (view === undefined) throw new RegistryError('UNKNOWN_PACKAGE', `no package ${shortNameOf(name)}`)
      return pickVersion(view, wishes)
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error
      this.#failure ??= by === undefined ? error : asMissing(error, { name, by, wishes })
      return undefined
    }
  }

  /** What was asked in this walk, and what was guessed of packages that are not yet known to be picked otherwise. */
  #wishesFor(name: PackageName): readonly Wish[] {
    const asked = this.#wishes.get(name) ?? []
    const guessed = (this.#guessed.get(name) ?? []).filter(wish => {
      const pick = wish.from === undefined ? undefined : this.#picks.get(wish.from)
      return pick === undefined || wish.by === `${shortNameOf(pick.name)}@${pick.version}`
    })
    return distinct([...asked, ...guessed])
  }
}

function printOf(wishes: Wishes): string {
  const lines = [...wishes].flatMap(([name, list]) => list.map(({ by, range }) => `${name} ${by} ${range ?? ''}`))
  return [...new Set(lines)].toSorted().join('\n')
}

function merge(a: Wishes, b: Wishes): Wishes {
  const names = new Set([...a.keys(), ...b.keys()])
  return new Map([...names].map(name => [name, distinct([...(a.get(name) ?? []), ...(b.get(name) ?? [])])]))
}

function distinct(wishes: readonly Wish[]): readonly Wish[] {
  return [...new Map(wishes.map(wish => [`${wish.by} ${wish.range ?? ''}`, wish])).values()]
}

/** A version that is missing two levels down is a missing dependency to the person who asked. */
function asMissing(
  cause: RegistryError,
  { name, by, wishes }: { readonly name: PackageName; readonly by: string; readonly wishes: readonly Wish[] }
): RegistryError {
  if (cause.code !== 'UNKNOWN_VERSION') return cause
  const range = wishes.find(wish => wish.by === by)?.range ?? '*'
  const { tried, next } = cause
  return new RegistryError('MISSING_DEPENDENCY', `${by} needs ${shortNameOf(name)} ${range}: ${cause.message}`, {
    cause,
    tried,
    ...(next === undefined ? {} : { next })
  })
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
