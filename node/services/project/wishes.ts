import { RegistryError } from '../../../protocol/errors.ts'
import type { RegistryId } from '../../../protocol/cid.ts'
import { ecosystemOf, shortNameOf } from '../../../protocol/package-name.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { parseReference } from '../../../protocol/reference.ts'
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

/**
 * Which registry the names of one project mean. What the lockfile says comes first, so that a project means the same to
 * everybody who has it: aliases and the default registry are each person's own.
 */
export class ProjectNames {
  readonly #lock: Lock
  readonly #registries: ProjectRegistries

  constructor(lock: Lock, registries: ProjectRegistries) {
    this.#lock = lock
    this.#registries = registries
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

  idOf(name: PackageName, registry: RegistryId): PackId {
    const long = packId(name, registry, false)
    if (this.#lock.packs.has(long)) return long
    return packId(name, registry, this.main().id === registry)
  }

  #registryOf({ alias, name }: Want): ProjectRegistry {
    if (alias === undefined) return this.main()
    const locked = [...this.#lock.packs.values()].find(pack => pack.alias === alias && pack.name === name)
    return locked === undefined ? this.#registries.find(alias) : this.#named(locked)
  }

  #named({ registry, alias }: LockedPack): ProjectRegistry {
    return this.#registries.all.find(({ id }) => id === registry) ?? { id: registry, alias }
  }
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
