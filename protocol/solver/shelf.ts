import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { Version } from '../version.ts'
import type { Budget } from './budget.ts'
import { Candidates } from './catalogue.ts'
import type { CataloguePackage, CatalogueVersion, Need } from './catalogue.ts'
import type { Asked } from './incompatibility.ts'
import { askOf, PLAIN_WORDS } from './node-name.ts'
import type { Ask, NodeName, Words } from './node-name.ts'
import { NOTHING } from './version-set.ts'
import type { VersionSet } from './version-set.ts'

/**
 * What a search needs to know next, and what it is told: undefined for what there is not. The package that answers says
 * which node it is; what nothing answers is a node of its own.
 */
export type Asking<T> = Generator<readonly Ask[], T, ReadonlyMap<Ask, CataloguePackage | undefined> | undefined>

export interface ShelfRules {
  /** The versions of the lockfile that may stay. */
  readonly kept: ReadonlyMap<NodeName, Version>
  /** Ranges of the project that replace what anybody else asks of a name. */
  readonly overrides: ReadonlyMap<NodeName, string>
  /** Ranges that the person or the project wrote, by name. */
  readonly ownRanges: ReadonlyMap<NodeName, readonly string[]>
  readonly words?: Words
}

/** A need, and the package that it means. */
export interface BoundNeed {
  readonly name: NodeName
  readonly range: string
  readonly said: Need
}

/** The packages that one resolution has looked up: each once, so that a fact that arrives meanwhile changes nothing. */
export class Shelf {
  /** How many versions of a package may be picked. */
  readonly size = (name: NodeName): number => this.#packages.get(name)?.count ?? 0
  readonly words: Words
  readonly #rules: ShelfRules
  readonly #packages = new Map<NodeName, Candidates | undefined>()
  readonly #meant = new Map<Ask, NodeName>()

  constructor(rules: ShelfRules) {
    this.#rules = rules
    this.words = rules.words ?? PLAIN_WORDS
  }

  /** Undefined when the registry holds no package of that name. */
  get(name: NodeName): Candidates | undefined {
    return this.#packages.get(name)
  }

  /** Looks up what was not looked up yet. */
  *load(asks: Iterable<Ask>): Asking<void> {
    const missing = [...new Set(asks)].filter(ask => !this.#meant.has(ask))
    for (let from = 0; from < missing.length; from += LIMITS.solver.namesPerRound) {
      const asked = missing.slice(from, from + LIMITS.solver.namesPerRound)
      const found = yield asked
      for (const ask of asked) this.#put(ask, found?.get(ask))
    }
  }

  has(ask: Ask): boolean {
    return this.#meant.has(ask)
  }

  /** What a version needs, as far as was looked up which packages that are. */
  needsOf(from: NodeName, { needs }: CatalogueVersion): readonly BoundNeed[] {
    return needs.flatMap(need => this.bound(from, need) ?? [])
  }

  /** Undefined when nobody has looked up yet which package is meant. */
  bound(from: NodeName, said: Need): BoundNeed | undefined {
    const name = this.#meant.get(askOf(from, said.name))
    return name === undefined ? undefined : { name, range: said.range, said }
  }

  /**
   * The versions that a range means, under the project's overrides.
   * @throws RegistryError INVALID_VERSION | LIMIT_EXCEEDED
   */
  meaningOf(
    { name, range }: { readonly name: NodeName; readonly range: string },
    budget: Budget
  ): { readonly asked: Asked; readonly set: VersionSet } {
    const override = this.#rules.overrides.get(name)
    const isReplaced = override !== undefined && override !== range
    const asked = { name, range: override ?? range, instead: isReplaced ? range : undefined }
    const candidates = this.get(name)
    if (candidates === undefined) return { asked: { ...asked, unmet: 'absent' }, set: NOTHING }
    if (!candidates.isKnown(asked.range)) budget.spend(candidates.known.length)
    const set = candidates.setOf(asked.range)
    return { asked: { ...asked, unmet: set.length === 0 ? 'none-fits' : undefined }, set }
  }

  #put(ask: Ask, found: CataloguePackage | undefined): void {
    const name = found?.name ?? (ask as NodeName)
    this.#meant.set(ask, name)
    if (this.#packages.has(name)) return
    if (this.#packages.size >= LIMITS.solver.packages) {
      throw new RegistryError('LIMIT_EXCEEDED', `a resolution looks at most at ${LIMITS.solver.packages} packages`, {
        next: 'ask for fewer packages at once'
      })
    }
    const { kept, ownRanges } = this.#rules
    const rules = { locked: kept.get(name), ownRanges: ownRanges.get(name) ?? [], words: this.words }
    this.#packages.set(name, found && new Candidates(found, rules))
  }
}
