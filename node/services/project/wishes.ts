import type { RegistryId } from '../../../protocol/cid.ts'
import { compareText } from '../../../protocol/bytes.ts'
import { RegistryError } from '../../../protocol/errors.ts'
import { ecosystemOf, shortNameOf } from '../../../protocol/package-name.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { parseReference } from '../../../protocol/reference.ts'
import type { Standing } from '../precedence.ts'
import type { Meanings } from './bindings.ts'
import { isLongId, packId } from './lock-format.ts'
import type { Lock, LockedPack, PackId } from './lock-format.ts'
import type { ProjectFile, ProjectRegistry, Want } from './project.ts'

/** The registries that are followed here, by alias, by id, or the default. */
export interface ProjectRegistries {
  /** @throws RegistryError NO_REGISTRY | UNKNOWN_REGISTRY */
  find(which: string | undefined): ProjectRegistry
  readonly all: readonly ProjectRegistry[]
}

/** A wish whose registry is known. */
export interface Wish extends Want {
  readonly id: PackId
  readonly registry: ProjectRegistry
}

export interface ProjectNamesInit {
  readonly lock: Lock
  readonly wants: readonly Want[]
  /** Names without an alias that must mean something. */
  readonly asked: ReadonlySet<PackageName>
  readonly registries: ProjectRegistries
  readonly precedence: Meanings
  /** Names that are locked may move to where precedence has them now. */
  readonly acceptMoves: boolean
}

/**
 * Which registry the names of one project mean. What the lockfile says comes first, so that a project means the same to
 * everybody who has it: aliases and the default registry are each person's own. What is not locked goes by precedence.
 */
export class ProjectNames {
  readonly #init: ProjectNamesInit
  readonly #lock: Lock
  readonly #registries: ProjectRegistries
  readonly #standings = new Map<PackageName, Standing>()
  readonly #errors = new Map<PackageName, RegistryError>()

  private constructor(init: ProjectNamesInit) {
    this.#init = init
    this.#lock = init.lock
    this.#registries = init.registries
  }

  /** Looks up what names mean that a command is about. @throws RegistryError NO_REGISTRY */
  static async open(init: ProjectNamesInit, wanted: Iterable<PackageName>): Promise<ProjectNames> {
    const names = new ProjectNames(init)
    for (const name of new Set(wanted)) {
      const standing = await init.precedence.standing(name, { main: names.main().id })
      names.#standings.set(name, standing)
      const isAsked = init.asked.has(name) && names.lockedFor({ alias: undefined, name }) === undefined
      if (standing.type !== 'found' && isAsked) names.#errors.set(name, await init.precedence.errorOf(name, standing))
    }
    return names
  }

  /** The registry that plain names mean. @throws RegistryError NO_REGISTRY when neither lock nor node has one */
  main(): ProjectRegistry {
    const plain = [...this.#lock.packs.values()].find(({ id }) => !isLongId(id))
    return plain === undefined ? this.#registries.find(undefined) : this.#named(plain)
  }

  /** @throws RegistryError NO_REGISTRY | UNKNOWN_REGISTRY */
  wishOf(want: Want): Wish {
    const registry = this.#registryOf(want)
    return { ...want, registry, id: this.idOf(want.name, registry.id) }
  }

  /** The same of an override. What it is about may be locked for others alone, and need not be there at all. */
  overrideOf(want: Want): Wish {
    if (want.alias !== undefined) return this.wishOf(want)
    const [locked] = [...this.#lock.packs.values()].filter(pack => pack.name === want.name).toSorted(plainFirst)
    const standing = this.#standings.get(want.name)
    const meant = standing?.type === 'found' ? standing.registry : this.main()
    const registry = locked === undefined ? meant : this.#named(locked)
    return { ...want, registry, id: this.idOf(want.name, registry.id) }
  }

  idOf(name: PackageName, registry: RegistryId): PackId {
    const long = packId(name, registry, false)
    if (this.#lock.packs.has(long)) return long
    return packId(name, registry, this.main().id === registry)
  }

  /** What precedence says of a name without an alias. */
  standingOf(name: PackageName): Standing | undefined {
    return this.#standings.get(name)
  }

  /**
   * The locked package that a wish of the project means. Several may have its name: those that wishes with an alias mean
   * are not meant by the one without.
   */
  lockedFor({ alias, name }: Pick<Want, 'alias' | 'name'>): LockedPack | undefined {
    const same = [...this.#lock.packs.values()].filter(pack => pack.name === name)
    if (alias !== undefined) return same.find(pack => pack.alias === alias)
    const others = this.#init.wants.filter(want => want.name === name && want.alias !== undefined)
    const elsewhere = new Set(others.map(want => this.lockedFor(want)?.id))
    return same.filter(({ id, requested }) => requested !== undefined && !elsewhere.has(id)).toSorted(plainFirst)[0]
  }

  #registryOf({ alias, name }: Want): ProjectRegistry {
    const locked = this.lockedFor({ alias, name })
    if (alias !== undefined) return locked === undefined ? this.#registries.find(alias) : this.#named(locked)
    if (locked !== undefined && !this.#mayMove(locked)) return this.#named(locked)
    const standing = this.#standings.get(name)
    if (standing?.type === 'found') return standing.registry
    if (locked !== undefined) return this.#named(locked)
    const error = this.#errors.get(name)
    if (error !== undefined) throw error
    return this.main()
  }

  /** What is locked in a registry that is not followed here is looked for nowhere else, whatever moves are accepted. */
  #mayMove({ registry }: LockedPack): boolean {
    return this.#init.acceptMoves && this.#registries.all.some(({ id }) => id === registry)
  }

  #named({ registry, alias }: LockedPack): ProjectRegistry {
    return this.#registries.all.find(({ id }) => id === registry) ?? { id: registry, alias }
  }
}

function plainFirst(a: LockedPack, b: LockedPack): number {
  return Number(isLongId(a.id)) - Number(isLongId(b.id)) || compareText(a.id, b.id)
}

/** The key of a wish in a project file. */
export function wantKey(alias: string | undefined, name: PackageName): string {
  const short = ecosystemOf(name) === 'ggen' ? shortNameOf(name) : name
  return alias === undefined ? short : `${alias}:${short}`
}

/** What a person typed, as a wish without a range of its own when there was none. */
export interface TypedWish {
  readonly alias: string | undefined
  readonly name: PackageName
  readonly range: string | undefined
}

/** @throws RegistryError INVALID_REFERENCE | INVALID_NAME | INVALID_VERSION */
export function parseTyped(text: string, registry: string | undefined): TypedWish {
  const { alias, name, range } = parseReference(text)
  if (alias !== undefined && registry !== undefined && alias !== registry) {
    throw new RegistryError('USAGE', `${text} names a registry, and --registry names another`)
  }
  return { alias: alias ?? registry, name, range }
}

/** The wish that a typed name means: by its key, or the only one of that name. */
export function findWant({ wants }: ProjectFile, { alias, name }: TypedWish, names: ProjectNames): Want | undefined {
  const own = wants.find(want => want.name === name && want.alias === alias)
  if (own !== undefined) return own
  const same = wants.filter(want => want.name === name)
  if (alias === undefined) return same.length === 1 ? same[0] : undefined
  const { id } = names.wishOf({ key: '', alias, name, range: '*' })
  return same.find(want => names.wishOf(want).id === id)
}

/** The entry that a typed name means. @throws RegistryError NOT_IN_PROJECT | INVALID_REFERENCE when several fit */
export function findLocked({ packs }: Lock, { alias, name }: TypedWish): LockedPack {
  const fitting = [...packs.values()].filter(pack => pack.name === name && (alias ?? pack.alias) === pack.alias)
  const plain = alias === undefined ? fitting.find(({ id }) => !isLongId(id)) : undefined
  const [first, second] = fitting
  const found = plain ?? (second === undefined ? first : undefined)
  if (found !== undefined) return found
  const short = shortNameOf(name)
  if (first === undefined) {
    throw new RegistryError('NOT_IN_PROJECT', `${wantKey(alias, name)} is not in this project`, {
      tried: ['looked in .ggen/packs.lock'],
      next: 'ggen-node list shows what is'
    })
  }
  throw new RegistryError('INVALID_REFERENCE', `${short} is in this project from ${fitting.length} registries`, {
    next: `name one: ${fitting.map(pack => `${pack.alias}:${short}`).join(' or ')}`
  })
}
