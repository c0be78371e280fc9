import { RegistryError } from '../errors.ts'
import type { NodeName } from './node-name.ts'
import { complement, everything, includes, intersect, isDisjoint, isSubset, only } from './version-set.ts'
import type { VersionSet } from './version-set.ts'
import type { Incompatibility, Size, Term } from './incompatibility.ts'

/** One step of the search: a version that was chosen, or what an incompatibility forces. */
interface Assignment {
  readonly name: NodeName
  /** What this step alone says. */
  readonly set: VersionSet
  /** What it and all steps before it say of the package. */
  readonly sum: VersionSet
  /** Decisions up to and including this step. */
  readonly level: number
  /** Its place among all steps. */
  readonly at: number
  /** Undefined for a decision. */
  readonly cause: Incompatibility | undefined
}

/** How an incompatibility stands: the only term that is still open, all terms fulfilled, or nothing to conclude. */
export type Standing = { readonly type: 'open'; readonly term: Term } | { readonly type: 'conflict' } | undefined

/** The step that completed a conflict, and how far back the rest of it lies. */
export interface Satisfier {
  readonly term: Term
  readonly level: number
  readonly cause: Incompatibility | undefined
  /** The level at which all other terms were fulfilled already. */
  readonly previousLevel: number
}

const CONFLICT = { type: 'conflict' } as const

/**
 * The steps taken so far. Invariant: what is said at a level follows from the incompatibilities and the decisions up to
 * that level; so whatever level 0 rules out, no solution has.
 */
export class PartialSolution {
  readonly #size: Size
  readonly #steps: Assignment[] = []
  readonly #byName = new Map<NodeName, Assignment[]>()
  /** Packages that must be there and have no version yet. */
  readonly #undecided = new Set<NodeName>()
  readonly #decided = new Map<NodeName, number>()

  constructor(size: Size) {
    this.#size = size
  }

  get undecided(): ReadonlySet<NodeName> {
    return this.#undecided
  }

  /** The chosen version of each package, by its number. */
  get decided(): ReadonlyMap<NodeName, number> {
    return this.#decided
  }

  /** What is known of a package: anything, when it was never mentioned. */
  sumOf(name: NodeName): VersionSet {
    return this.#byName.get(name)?.at(-1)?.sum ?? everything(this.#size(name))
  }

  decide(name: NodeName, index: number): void {
    this.#decided.set(name, index)
    this.#push(name, only(index), undefined)
  }

  /** Rules the term out, because of that incompatibility. */
  derive({ name, set }: Term, cause: Incompatibility): void {
    this.#push(name, complement(set, this.#size(name)), cause)
  }

  standingOf({ terms }: Incompatibility): Standing {
    let open: Term | undefined
    for (const term of terms) {
      const sum = this.sumOf(term.name)
      if (isSubset(sum, term.set)) continue
      if (open !== undefined || isDisjoint(sum, term.set)) return undefined
      open = term
    }
    return open === undefined ? CONFLICT : { type: 'open', term: open }
  }

  /** Whether every term holds already, given that the package of `name` gets this version. */
  wouldConflict({ terms }: Incompatibility, name: NodeName, index: number): boolean {
    return terms.every(term =>
      term.name === name ? includes(term.set, index) : isSubset(this.sumOf(term.name), term.set)
    )
  }

  /** The earliest step by which all terms were fulfilled. */
  satisfierOf({ terms }: Incompatibility): Satisfier {
    let last: Assignment | undefined
    let lastTerm: Term | undefined
    let previousLevel = 0
    for (const term of terms) {
      const step = this.#firstWithin(term.name, term.set)
      if (last === undefined || step.at > last.at) {
        previousLevel = Math.max(previousLevel, last?.level ?? 0)
        last = step
        lastTerm = term
      } else previousLevel = Math.max(previousLevel, step.level)
    }
    if (last === undefined || lastTerm === undefined) throw new RegistryError('INTERNAL', 'a conflict without terms')
    // The step may fulfil its term only together with an earlier one of the same package.
    if (!isSubset(last.set, lastTerm.set)) {
      const within = complement(
        intersect(last.set, complement(lastTerm.set, this.#size(last.name))),
        this.#size(last.name)
      )
      previousLevel = Math.max(previousLevel, this.#firstWithin(last.name, within).level)
    }
    return { term: lastTerm, level: last.level, cause: last.cause, previousLevel }
  }

  /** Takes back all steps above a level. */
  backtrack(level: number): void {
    for (let last = this.#steps.at(-1); last !== undefined && last.level > level; last = this.#steps.at(-1)) {
      this.#steps.pop()
      const steps = this.#byName.get(last.name) ?? []
      steps.pop()
      if (last.cause === undefined) this.#decided.delete(last.name)
      const sum = steps.at(-1)?.sum
      if (sum !== undefined && sum[0] !== 0 && !this.#decided.has(last.name)) this.#undecided.add(last.name)
      else this.#undecided.delete(last.name)
    }
  }

  #push(name: NodeName, set: VersionSet, cause: Incompatibility | undefined): void {
    const sum = intersect(this.sumOf(name), set)
    const step = { name, set, sum, level: this.#decided.size, at: this.#steps.length, cause }
    this.#steps.push(step)
    const steps = this.#byName.get(name)
    if (steps === undefined) this.#byName.set(name, [step])
    else steps.push(step)
    if (sum[0] !== 0 && !this.#decided.has(name)) this.#undecided.add(name)
    else this.#undecided.delete(name)
  }

  /** Sums only shrink, so the first step within a set is found by halving. */
  #firstWithin(name: NodeName, set: VersionSet): Assignment {
    const steps = this.#byName.get(name) ?? []
    let [low, high] = [0, steps.length - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (isSubset(steps[middle]?.sum ?? [], set)) high = middle
      else low = middle + 1
    }
    const found = steps[low]
    if (found === undefined) throw new RegistryError('INTERNAL', `nothing was said of ${name}`)
    return found
  }
}
