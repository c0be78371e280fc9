import { compareText, toHex } from './bytes.ts'
import { parseChain } from './fact.ts'
import type { FactBody, Subject } from './fact.ts'
import { LIMITS } from './limits.ts'
import { malformed, parseCount, text } from './payload-shape.ts'
import { parseAnySubject } from './subject.ts'

/**
 * The last position of each chain of one key that a revocation recognises: chain (32 hex characters) -> subject -> seq.
 * A chain or a subject that is not listed is recognised nowhere.
 */
export type Heads = ReadonlyMap<string, ReadonlyMap<Subject, number>>

/** True for a position that the heads recognise. */
export function isWithin(heads: Heads, { chain, subject, seq }: Pick<FactBody, 'chain' | 'subject' | 'seq'>): boolean {
  return seq <= (heads.get(chain)?.get(subject) ?? -1)
}

/** The last positions among facts, as they are cited: whatever was seen of a key stays recognised. */
export function headsOf(bodies: Iterable<Pick<FactBody, 'chain' | 'subject' | 'seq'>>): Heads {
  const heads = new Map<string, Map<Subject, number>>()
  for (const { chain, subject, seq } of bodies) {
    const subjects = heads.get(chain) ?? new Map<Subject, number>()
    heads.set(chain, subjects)
    subjects.set(subject, Math.max(seq, subjects.get(subject) ?? 0))
  }
  return heads
}

/** `[[chain, [[subject, seq], …]], …]`, chains and subjects in ascending order. */
export function headsRecord(heads: Heads): unknown {
  return [...heads]
    .toSorted(([a], [b]) => compareText(a, b))
    .map(([chain, subjects]) => [parseChain(chain), [...subjects].toSorted(([a], [b]) => compareText(a, b))])
}

/** @throws RegistryError MALFORMED */
export function parseHeads(raw: unknown): Heads {
  const chains = pairsOf(raw).map(([chain, subjects]): readonly [string, ReadonlyMap<Subject, number>] => {
    if (!(chain instanceof Uint8Array) || chain.length !== 16) throw malformed('heads: chain')
    const pairs = pairsOf(subjects).map(
      ([subject, seq]) => [parseAnySubject(text(subject)), parseCount(seq, 0, LIMITS.fact.seq)] as const
    )
    if (pairs.length === 0) throw malformed('heads: a chain without positions')
    return [toHex(chain), ascending(pairs)]
  })
  return ascending(chains)
}

function pairsOf(raw: unknown): readonly (readonly [unknown, unknown])[] {
  if (!Array.isArray(raw)) throw malformed('heads')
  return raw.map((pair: unknown) => {
    if (!Array.isArray(pair) || pair.length !== 2) throw malformed('heads')
    return [pair[0], pair[1]]
  })
}

function ascending<K extends string, V>(pairs: readonly (readonly [K, V])[]): ReadonlyMap<K, V> {
  pairs.forEach(([key], i) => {
    const before = pairs[i - 1]
    if (before !== undefined && compareText(before[0], key) >= 0) throw malformed('heads: sorted and distinct')
  })
  return new Map(pairs)
}
