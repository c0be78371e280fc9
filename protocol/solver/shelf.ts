import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { PackageName } from '../package-name.ts'
import type { Version } from '../version.ts'
import type { Budget } from './budget.ts'
import { Candidates } from './catalogue.ts'
import type { CataloguePackage } from './catalogue.ts'
import type { Asked } from './incompatibility.ts'
import { NOTHING } from './version-set.ts'
import type { VersionSet } from './version-set.ts'

/** What a search needs to know next, and what it is told: undefined for a name that the registry does not hold. */
export type Asking<T> = Generator<
  readonly PackageName[],
  T,
  ReadonlyMap<PackageName, CataloguePackage | undefined> | undefined
>

export interface ShelfRules {
  /** The versions of the lockfile that may stay. */
  readonly kept: ReadonlyMap<PackageName, Version>
  /** Ranges of the project that replace what anybody else asks of a name. */
  readonly overrides: ReadonlyMap<PackageName, string>
  /** Ranges that the person or the project wrote, by name. */
  readonly ownRanges: ReadonlyMap<PackageName, readonly string[]>
}

/** The packages that one resolution has looked up: each once, so that a fact that arrives meanwhile changes nothing. */
export class Shelf {
  /** How many versions of a package may be picked. */
  readonly size = (name: PackageName): number => this.#packages.get(name)?.count ?? 0
  readonly #rules: ShelfRules
  readonly #packages = new Map<PackageName, Candidates | undefined>()

  constructor(rules: ShelfRules) {
    this.#rules = rules
  }

  /** Undefined when the registry holds no package of that name. */
  get(name: PackageName): Candidates | undefined {
    return this.#packages.get(name)
  }

  /** Looks up what was not looked up yet. */
  *load(names: Iterable<PackageName>): Asking<void> {
    const missing = [...new Set(names)].filter(name => !this.#packages.has(name))
    for (let from = 0; from < missing.length; from += LIMITS.solver.namesPerRound) {
      const asked = missing.slice(from, from + LIMITS.solver.namesPerRound)
      const found = yield asked
      for (const name of asked) this.#put(name, found?.get(name))
    }
  }

  has(name: PackageName): boolean {
    return this.#packages.has(name)
  }

  /**
   * The versions that a range means, under the project's overrides.
   * @throws RegistryError INVALID_VERSION | LIMIT_EXCEEDED
   */
  meaningOf(
    { name, range }: { readonly name: PackageName; readonly range: string },
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

  #put(name: PackageName, found: CataloguePackage | undefined): void {
    if (this.#packages.size >= LIMITS.solver.packages) {
      throw new RegistryError('LIMIT_EXCEEDED', `a resolution looks at most at ${LIMITS.solver.packages} packages`, {
        next: 'ask for fewer packages at once'
      })
    }
    const { kept, ownRanges } = this.#rules
    const rules = { locked: kept.get(name), ownRanges: ownRanges.get(name) ?? [] }
    this.#packages.set(name, found && new Candidates(found, rules))
  }
}
