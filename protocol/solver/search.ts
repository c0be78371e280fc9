import { RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { Version } from '../version.ts'
import type { Budget } from './budget.ts'
import type { Candidates } from './catalogue.ts'
import { isVoid, normalise, resolve } from './incompatibility.ts'
import type { Asked, Incompatibility } from './incompatibility.ts'
import { askOf } from './node-name.ts'
import type { Ask, NodeName } from './node-name.ts'
import { PartialSolution } from './partial-solution.ts'
import type { Asking, BoundNeed, Shelf } from './shelf.ts'
import { complement, count, highest, includes, NOTHING } from './version-set.ts'
import type { VersionSet } from './version-set.ts'

/** A package that is asked for by name, the range, and who asks: `you`, or a project's file. */
export interface Wish {
  readonly name: NodeName
  readonly range: string
  readonly by: string
}

export interface SearchInit {
  readonly wishes: readonly Wish[]
  readonly shelf: Shelf
  readonly budget: Budget
  /** Versions to prefer to higher ones. */
  readonly kept: ReadonlyMap<NodeName, Version>
  /** Versions that were settled by an earlier search: they bind this one and are not looked into again. */
  readonly held: ReadonlyMap<NodeName, Version>
}

/** The chosen versions, or an incompatibility without terms: the end of the proof that there are none. */
export type Found =
  | { readonly type: 'solved'; readonly versions: ReadonlyMap<NodeName, Version> }
  | { readonly type: 'failed'; readonly proof: Incompatibility }

/**
 * PubGrub: unit propagation, conflict-driven learning and backjumping over sets of versions.
 *
 * 1. What was wished for directly is decided first, kept versions before others, then by name; so no other solution
 *    gives the first of them a better version, nor the second with the same first, and so on.
 * 2. Whatever else is needed follows, fewest versions left first, then by name.
 * 3. Better means: the kept version if it is possible, else the highest one.
 *
 * Nothing depends on the order in which anything was given or looked up.
 */
export class Search {
  readonly #init: SearchInit
  readonly #solution: PartialSolution
  readonly #byName = new Map<NodeName, Incompatibility[]>()
  readonly #stated = new Set<string>()
  readonly #direct: ReadonlySet<NodeName>
  #statements = 0

  constructor(init: SearchInit) {
    this.#init = init
    this.#solution = new PartialSolution(init.shelf.size)
    this.#direct = new Set(init.wishes.map(({ name }) => name))
  }

  /** @throws RegistryError LIMIT_EXCEEDED | INVALID_VERSION */
  *run(): Asking<Found> {
    const { shelf, wishes, budget } = this.#init
    yield* shelf.load(this.#direct)
    for (const wish of wishes) {
      const { asked, set } = shelf.meaningOf(wish, budget)
      const terms = normalise([{ name: asked.name, set: complement(set, shelf.size(asked.name)) }], shelf.size)
      const stated: Incompatibility = { terms, cause: { type: 'wish', by: wish.by, asked } }
      if (terms.length === 0) return { type: 'failed', proof: stated }
      this.#add(stated)
    }
    let changed: readonly NodeName[] = [...this.#direct]
    for (;;) {
      const proof = this.#propagate(changed)
      if (proof !== undefined) return { type: 'failed', proof }
      if (budget.isTurnOver()) yield []
      const next = this.#next()
      if (next === undefined) return { type: 'solved', versions: this.#versions() }
      yield* this.#consider(next)
      changed = [next]
    }
  }

  #versions(): ReadonlyMap<NodeName, Version> {
    return new Map([...this.#solution.decided].map(([name, index]) => [name, this.#candidates(name).at(index).version]))
  }

  #candidates(name: NodeName): Candidates {
    const candidates = this.#init.shelf.get(name)
    if (candidates === undefined) throw new RegistryError('INTERNAL', `${name} has no versions to choose from`)
    return candidates
  }

  /** Draws every conclusion there is; answers with a proof when the last of them is that nothing can be right. */
  #propagate(names: readonly NodeName[]): Incompatibility | undefined {
    const changed = new Set(names)
    for (let [name] = changed; name !== undefined; [name] = changed) {
      changed.delete(name)
      // The newest are the most general: they were learned.
      for (const stated of (this.#byName.get(name) ?? []).toReversed()) {
        this.#init.budget.spend(costOf(stated))
        const standing = this.#solution.standingOf(stated)
        if (standing === undefined) continue
        if (standing.type === 'open') {
          this.#solution.derive(standing.term, stated)
          changed.add(standing.term.name)
          continue
        }
        const learned = this.#learn(stated)
        if (learned.terms.length === 0) return learned
        const after = this.#solution.standingOf(learned)
        if (after?.type !== 'open') throw new RegistryError('INTERNAL', 'a conflict was resolved and taught nothing')
        this.#solution.derive(after.term, learned)
        // What was about to be looked at may still lead to something where we are now.
        changed.add(name).add(after.term.name)
        break
      }
    }
    return undefined
  }

  /** Finds why a conflict came about and goes back to where that can be undone. */
  #learn(conflict: Incompatibility): Incompatibility {
    let current = conflict
    for (;;) {
      if (current.terms.length === 0) return current
      const { term, level, cause, previousLevel } = this.#solution.satisfierOf(current)
      if (cause === undefined || previousLevel < level) {
        this.#solution.backtrack(previousLevel)
        if (current !== conflict) this.#add(current)
        return current
      }
      current = resolve(current, cause, { on: term.name, size: this.#init.shelf.size })
      this.#init.budget.spend(costOf(current))
    }
  }

  /** The package to choose a version of next. */
  #next(): NodeName | undefined {
    let best: { readonly name: NodeName; readonly rank: readonly number[] } | undefined
    this.#init.budget.spend(this.#solution.undecided.size)
    for (const name of this.#solution.undecided) {
      const rank = this.#direct.has(name)
        ? [0, this.#keptIndex(name) === undefined ? 1 : 0]
        : [1, count(this.#solution.sumOf(name))]
      if (best === undefined || isBefore({ name, rank }, best)) best = { name, rank }
    }
    return best?.name
  }

  #keptIndex(name: NodeName): number | undefined {
    const version = this.#init.kept.get(name)
    const index = version === undefined ? undefined : this.#init.shelf.get(name)?.indexOf(version)
    return index !== undefined && includes(this.#solution.sumOf(name), index) ? index : undefined
  }

  #bestOf(name: NodeName): number {
    const index = this.#keptIndex(name) ?? highest(this.#solution.sumOf(name))
    if (index === undefined) throw new RegistryError('INTERNAL', `no version of ${name} is left`)
    return index
  }

  /** Learns what the best version of a package needs, and takes it unless that is known to be impossible. */
  *#consider(name: NodeName): Asking<void> {
    const { shelf } = this.#init
    const index = this.#bestOf(name)
    const entry = this.#candidates(name).at(index)
    const isUnknown = entry.needs.some(need => !need.optional && !shelf.has(askOf(name, need.name)))
    if (isUnknown) yield* shelf.load(this.#soonNeeded(name))
    let isPossible = true
    for (const need of shelf.needsOf(name, entry)) {
      if (need.said.optional) continue
      const stated = this.#state(name, need)
      if (stated !== undefined && this.#solution.wouldConflict(stated, name, index)) isPossible = false
    }
    if (isPossible) this.#solution.decide(name, index)
  }

  /** What this package needs, and what all others that wait would: look-ups are cheaper together than one by one. */
  #soonNeeded(first: NodeName): readonly Ask[] {
    return [first, ...this.#solution.undecided].flatMap(name => {
      const { needs } = this.#candidates(name).at(this.#bestOf(name))
      return needs.flatMap(need => (need.optional ? [] : [askOf(name, need.name)]))
    })
  }

  /** Adds "all versions that need this need it", once; undefined when it was added before or says nothing. */
  #state(name: NodeName, need: BoundNeed): Incompatibility | undefined {
    const key = `${name} ${need.name} ${need.range}`
    if (this.#stated.has(key)) return undefined
    this.#stated.add(key)
    const { size } = this.#init.shelf
    const from = { name, set: this.#candidates(name).sharing(need.said) }
    const { asked, set } = this.#meaningOf(need)
    const terms = normalise([from, { name: asked.name, set: complement(set, size(asked.name)) }], size)
    const stated: Incompatibility = { terms, cause: { type: 'needs', from, asked } }
    return this.#add(stated) ? stated : undefined
  }

  #meaningOf(need: BoundNeed): { readonly asked: Asked; readonly set: VersionSet } {
    const { shelf, held, budget } = this.#init
    const { asked, set } = shelf.meaningOf(need, budget)
    const version = held.get(need.name)
    if (version === undefined) return { asked, set }
    const index = shelf.get(need.name)?.indexOf(version)
    // What is held and fits needs no saying: everything, the absence included, is right.
    if (index !== undefined && includes(set, index)) return { asked, set: complement(NOTHING, shelf.size(need.name)) }
    return { asked: { ...asked, unmet: asked.unmet ?? 'held' }, set: NOTHING }
  }

  #add(stated: Incompatibility): boolean {
    if (isVoid(stated)) return false
    if (this.#statements >= LIMITS.solver.statements) {
      throw new RegistryError('LIMIT_EXCEEDED', `more than ${LIMITS.solver.statements} statements about versions`, {
        next: 'ask for fewer packages at once, or for exact versions of some of them'
      })
    }
    this.#statements += 1
    for (const { name } of stated.terms) {
      const list = this.#byName.get(name)
      if (list === undefined) this.#byName.set(name, [stated])
      else list.push(stated)
    }
    return true
  }
}

/** A set of many pieces takes longer to look at than one of few. */
function costOf({ terms }: Incompatibility): number {
  return terms.reduce((sum, { set }) => sum + 1 + (set.length >> 3), 1)
}

interface Ranked {
  readonly name: NodeName
  readonly rank: readonly number[]
}

function isBefore(a: Ranked, b: Ranked): boolean {
  const [groupA = 0, withinA = 0] = a.rank
  const [groupB = 0, withinB = 0] = b.rank
  if (groupA !== groupB) return groupA < groupB
  return withinA === withinB ? a.name < b.name : withinA < withinB
}
