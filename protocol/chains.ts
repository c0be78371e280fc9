import type { FactId } from './cid.ts'
import type { Principal } from './did.ts'
import type { FactBody } from './fact.ts'
import { LIMITS } from './limits.ts'
import type { Payload } from './payload.ts'

/** A fact whose envelope was verified and whose payload was read. */
export interface VerifiedFact {
  readonly id: FactId
  readonly body: FactBody
  readonly payload: Payload
}

/** Two bodies at one position of one chain: both stay, and the pair proves it to anybody. */
export interface Fork {
  readonly author: Principal
  readonly chain: string
  readonly seq: number
  readonly facts: readonly FactId[]
}

/** A fork as it is shown: settled when all but one of its facts were decided against. */
export interface ShownFork extends Fork {
  readonly settled: boolean
}

const NOTHING: ReadonlySet<FactId> = new Set()

/** What the chains of one subject add up to, whatever the order their facts came in. */
export interface Chains {
  readonly forks: readonly Fork[]
  /** Chains beyond the sixteen lowest of their author: their facts do not count. */
  readonly isExcess: (fact: VerifiedFact) => boolean
  /** True while one of the author's forks is open: `away` is what was decided against. */
  readonly isForked: (author: Principal, away?: ReadonlySet<FactId>) => boolean
  readonly forkedAuthors: (away: ReadonlySet<FactId>) => ReadonlySet<Principal>
  /** The first open fork at or before a fact in its chain. */
  readonly openForkBefore: (fact: VerifiedFact, away: ReadonlySet<FactId>) => Fork | undefined
  /** Where both are at one position: the second and all that follows it in its chain and is not away yet. Else nothing. */
  readonly sideOf: (keep: FactId, over: FactId, away?: ReadonlySet<FactId>) => readonly FactId[]
}

/** Reads forks and excess chains off all facts of one subject. Pure and independent of order. */
export function readChains(facts: readonly VerifiedFact[]): Chains {
  const positions = new Map<string, VerifiedFact[]>()
  const chainsOf = new Map<Principal, Set<string>>()
  for (const fact of facts) {
    // A genesis has an empty registry, so it stands in no chain of this one: a root's first grant is no fork of it.
    if (fact.body.registry === null) continue
    const { position } = placeOf(fact)
    const at = positions.get(position)
    if (at === undefined) positions.set(position, [fact])
    else at.push(fact)
    const chains = chainsOf.get(fact.body.author)
    if (chains === undefined) chainsOf.set(fact.body.author, new Set([fact.body.chain]))
    else chains.add(fact.body.chain)
  }
  const forks = findForks(positions)
  const forksOf = Map.groupBy(forks, ({ author, chain }) => `${author} ${chain}`)
  const byAuthor = Map.groupBy(forks, ({ author }) => author)
  const excess = excessChains(chainsOf)
  const forkOf = new Map(forks.flatMap(fork => fork.facts.map(id => [id, fork] as const)))
  const following = followers(facts, forks)
  return {
    forks,
    isExcess: fact => excess.has(chainKey(fact)),
    isForked: (author, away = NOTHING) => (byAuthor.get(author) ?? []).some(fork => isOpen(fork, away)),
    forkedAuthors: away => new Set(forks.filter(fork => isOpen(fork, away)).map(({ author }) => author)),
    openForkBefore: (fact, away) =>
      (forksOf.get(chainKey(fact)) ?? []).find(fork => fork.seq <= fact.body.seq && isOpen(fork, away)),
    sideOf: (keep, over, away = NOTHING) => {
      const fork = forkOf.get(over)
      if (fork === undefined || fork !== forkOf.get(keep)) return []
      return away.has(over) ? [over] : [over, ...following(over, away)]
    }
  }
}

function isOpen({ facts }: Fork, away: ReadonlySet<FactId>): boolean {
  let left = 0
  // A fork of ten thousand sides is asked about as often: two that are left say all.
  for (const id of facts) if (!away.has(id) && (left += 1) > 1) return true
  return false
}

/** Only who has forked is ever asked what follows what, so nobody else's chains are walked. */
function followers(
  facts: readonly VerifiedFact[],
  forks: readonly Fork[]
): (id: FactId, away: ReadonlySet<FactId>) => readonly FactId[] {
  if (forks.length === 0) return () => []
  const next = Map.groupBy(facts, ({ body }) => body.prev)
  return (id, away) => {
    const found: FactId[] = []
    const open = [id]
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      // What follows what is away is away: ten thousand resolutions of one chain walk it once.
      const direct = (next.get(at) ?? []).map(fact => fact.id).filter(follower => !away.has(follower))
      found.push(...direct)
      open.push(...direct)
    }
    return found
  }
}

function findForks(positions: ReadonlyMap<string, readonly VerifiedFact[]>): readonly Fork[] {
  const forks: Fork[] = []
  for (const at of positions.values()) {
    const [first] = at
    if (first === undefined || at.length < 2) continue
    const { author, chain, seq } = first.body
    forks.push({ author, chain, seq, facts: at.map(fact => fact.id).toSorted() })
  }
  return forks.toSorted((a, b) => compareKeys(`${a.author} ${a.chain}`, `${b.author} ${b.chain}`) || a.seq - b.seq)
}

/**
 * The bound on chains can't be kept at the gate: which sixteen came first differs from node to node. So the set takes
 * them and the fold counts the sixteen lowest, which is the same everywhere.
 */
function excessChains(chainsOf: ReadonlyMap<Principal, ReadonlySet<string>>): ReadonlySet<string> {
  const excess = new Set<string>()
  for (const [author, chains] of chainsOf) {
    if (chains.size <= LIMITS.fact.chainsPerAuthorAndSubject) continue
    const beyond = [...chains].toSorted().slice(LIMITS.fact.chainsPerAuthorAndSubject)
    for (const chain of beyond) excess.add(`${author} ${chain}`)
  }
  return excess
}

/**
 * What a row says of facts set aside and of forks is cut at a fixed number, lowest first: proofs are in the set. What could not be folded
 * comes before the others when it is cut: it is a fault of this program, of which somebody has to hear.
 */
export function boundSetAside<T extends { readonly fact: FactId; readonly reason: string }>(
  setAside: readonly T[]
): readonly T[] {
  const byFact = (a: T, b: T): number => (a.fact < b.fact ? -1 : 1)
  const { setAside: bound } = LIMITS.view
  const sorted = setAside.toSorted(byFact)
  if (sorted.length <= bound) return sorted
  const [faults, others] = [true, false].map(is => sorted.filter(({ reason }) => (reason === 'unfoldable') === is))
  return [...(faults ?? []), ...(others ?? [])].slice(0, bound).toSorted(byFact)
}

/** The same for forks. */
export function boundForks(forks: readonly Fork[], away: ReadonlySet<FactId> = NOTHING): readonly ShownFork[] {
  return forks
    .slice(0, LIMITS.view.forks)
    .map(fork => ({ ...fork, facts: fork.facts.slice(0, LIMITS.view.factsPerFork), settled: !isOpen(fork, away) }))
}

interface Place {
  readonly chain: string
  readonly position: string
}

/** Every fold asks for the place of every fact, and a fact never has another one. */
const places = new WeakMap<FactBody, Place>()

function placeOf({ body }: VerifiedFact): Place {
  let place = places.get(body)
  if (place === undefined) {
    const chain = `${body.author} ${body.chain}`
    places.set(body, (place = { chain, position: `${chain} ${body.seq}` }))
  }
  return place
}

function chainKey(fact: VerifiedFact): string {
  return placeOf(fact).chain
}

function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
