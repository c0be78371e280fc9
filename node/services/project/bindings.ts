import type { RegistryId } from '../../../protocol/cid.ts'
import { isRegistryError } from '../../../protocol/errors.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Precedence, Standing } from '../precedence.ts'
import type { FindPackage } from '../resolve.ts'
import type { Lock, LockedPack } from './lock-format.ts'

/** Which registries names mean, as far as that is not written down in a project. */
export interface Meanings extends Pick<Precedence, 'all' | 'errorOf' | 'nearIn' | 'reference' | 'standing'> {
  over(find: FindPackage): Meanings
}

export interface BindingsInit {
  readonly precedence: Meanings
  /** The registry that plain names of the project mean first; undefined when it has none. */
  readonly main: RegistryId | undefined
  /** What overrides with an alias say of the names of dependencies. */
  readonly decided: ReadonlyMap<PackageName, RegistryId>
  /** Names that are locked may move to where precedence has them now. */
  readonly acceptMoves: boolean
}

/**
 * Of which registry the dependencies of one project's packages are: first what an override says where a private registry
 * has to do with the name, then what the lockfile says, then precedence.
 */
export class Bindings {
  readonly #init: BindingsInit
  readonly #locked: ReadonlyMap<string, RegistryId>
  readonly #asked = new Map<string, Promise<RegistryId | undefined>>()
  readonly #known = new Map<string, RegistryId | undefined>()

  constructor(lock: Lock, init: BindingsInit) {
    this.#init = init
    this.#locked = new Map(edgesIn(lock).map(({ from, to }) => [keyOf(from.registry, to.name), to.registry]))
  }

  /** Undefined for a name that no registry holds. @throws RegistryError AMBIGUOUS_NAME */
  of(from: RegistryId, name: PackageName): Promise<RegistryId | undefined> {
    const key = keyOf(from, name)
    const asked = this.#asked.get(key) ?? this.#find(from, name)
    this.#asked.set(key, asked)
    return asked
  }

  /** Looks these up, so that `known` can answer. A name that nobody can place is left for whoever needs it. */
  async load(needs: readonly { readonly from: RegistryId; readonly name: PackageName }[]): Promise<void> {
    for (const { from, name } of needs) {
      const found = await this.of(from, name).catch((error: unknown) => {
        if (isRegistryError(error) && error.code === 'AMBIGUOUS_NAME') return undefined
        throw error
      })
      this.#known.set(keyOf(from, name), found)
    }
  }

  /** What was looked up; undefined too for what was not. */
  known(from: RegistryId, name: PackageName): RegistryId | undefined {
    return this.#known.get(keyOf(from, name))
  }

  /** What precedence says, and whether an override has the last word. */
  async standing(
    from: RegistryId,
    name: PackageName
  ): Promise<{ standing: Standing; decided: RegistryId | undefined }> {
    const { precedence, main, decided } = this.#init
    const standing = await precedence.standing(name, { from, main })
    // Between public registries an override is about one of them: whoever needs another one's package still does.
    return { standing, decided: concernsPrivate(standing) ? decided.get(name) : undefined }
  }

  async #find(from: RegistryId, name: PackageName): Promise<RegistryId | undefined> {
    const { precedence, acceptMoves, decided: overrides } = this.#init
    const locked = this.#locked.get(keyOf(from, name))
    // What is locked in a registry that is not followed here is looked for nowhere else.
    const mayMove = acceptMoves && precedence.all.some(({ id }) => id === locked)
    if (locked !== undefined && !mayMove && !overrides.has(name)) return locked
    const { standing, decided } = await this.standing(from, name)
    if (decided !== undefined) return decided
    if (locked !== undefined && (!mayMove || standing.type !== 'found')) return locked
    switch (standing.type) {
      case 'found':
        return standing.registry.id
      case 'absent':
        return undefined
      case 'ambiguous':
      case 'traces':
      case 'unread':
        throw await precedence.errorOf(name, standing)
    }
  }
}

/** Whether a private registry has to do with a name, or may have. */
export function concernsPrivate(standing: Standing): boolean {
  switch (standing.type) {
    case 'found':
    case 'unread':
      return standing.isPrivate
    case 'ambiguous':
    case 'traces':
      return true
    case 'absent':
      return false
  }
}

/** Which locked package needs which. */
export function edgesIn({ packs }: Lock): readonly { readonly from: LockedPack; readonly to: LockedPack }[] {
  return [...packs.values()].flatMap(from =>
    from.dependencies.flatMap(id => {
      const to = packs.get(id)
      return to === undefined ? [] : [{ from, to }]
    })
  )
}

function keyOf(from: RegistryId, name: PackageName): string {
  return `${from} ${name}`
}
