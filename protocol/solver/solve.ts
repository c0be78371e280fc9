import { compareText } from '../bytes.ts'
import { isRegistryError, RegistryError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { shortNameOf } from '../package-name.ts'
import type { Version } from '../version.ts'
import { Budget } from './budget.ts'
import type { Need } from './catalogue.ts'
import { explain } from './explain.ts'
import type { Explanation } from './explain.ts'
import type { NodeName, Words } from './node-name.ts'
import { askOf } from './node-name.ts'
import { Search } from './search.ts'
import type { Wish } from './search.ts'
import { Shelf } from './shelf.ts'
import type { Asking } from './shelf.ts'
import { byOf, compareLeft, externalsOf, inOrder, overriddenIn, versionIn } from './tree.ts'
import type { LeftOut, Overridden, PickedVersion, Tree } from './tree.ts'
import { includes } from './version-set.ts'

/** What is to be resolved, and what the project says about it. */
export interface SolveRequest {
  readonly wishes: readonly Wish[]
  /** The lockfile's versions: preferred where they are allowed, and the only way to a yanked version. */
  readonly locked?: ReadonlyMap<NodeName, Version>
  /** Names whose locked version counts for nothing. */
  readonly update?: 'all' | ReadonlySet<NodeName>
  /** Ranges that replace, in the whole tree, whatever is asked of a name. */
  readonly overrides?: ReadonlyMap<NodeName, string>
  readonly words?: Words
}

export type Outcome =
  | {
      readonly type: 'solved'
      /** Dependencies before what depends on them; in a circle, as it was entered. */
      readonly picks: readonly PickedVersion[]
      readonly left: readonly LeftOut[]
      readonly overridden: readonly Overridden[]
    }
  | { readonly type: 'failed'; readonly explanation: Explanation }

/**
 * Resolves wishes to one version of each package that is needed, docs/spec/resolution.md. A machine that others drive: it
 * yields the names it needs to know of, several at once, and is sent what the registry says of them; an empty list asks
 * for nothing and only lets others have a turn.
 *
 * Optional dependencies come last: what is required is solved as if there were none, then each is tried with everything
 * picked so far held as it is. So they never change or break what is required, and one that can't be had is left out.
 * @throws RegistryError LIMIT_EXCEEDED | INVALID_VERSION
 */
export function* solve(request: SolveRequest): Asking<Outcome> {
  const { locked = new Map(), update = new Set(), overrides = new Map() } = request
  const wishes = request.wishes.toSorted((a, b) => compareText(a.name, b.name) || compareText(a.range, b.range))
  if (wishes.length > LIMITS.solver.wishes) {
    throw new RegistryError('LIMIT_EXCEEDED', `at most ${LIMITS.solver.wishes} packages are resolved at once`)
  }
  const kept = update === 'all' ? new Map<NodeName, Version>() : withoutNames(locked, update)
  const shelf = new Shelf({ kept, overrides, ownRanges: ownRangesOf(wishes, overrides), ...wordsIn(request) })
  const context = { shelf, kept }
  const budget = new Budget({ limit: LIMITS.solver.steps, perTurn: LIMITS.solver.stepsPerTurn })
  const found = yield* new Search({ ...context, wishes, budget, held: new Map() }).run()
  if (found.type === 'failed') return { type: 'failed', explanation: explain(found.proof, shelf) }
  if (found.versions.size > LIMITS.install.packages) throw tooManyPackages()
  const { versions, left } = yield* addOptional(found.versions, wishes, context)
  const tree = { versions, wishes, shelf }
  return {
    type: 'solved',
    picks: inOrder(tree),
    left: [...left, ...externalsOf(tree)].toSorted(compareLeft),
    overridden: overriddenIn(tree, overrides)
  }
}

function wordsIn({ words }: SolveRequest): Pick<SolveRequest, 'words'> {
  return words === undefined ? {} : { words }
}

function withoutNames<T>(map: ReadonlyMap<NodeName, T>, names: ReadonlySet<NodeName>): Map<NodeName, T> {
  return new Map([...map].filter(([name]) => !names.has(name)))
}

function ownRangesOf(
  wishes: readonly Wish[],
  overrides: ReadonlyMap<NodeName, string>
): ReadonlyMap<NodeName, readonly string[]> {
  const own = wishes.map(({ name, range }) => [name, overrides.get(name) ?? range] as const)
  const all = [...own, ...overrides]
  return new Map([...Map.groupBy(all, ([name]) => name)].map(([name, list]) => [name, list.map(([, range]) => range)]))
}

interface Context {
  readonly shelf: Shelf
  readonly kept: ReadonlyMap<NodeName, Version>
}

interface OptionalNeed {
  readonly from: NodeName
  readonly need: Need
  readonly by: string
}

/** Tries what picked versions would like to have, one by one, in the order of the tree. */
function* addOptional(
  required: ReadonlyMap<NodeName, Version>,
  wishes: readonly Wish[],
  context: Context
): Asking<{ readonly versions: ReadonlyMap<NodeName, Version>; readonly left: readonly LeftOut[] }> {
  const versions = new Map(required)
  const left: LeftOut[] = []
  const looked = new Set<NodeName>()
  let tries = 0
  // What an optional package brings along may have wishes of its own: until nobody new is there.
  for (;;) {
    const tree: Tree = { versions, wishes, shelf: context.shelf }
    const fresh = inOrder(tree).filter(({ name }) => !looked.has(name))
    if (fresh.length === 0) return { versions, left }
    const wanted = fresh.flatMap(({ name }) => optionalNeedsOf(name, tree))
    for (const { name } of fresh) looked.add(name)
    for (const one of wanted) {
      tries += 1
      const reason =
        tries > LIMITS.solver.optionalTries
          ? `no more than ${LIMITS.solver.optionalTries} optional dependencies are tried`
          : yield* tryOne(one, versions, context)
      const { need, by } = one
      if (reason !== undefined)
        left.push({ name: shortNameOf(need.name), range: need.range, why: 'optional', by, reason })
    }
  }
}

function optionalNeedsOf(name: NodeName, tree: Tree): readonly OptionalNeed[] {
  const { version, needs } = versionIn(tree, name)
  return needs.flatMap(need => (need.optional ? [{ from: name, need, by: byOf(name, version) }] : []))
}

/** Adds an optional dependency to the picks, with all that it needs; answers with the reason when it can't be had. */
function* tryOne(
  { from, need: said, by }: OptionalNeed,
  versions: Map<NodeName, Version>,
  { shelf, kept }: Context
): Asking<string | undefined> {
  const budget = new Budget({ limit: LIMITS.solver.optionalSteps, perTurn: LIMITS.solver.stepsPerTurn })
  try {
    yield* shelf.load([askOf(from, said.name)])
    const need = shelf.bound(from, said)
    if (need === undefined) throw new RegistryError('INTERNAL', `nobody knows what ${said.name} is to ${by}`)
    const picked = versions.get(need.name)
    if (picked !== undefined) {
      const { set } = shelf.meaningOf(need, budget)
      const isIn = includes(set, shelf.get(need.name)?.indexOf(picked) ?? 0)
      return isIn ? undefined : `${shelf.words.called(need.name)} ${picked} is picked for others`
    }
    const wishes = [{ name: need.name, range: need.range, by }]
    const found = yield* new Search({ wishes, shelf, kept, budget, held: versions }).run()
    if (found.type === 'failed') return explain(found.proof, shelf).summary
    if (versions.size + found.versions.size > LIMITS.install.packages) return tooManyPackages().message
    for (const [name, version] of found.versions) versions.set(name, version)
    return undefined
  } catch (error) {
    // Attack: an optional dependency that leads to endless work must not keep what is required from being installed.
    // Nor must one that nobody can tell whose it is.
    if (isRegistryError(error) && (error.code === 'LIMIT_EXCEEDED' || error.code === 'AMBIGUOUS_NAME'))
      return error.message
    throw error
  }
}

function tooManyPackages(): RegistryError {
  return new RegistryError('LIMIT_EXCEEDED', `an install has at most ${LIMITS.install.packages} packages`)
}
