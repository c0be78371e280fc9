import type { RegistryId } from '../protocol/cid.ts'
import { parseRegistryId } from '../protocol/cid.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { parseAlias, parseReference } from '../protocol/reference.ts'
import type { Reference } from '../protocol/reference.ts'
import type { FollowedRegistry } from '../storage/records.ts'
import { PUBLIC_SWARM } from './config-schema.ts'

/** Where the list of followed registries is kept. */
export interface RegistryRecords {
  registries(): Promise<readonly FollowedRegistry[]>
  putRegistries(registries: readonly FollowedRegistry[]): Promise<void>
  unfollow(registry: RegistryId, others: readonly FollowedRegistry[]): Promise<void>
}

/** How a registry is followed. */
export interface AddOptions {
  readonly alias: string | undefined
  readonly isDefault: boolean
  readonly singleSource?: boolean
  /** The private swarm that carries it; without one the public swarm does, or the one that did before. */
  readonly swarm?: string
  /** It is founded here and now. */
  readonly made?: boolean
}

/** The registries that are followed here and the names they go by. At most one is the default. */
export class Registries {
  readonly #records: RegistryRecords
  #all: readonly FollowedRegistry[] = []

  constructor(records: RegistryRecords) {
    this.#records = records
  }

  async load(): Promise<void> {
    this.#all = await this.#records.registries()
  }

  /** In the order of following. */
  get all(): readonly FollowedRegistry[] {
    return this.#all
  }

  get ids(): readonly RegistryId[] {
    return this.#all.map(entry => entry.id)
  }

  /** Adds one, or changes its alias. The first one becomes the default. */
  async add(id: string, { alias, isDefault, ...given }: AddOptions): Promise<FollowedRegistry> {
    const registry = parseId(id)
    const known = this.#all.find(entry => entry.id === registry)
    const name = alias === undefined ? (known?.alias ?? this.#freeAlias()) : parseAlias(alias)
    const other = this.#all.find(entry => entry.alias === name && entry.id !== registry)
    if (other !== undefined) {
      throw new RegistryError('ALREADY_EXISTS', `the alias ${name} already names registry ${other.id}`, {
        next: 'choose another with --alias'
      })
    }
    if (known === undefined && this.#all.length >= LIMITS.config.registries) {
      throw new RegistryError('LIMIT_EXCEEDED', `a node follows at most ${LIMITS.config.registries} registries`)
    }
    const becomesDefault = isDefault || this.#all.length === 0 || known?.isDefault === true
    const entry: FollowedRegistry = {
      id: registry,
      alias: name,
      isDefault: becomesDefault,
      singleSource: given.singleSource ?? known?.singleSource ?? false,
      swarm: given.swarm ?? known?.swarm ?? PUBLIC_SWARM,
      made: given.made ?? known?.made ?? false,
      order: known?.order ?? Math.max(0, ...this.#all.map(({ order }) => order)) + 1
    }
    const others = this.#all
      .filter(candidate => candidate.id !== registry)
      .map(candidate => (becomesDefault ? { ...candidate, isDefault: false } : candidate))
    await this.#records.putRegistries([entry, ...others])
    this.#all = [...others, entry].toSorted((a, b) => a.order - b.order)
    return entry
  }

  /**
   * Follows one no longer. The default one goes only when another takes its place, or none is left: a name without an alias
   * must never come to mean another registry's package by accident.
   */
  async remove(which: string, newDefault: string | undefined): Promise<FollowedRegistry> {
    const entry = this.find(which)
    const others = this.#all.filter(({ id }) => id !== entry.id)
    const next = newDefault === undefined ? undefined : this.find(newDefault)
    if (next?.id === entry.id) throw new RegistryError('USAGE', 'the new default is the registry that goes')
    if (entry.isDefault && others.length > 0 && next === undefined) {
      throw new RegistryError('USAGE', `${entry.alias} is the default registry: say which one is to be`, {
        tried: [`followed: ${others.map(({ alias }) => alias).join(', ')}`],
        next: `ggen-node registry remove ${entry.alias} --default ${others[0]?.alias ?? 'ALIAS'}`
      })
    }
    const changed = next === undefined ? others : others.map(other => ({ ...other, isDefault: other.id === next.id }))
    await this.#records.unfollow(entry.id, next === undefined ? [] : changed)
    this.#all = changed
    return entry
  }

  /** By alias, by id, or the default. @throws RegistryError NO_REGISTRY | UNKNOWN_REGISTRY */
  find(which: string | undefined): FollowedRegistry {
    if (this.#all.length === 0) {
      throw new RegistryError('NO_REGISTRY', 'this node knows no registry yet', {
        next: 'follow one: ggen-node registry add ID@ADDRESS, or make your own: ggen-node init'
      })
    }
    const found = this.#all.find(entry =>
      which === undefined ? entry.isDefault : entry.alias === which || entry.id === which
    )
    if (found !== undefined) return found
    throw new RegistryError('UNKNOWN_REGISTRY', `no registry ${which ?? '(default)'} is followed here`, {
      tried: [`followed: ${this.#all.map(entry => entry.alias).join(', ')}`],
      next: 'ggen-node registry list shows them; ggen-node registry add ID@ADDRESS follows another'
    })
  }

  /** A reference and the registry it means. */
  resolve(text: string): { readonly reference: Reference; readonly registry: FollowedRegistry } {
    const reference = parseReference(text)
    return { reference, registry: this.find(reference.alias) }
  }

  /** The same, of a registry that was named beside it. @throws RegistryError USAGE when the two are not one */
  resolveIn(
    text: string,
    which: string | undefined
  ): { readonly reference: Reference; readonly registry: FollowedRegistry } {
    const reference = parseReference(text)
    const registry = this.find(reference.alias ?? which)
    if (which === undefined || this.find(which).id === registry.id) return { reference, registry }
    throw new RegistryError('USAGE', `${text} is of registry ${registry.alias}, and --registry says ${which}`)
  }

  #freeAlias(): string {
    for (let n = this.#all.length + 1; ; n++) {
      const alias = n === 1 ? 'main' : `registry-${n}`
      if (!this.#all.some(entry => entry.alias === alias)) return alias
    }
  }
}

function parseId(text: string): RegistryId {
  try {
    return parseRegistryId(text)
  } catch (cause) {
    throw new RegistryError('UNKNOWN_REGISTRY', `${JSON.stringify(text.slice(0, 80))} is not a registry id`, {
      cause,
      next: 'a registry id begins with bafyrei; the owner sees it with ggen-node registry list'
    })
  }
}
