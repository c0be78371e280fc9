import type { Cause, Incompatibility } from './incompatibility.ts'

/** One step of a proof in the order in which it is told: what follows, and what it follows from. */
export interface Step {
  readonly number: number
  readonly conclusion: Incompatibility
  /** What the step cites, apart from the step right before it. */
  readonly premises: readonly Incompatibility[]
  /** Whether the step right before it is a premise too. */
  readonly continues: boolean
}

type Derived = Incompatibility & { readonly cause: Extract<Cause, { type: 'derived' }> }

/** Whether it follows from two others, rather than being said by somebody. */
export function isDerived(one: Incompatibility): one is Derived {
  return one.cause.type === 'derived'
}

/** What a proof rests on: what people asked and manifests say, each once, in the order in which a reader meets it. */
export function leavesOf(proof: Incompatibility): readonly Incompatibility[] {
  const seen = new Set<Incompatibility>()
  const leaves: Incompatibility[] = []
  const todo = [proof]
  for (let one = todo.pop(); one !== undefined; one = todo.pop()) {
    if (seen.has(one)) continue
    seen.add(one)
    if (isDerived(one)) todo.push(one.cause.right, one.cause.left)
    else leaves.push(one)
  }
  return leaves
}

/**
 * Orders a proof so that each step comes right after one of its premises where that is possible. A conclusion that only
 * the next step uses, and that adds nothing but one more statement, is skipped: the next step cites both statements.
 */
export function stepsOf(proof: Incompatibility): readonly Step[] {
  if (!isDerived(proof)) return []
  return new Telling(proof).steps
}

/** Walks with a list instead of recursion: a proof may be longer than the stack is deep. */
class Telling {
  readonly steps: Step[] = []
  readonly #told = new Set<Incompatibility>()
  readonly #uses: ReadonlyMap<Incompatibility, number>
  readonly #todo: (() => void)[] = []

  constructor(proof: Derived) {
    this.#uses = countUses(proof)
    this.#tell(proof)
    for (let next = this.#todo.pop(); next !== undefined; next = this.#todo.pop()) next()
  }

  #tell(one: Derived): void {
    if (this.#told.has(one)) return
    const { left, right } = one.cause
    if (isDerived(left) && isDerived(right)) this.#tellTwo(one, left, right)
    else if (isDerived(left)) this.#tellOne(one, left, right)
    else if (isDerived(right)) this.#tellOne(one, right, left)
    else this.#write(one, [left, right])
  }

  #tellTwo(one: Derived, left: Derived, right: Derived): void {
    // What takes one line is told last: the longer story then needs no looking back.
    const isLeftShort = !isDerived(left.cause.left) && !isDerived(left.cause.right)
    const [first, second] = isLeftShort ? [right, left] : [left, right]
    this.#then(
      () => this.#tell(first),
      () => this.#tell(second),
      () => this.#write(one, [first, second])
    )
  }

  #tellOne(one: Derived, derived: Derived, external: Incompatibility): void {
    const { left, right } = derived.cause
    const prior = isDerived(left) ? left : right
    const priorExternal = isDerived(left) ? right : left
    const isOneChain = isDerived(prior) && !isDerived(priorExternal)
    if (isOneChain && !this.#told.has(derived) && !this.#told.has(prior) && this.#uses.get(derived) === 1) {
      this.#then(
        () => this.#tell(prior),
        () => this.#write(one, [prior, priorExternal, external])
      )
      return
    }
    this.#then(
      () => this.#tell(derived),
      () => this.#write(one, [derived, external])
    )
  }

  #then(...parts: readonly (() => void)[]): void {
    this.#todo.push(...parts.toReversed())
  }

  #write(conclusion: Incompatibility, premises: readonly Incompatibility[]): void {
    const before = this.steps.at(-1)?.conclusion
    const continues = before !== undefined && premises.includes(before)
    this.#told.add(conclusion)
    const cited = premises.filter(premise => premise !== before)
    this.steps.push({ number: this.steps.length + 1, conclusion, premises: cited, continues })
  }
}

function countUses(proof: Incompatibility): ReadonlyMap<Incompatibility, number> {
  const uses = new Map<Incompatibility, number>()
  const todo = [proof]
  for (let one = todo.pop(); one !== undefined; one = todo.pop()) {
    const known = uses.get(one) ?? 0
    uses.set(one, known + 1)
    if (known === 0 && isDerived(one)) todo.push(one.cause.left, one.cause.right)
  }
  return uses
}
