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

/** What the chains of one subject add up to, whatever the order their facts came in. */
export interface Chains {
  readonly forks: readonly Fork[]
  /** Chains beyond the sixteen lowest of their author: their facts do not count. */
  readonly isExcess: (fact: VerifiedFact) => boolean
  readonly isForked: (author: Principal) => boolean
  /** At or after the first position that the author's chain has twice. */
  readonly isAfterFork: (fact: VerifiedFact) => boolean
}

/** Reads forks and excess chains off all facts of one subject. Pure and independent of order. */
export function readChains(facts: readonly VerifiedFact[]): Chains {
  const positions = new Map<string, VerifiedFact[]>()
  const chainsOf = new Map<Principal, Set<string>>()
  for (const fact of facts) {
    // A genesis has an empty registry, so it stands in no chain of this one: a root's first grant is no fork of it.
    if (fact.body.registry === null) continue
    const key = `${chainKey(fact)} ${fact.body.seq}`
    const at = positions.get(key)
    if (at === undefined) positions.set(key, [fact])
    else at.push(fact)
    const chains = chainsOf.get(fact.body.author)
    if (chains === undefined) chainsOf.set(fact.body.author, new Set([fact.body.chain]))
    else chains.add(fact.body.chain)
  }
  const forks = findForks(positions)
  const firstFork = new Map<string, number>()
  for (const { author, chain, seq } of forks) {
    const key = `${author} ${chain}`
    firstFork.set(key, Math.min(seq, firstFork.get(key) ?? seq))
  }
  const forkedAuthors = new Set(forks.map(fork => fork.author))
  const excess = excessChains(chainsOf)
  return {
    forks,
    isExcess: fact => excess.has(chainKey(fact)),
    isForked: author => forkedAuthors.has(author),
    isAfterFork: fact => fact.body.seq >= (firstFork.get(chainKey(fact)) ?? Number.POSITIVE_INFINITY)
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

/** What a row says of facts set aside and of forks is cut at a fixed number, lowest first: proofs are in the set. */
export function boundSetAside<T extends { readonly fact: FactId }>(setAside: readonly T[]): readonly T[] {
  return setAside.toSorted((a, b) => (a.fact < b.fact ? -1 : 1)).slice(0, LIMITS.view.setAside)
}

/** The same for forks. */
export function boundForks(forks: readonly Fork[]): readonly Fork[] {
  return forks
    .slice(0, LIMITS.view.forks)
    .map(fork => ({ ...fork, facts: fork.facts.slice(0, LIMITS.view.factsPerFork) }))
}

function chainKey({ body }: VerifiedFact): string {
  return `${body.author} ${body.chain}`
}

function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
