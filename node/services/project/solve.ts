import type { RegistryId } from '../../../protocol/cid.ts'
import { RegistryError, isRegistryError } from '../../../protocol/errors.ts'
import type { PackageView } from '../../../protocol/fold.ts'
import { shortNameOf } from '../../../protocol/package-name.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { nameOfNode, nodeOf, registryIn } from '../../../protocol/solver/node-name.ts'
import type { Ask, NodeName, Words } from '../../../protocol/solver/node-name.ts'
import { isThere } from '../resolve.ts'
import type { FindPackage, NodeFinder, Place, Resolution, Solve } from '../resolve.ts'
import type { Bindings, Meanings } from './bindings.ts'
import type { LockedPack, PackId } from './lock-format.ts'
import type { Asked } from './outdated.ts'
import type { ProjectRegistry } from './project.ts'

/** What a project asks of the registries that are followed here. */
export interface SolveRequest extends Asked {
  /** What the lockfile has. */
  readonly locked: readonly LockedPack[]
  /** What of that counts for nothing. */
  readonly update: 'all' | ReadonlySet<PackId>
}

export interface SolveComponents {
  readonly solve: Solve
  readonly find: FindPackage
  readonly precedence: Meanings
}

/**
 * Solves for all registries at once: what a package calls its dependencies, `bindings` says of which registry that is.
 * A version in conflict is seen as the lockfile has it, by its content id, so that other wishes do not take it away.
 */
export async function solveFor(
  { solve, find, precedence, bindings }: SolveComponents & { readonly bindings: Bindings },
  { wishes, overrides, locked, update }: SolveRequest
): Promise<Resolution> {
  const around = new Around(precedence, bindings, locked)
  for (const { registry, key } of wishes) around.followed(registry, key)
  const before = new Map(locked.map(pack => [around.node(pack.name, pack.registry), pack]))
  const absent: Place[] = []
  const finder: NodeFinder = {
    find: async (registry, name) => {
      const view = await find(registry, name)
      const node = around.node(name, registry)
      if (!isThere(view)) absent.push({ registry, name, node })
      return view === undefined ? undefined : asLocked(view, before.get(node))
    },
    place: ask => around.place(ask),
    near: node => around.near(node),
    words: around.words
  }
  const request = {
    wishes: wishes.map(({ name, range, registry }) => ({ name: around.node(name, registry.id), range, by: 'you' })),
    locked: before,
    update: update === 'all' ? update : nodesOf(update, before),
    overrides: new Map(overrides.map(({ name, range, registry }) => [around.node(name, registry.id), range]))
  }
  try {
    return await solve(finder, request)
  } catch (error) {
    if (!isRegistryError(error)) throw error
    throw await withOthers(error, absent, { find, precedence })
  }
}

function nodesOf(ids: ReadonlySet<PackId>, locked: ReadonlyMap<NodeName, LockedPack>): ReadonlySet<NodeName> {
  return new Set([...locked].filter(([, { id }]) => ids.has(id)).map(([node]) => node))
}

/** The registries around one project, as the solver calls their packages. */
class Around {
  readonly #precedence: Meanings
  readonly #bindings: Bindings
  readonly #seen = new Set<RegistryId>()
  /** With one registry, and nothing locked in another, there is nothing to tell apart. */
  readonly #isOne: boolean

  constructor(precedence: Meanings, bindings: Bindings, locked: readonly LockedPack[]) {
    this.#precedence = precedence
    this.#bindings = bindings
    const [only, ...others] = precedence.all
    // Attack: what a private registry gave to a public package is taken from the public one, where that is all there is.
    this.#isOne = only !== undefined && others.length === 0 && locked.every(({ registry }) => registry === only.id)
  }

  /** @throws RegistryError UNKNOWN_REGISTRY */
  followed({ id, alias }: ProjectRegistry, what: string): void {
    if (this.#precedence.all.some(entry => entry.id === id)) return
    throw new RegistryError('UNKNOWN_REGISTRY', `${what} is of registry ${alias}, not followed here`, {
      detail: { registry: id },
      tried: [`looked for registry ${id}`],
      next: `ggen-node registry add ${id}@ADDRESS --alias ${alias}`
    })
  }

  node(name: PackageName, registry: RegistryId): NodeName {
    return this.#isOne ? name : nodeOf(name, registry)
  }

  async place(ask: Ask): Promise<Place | undefined> {
    const name = nameOfNode(ask)
    const said = registryIn(ask)
    const registry = said?.isFrom === true ? await this.#bindings.of(said.registry, name) : said?.registry
    const place = registry ?? (this.#isOne ? this.#precedence.all[0]?.id : undefined)
    if (place === undefined) return undefined
    this.followed({ id: place, alias: this.#aliasOf(place) }, shortNameOf(name))
    this.#seen.add(place)
    return { registry: place, name, node: this.node(name, place) }
  }

  async near(node: NodeName): Promise<readonly string[]> {
    const said = registryIn(node)
    const { all } = this.#precedence
    const looked = said === undefined || said.isFrom ? all : all.filter(({ id }) => id === said.registry)
    const near = await this.#precedence.nearIn(looked, nameOfNode(node))
    return this.#isOne ? near.map(reference => reference.slice(reference.indexOf(':') + 1)) : near
  }

  get words(): Words {
    const called: Words['called'] = node => {
      const said = registryIn(node)
      const short = shortNameOf(nameOfNode(node))
      return said === undefined || said.isFrom || this.#seen.size < 2
        ? short
        : `${this.#aliasOf(said.registry)}:${short}`
    }
    const absent: Words['absent'] = node => {
      const said = registryIn(node)
      const short = shortNameOf(nameOfNode(node))
      if (said === undefined) return `the registry has no package ${short}`
      if (said.isFrom) return `no registry that is followed here has a package ${short}`
      return `registry ${this.#aliasOf(said.registry)} has no package ${short}`
    }
    return { called, absent }
  }

  #aliasOf(registry: RegistryId): string {
    return this.#precedence.all.find(({ id }) => id === registry)?.alias ?? registry
  }
}

/** Says of what one registry was asked for and does not have which others do: they are not asked unless they are named. */
async function withOthers(
  error: RegistryError,
  absent: readonly Place[],
  { find, precedence }: Pick<SolveComponents, 'find' | 'precedence'>
): Promise<RegistryError> {
  const elsewhere: { readonly text: string; readonly reference: string }[] = []
  for (const { registry, name } of absent) {
    const own = precedence.all.find(({ id }) => id === registry)?.alias ?? registry
    for (const other of precedence.all.filter(({ id }) => id !== registry)) {
      if (!isThere(await find(other.id, name))) continue
      const text = `registry ${other.alias} holds a package ${shortNameOf(name)}, ${own} does not`
      elsewhere.push({ text, reference: precedence.reference(other, name) })
    }
  }
  if (elsewhere.length === 0) return error
  return new RegistryError(error.code, error.message, {
    cause: error,
    detail: error.detail,
    tried: [...error.tried, ...elsewhere.map(({ text }) => text)],
    next: `a dependency of a public package comes from its own registry; what you name yourself may come from another: ${elsewhere.map(({ reference }) => reference).join(' or ')}`
  })
}

function asLocked(view: PackageView, locked: LockedPack | undefined): PackageView {
  if (locked === undefined) return view
  const versions = view.versions.map(entry => {
    const own = entry.contents.find(({ root }) => root === locked.cid)
    return entry.version === locked.version && own !== undefined ? { ...entry, contents: [own] } : entry
  })
  return { ...view, versions }
}
