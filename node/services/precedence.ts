import type { RegistryId } from '../../protocol/cid.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { ecosystemOf, shortNameOf } from '../../protocol/package-name.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { isThere } from './resolve.ts'
import type { FindPackage } from './resolve.ts'

/** A registry that is followed here. */
export interface Followed {
  readonly id: RegistryId
  readonly alias: string
  readonly isDefault: boolean
}

/** What the rule reads of a node. */
export interface PrecedenceComponents<F extends Followed = Followed> {
  readonly registries: {
    /** In the order of following. */
    readonly all: readonly F[]
    /** @throws RegistryError NO_REGISTRY | UNKNOWN_REGISTRY */
    find(which: string | undefined): F
  }
  readonly find: FindPackage
  /**
   * Whether a registry that does not hold a name has facts about it, cut off or not, by somebody who could ever name or
   * publish it. `hasRow`: the view knows of some that were not cut off.
   */
  readonly isTraced: (registry: RegistryId, name: PackageName, hasRow: boolean) => Promise<boolean>
  readonly near: (registry: RegistryId, name: PackageName) => Promise<readonly string[]>
  readonly isPrivate: (registry: F) => boolean
  /** Whether what a registry holds is known well enough to say that it does not hold a name. */
  readonly isRead: (registry: F) => boolean
  /** Whether a private registry was heard lately, so that what it did not hold then can be taken from a public one. */
  readonly isFresh: (registry: F) => boolean
  /** When a registry was last heard to the end, in milliseconds since 1970. */
  readonly heardAt: (registry: F) => number | undefined
}

/** What a registry says of a name. `traces`: somebody who could has said something of it that does not count, or no more. */
export type Holding = 'claimed' | 'nothing' | 'traces'

/** What became of looking for the registry that a name means. */
export type Standing<F extends Followed = Followed> =
  | { readonly type: 'found'; readonly registry: F; readonly isPrivate: boolean }
  /** Several private registries hold it. */
  | { readonly type: 'ambiguous'; readonly registries: readonly F[] }
  /** A registry that comes before all others may hold it, and was never read, or not for long. */
  | { readonly type: 'unread'; readonly registry: F; readonly isPrivate: boolean }
  /** A private registry has facts about it that do not count. */
  | { readonly type: 'traces'; readonly registry: F }
  | { readonly type: 'absent'; readonly looked: readonly F[] }

/** Who means a name. */
export interface Meaning {
  /** The registry of the package that needs it. A public one is the only public one that is looked at. */
  readonly from?: RegistryId | undefined
  /** The registry that stands in for the default one. */
  readonly main?: RegistryId | undefined
}

/**
 * Which registry a name without an alias means, docs/spec/resolution.md section 6. Private registries come before all
 * others and are all looked at; the first registry that holds the name is the only one that versions come from.
 *
 * Attack: dependency confusion. A stranger's package of a private one's name, in whatever version, is never reached,
 * because versions are compared only within the registry that was found; and where it can't be known whether a private
 * registry has the name, nothing is found.
 */
export class Precedence<F extends Followed = Followed> {
  readonly #components: PrecedenceComponents<F>

  constructor(components: PrecedenceComponents<F>) {
    this.#components = components
  }

  /** The same rule for whoever says that what is known here is enough, however old it is. */
  asKnown(): Precedence<F> {
    return new Precedence({ ...this.#components, isFresh: () => true })
  }

  /** The same rule over what somebody else reads. */
  over(find: FindPackage): Precedence<F> {
    return new Precedence({ ...this.#components, find })
  }

  get all(): readonly F[] {
    return this.#components.registries.all
  }

  isPrivate(registry: F): boolean {
    return this.#components.isPrivate(registry)
  }

  /** @throws RegistryError NO_REGISTRY */
  async standing(name: PackageName, { from, main }: Meaning = {}): Promise<Standing<F>> {
    const { registries, isPrivate, isRead } = this.#components
    const usual = registries.find(undefined)
    const [only, ...others] = registries.all
    // Nothing to choose from: whoever asks finds out by itself whether it is there.
    if (only !== undefined && others.length === 0) return { type: 'found', registry: only, isPrivate: isPrivate(only) }
    const within = await this.#privately(name)
    if (within !== undefined) return within
    const isOpen = (entry: F): boolean => !isPrivate(entry)
    // Attack: a colleague claims a name, a stranger publishes it in public, and whoever has not heard of the first gets
    // the second's. What is private as far as is known here stays found; only what would be taken from outside waits.
    const stale = registries.all.some(isOpen) ? this.#stale() : undefined
    if (stale !== undefined) return { type: 'unread', registry: stale, isPrivate: true }
    const own = registries.all.find(({ id }) => id === from)
    // Attack: a public package needs a name that its registry does not hold, and a third registry gives it to a stranger.
    if (own !== undefined && !isPrivate(own)) return { type: 'found', registry: own, isPrivate: false }
    const first = [main, usual.id].flatMap(id => registries.all.filter(entry => entry.id === id))
    const open = [...new Set([...first, ...registries.all])].filter(isOpen)
    for (const registry of open) {
      if (await this.holds(registry, name)) return { type: 'found', registry, isPrivate: false }
      if (!isRead(registry)) return { type: 'unread', registry, isPrivate: false }
    }
    return { type: 'absent', looked: registries.all }
  }

  /** What private registries say, taken together; undefined when all were read and none has ever heard of it. */
  async #privately(name: PackageName): Promise<Standing<F> | undefined> {
    const { registries, isPrivate, isRead } = this.#components
    const closed = registries.all.filter(isPrivate)
    const unread = closed.find(registry => !isRead(registry))
    if (unread !== undefined) return { type: 'unread', registry: unread, isPrivate: true }
    const holdings = await Promise.all(closed.map(registry => this.#holding(registry, name)))
    const having = (wanted: Holding): readonly F[] => closed.filter((_, i) => holdings[i] === wanted)
    const [registry, ...others] = having('claimed')
    if (registry !== undefined && others.length > 0) return { type: 'ambiguous', registries: [registry, ...others] }
    if (registry !== undefined) return { type: 'found', registry, isPrivate: true }
    const [traced] = having('traces')
    return traced === undefined ? undefined : { type: 'traces', registry: traced }
  }

  /** A private registry that was not heard for long. */
  #stale(): F | undefined {
    const { registries, isPrivate, isFresh } = this.#components
    return registries.all.find(registry => isPrivate(registry) && !isFresh(registry))
  }

  async holds({ id }: F, name: PackageName): Promise<boolean> {
    return isThere(await this.#components.find(id, name))
  }

  /**
   * Attack: whoever makes a private name go away opens it to a stranger's package of that name. Facts that were cut off
   * with a stolen key leave their trace.
   */
  async #holding({ id }: F, name: PackageName): Promise<Holding> {
    const view = await this.#components.find(id, name)
    if (isThere(view)) return 'claimed'
    return (await this.#components.isTraced(id, name, view !== undefined)) ? 'traces' : 'nothing'
  }

  /** The registry that a name means. @throws RegistryError NO_REGISTRY | AMBIGUOUS_NAME | UNKNOWN_PACKAGE */
  async find(name: PackageName, meaning: Meaning = {}): Promise<F> {
    const standing = await this.standing(name, meaning)
    return standing.type === 'found' ? standing.registry : Promise.reject(await this.errorOf(name, standing))
  }

  /**
   * The registry that something is written to: the private one that holds the name, else the default one. Attack: none,
   * but what is published or asked for under a private name must not end up in public by accident.
   * @throws RegistryError NO_REGISTRY | AMBIGUOUS_NAME
   */
  async forWriting(name: PackageName): Promise<F> {
    const { registries, isPrivate } = this.#components
    const usual = registries.find(undefined)
    const standing = registries.all.length === 1 ? undefined : await this.#privately(name)
    if (standing === undefined) {
      const stale = registries.all.length === 1 || isPrivate(usual) ? undefined : this.#stale()
      if (stale === undefined) return usual
      throw await this.errorOf(name, { type: 'unread', registry: stale, isPrivate: true })
    }
    return standing.type === 'found' ? standing.registry : Promise.reject(await this.errorOf(name, standing))
  }

  /** All registries that hold a name, in the order of following. */
  async holders(name: PackageName): Promise<readonly F[]> {
    const held = await Promise.all(this.all.map(registry => this.holds(registry, name)))
    return this.all.filter((_, i) => held[i])
  }

  /** What to tell a person whose name means no one registry. */
  async errorOf(name: PackageName, standing: Exclude<Standing<F>, { type: 'found' }>): Promise<RegistryError> {
    switch (standing.type) {
      case 'absent':
        return this.#absent(name, standing.looked)
      case 'ambiguous': {
        const named = standing.registries.map(registry => this.reference(registry, name))
        const holders = standing.registries.map(({ alias }) => alias)
        return ambiguous(name, `${holders.join(' and ')}, all private, hold a package of that name`, {
          tried: standing.registries.map(({ id, alias }) => `${alias} is registry ${id}`),
          next: `say which one you mean: ${named.join(' or ')}`
        })
      }
      case 'unread':
        return this.#unread(name, standing)
      case 'traces': {
        const { registry } = standing
        const others = this.all.filter(other => other.id !== registry.id)
        return ambiguous(name, `${registry.alias}, a private registry, has statements about it that do not count`, {
          tried: [`${registry.alias} is registry ${registry.id}`],
          next: `ask an owner of ${registry.alias} about it; or say which registry you mean: ${others.map(other => this.reference(other, name)).join(' or ')}`
        })
      }
    }
  }

  #unread(name: PackageName, { registry, isPrivate }: Extract<Standing<F>, { type: 'unread' }>): RegistryError {
    const { isRead, heardAt } = this.#components
    const kind = isPrivate ? 'a private registry' : 'which comes before others'
    const heard = heardAt(registry)
    const since = heard === undefined ? 'for long' : `since ${new Date(heard).toISOString()}`
    const isStale = isPrivate && isRead(registry)
    const others = this.all.filter(other => other.id !== registry.id)
    const connect = `connect to a node that follows ${registry.alias}: ggen-node connect ADDRESS`
    const known = isStale ? '; or go by what is known here: install --offline' : ''
    return ambiguous(
      name,
      `${registry.alias}, ${kind}, was ${isStale ? `not heard ${since}` : 'never read here'} and may hold it`,
      {
        tried: [`${registry.alias} is registry ${registry.id}`],
        next: `${connect}${known}; or say which registry you mean: ${others.map(other => this.reference(other, name)).join(' or ')}`
      }
    )
  }

  async #absent(name: PackageName, looked: readonly F[]): Promise<RegistryError> {
    const near = await this.nearIn(looked, name)
    return new RegistryError(
      'UNKNOWN_PACKAGE',
      `no registry that is followed here has a package ${shortNameOf(name)}`,
      {
        tried: [`looked in ${looked.map(({ alias }) => alias).join(', ')}`],
        next: near.length > 0 ? `perhaps you meant ${near.join(' or ')}` : 'run ggen-node search to see what there is'
      }
    )
  }

  /** Names that come near in each of these, as references: the nearest of each, then the next. */
  async nearIn(registries: readonly F[], name: PackageName): Promise<readonly string[]> {
    const found = await Promise.all(
      registries.map(async registry =>
        (await this.#components.near(registry.id, name)).map(short => `${registry.alias}:${short}`)
      )
    )
    const ranked = found.flatMap(near => near.map((reference, rank) => ({ reference, rank })))
    return ranked
      .toSorted((a, b) => a.rank - b.rank)
      .slice(0, LIMITS.search.nearNames)
      .map(({ reference }) => reference)
  }

  /** `acme:left-pad`: what means exactly this one. */
  reference({ alias }: Pick<F, 'alias'>, name: PackageName): string {
    return `${alias}:${ecosystemOf(name) === 'ggen' ? shortNameOf(name) : name}`
  }
}

function ambiguous(
  name: PackageName,
  why: string,
  told: { readonly tried: readonly string[]; readonly next: string }
): RegistryError {
  return new RegistryError('AMBIGUOUS_NAME', `which package ${shortNameOf(name)} is cannot be told: ${why}`, told)
}
