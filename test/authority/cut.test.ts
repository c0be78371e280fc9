import { describe, expect, test } from 'vitest'
import { partsOf, positionsIn } from '../../node/services/authority/cut.ts'
import type { Position } from '../../node/services/authority/cut.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { headsRecord, isWithin } from '../../protocol/heads.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { covers, parseScope, WHOLE } from '../../protocol/role.ts'
import { FactWriter, person } from '../support/facts.ts'
import { codeOf } from '../support/error-code.ts'
import { toVerified } from '../support/fold.ts'

const CHAIN = 'ab'.repeat(16)

function positions(count: number, name: (i: number) => string): readonly Position[] {
  return Array.from({ length: count }, (_, i) => ({ chain: CHAIN, subject: name(i) as PackageName, seq: i % 3 }))
}

describe('the positions that a revocation recognises', () => {
  test('are named in one fact as long as they fit', () => {
    const some = positions(1_000, i => `ggen/p${i}`)
    const parts = partsOf(WHOLE, some, false)
    expect(parts.map(({ scope }) => scope)).toEqual(['*'])
    expect(some.every(at => isWithin(parts[0]?.heads ?? new Map(), at))).toBe(true)
  })

  test('are divided by names when they do not fit, and every name that there may be is covered once', () => {
    const some = positions(9_000, i => `ggen/${String.fromCharCode(97 + (i % 26))}-package-${i}`)
    const parts = partsOf(WHOLE, some, false)
    expect(parts.length).toBeGreaterThan(6)
    for (const { heads } of parts) {
      expect(encodeCbor(headsRecord(heads)).length).toBeLessThan(LIMITS.fact.bodyBytes - 1_024)
    }
    const names = [...some.map(({ subject }) => subject), 'ggen/zzz', 'ggen/0', 'npm/@a/b', 'go/x.y/z', 'maven/a.b']
    for (const name of names) {
      expect(parts.filter(({ scope }) => covers(scope, name as PackageName))).toHaveLength(1)
    }
    for (const at of some) {
      expect(
        parts
          .find(({ scope }) => covers(scope, at.subject))
          ?.heads.get(CHAIN)
          ?.get(at.subject)
      ).toBe(at.seq)
    }
  })

  test('under names that begin alike are divided further on', () => {
    const some = positions(6_000, i => `ggen/same-prefix-of-all-of-them-${i}`)
    const scopes = partsOf(parseScope('ggen/same-prefix-of-all-of-them-*'), some, false).map(({ scope }) => scope)
    expect(scopes).toContain('ggen/same-prefix-of-all-of-them-1*')
  })

  test('of an owner of the registry cannot be divided, and of one package neither', () => {
    const many = positions(9_000, i => `ggen/p${i}`)
    expect(codeOf(() => partsOf(WHOLE, many, true))).toBe('LIMIT_EXCEEDED')
    const chains = Array.from({ length: 9_000 }, (_, i) => ({
      chain: i.toString(16).padStart(32, '0'),
      subject: 'ggen/one' as PackageName,
      seq: 0
    }))
    expect(codeOf(() => partsOf(parseScope('ggen/one'), chains, false))).toBe('LIMIT_EXCEEDED')
  })

  test('are those about what the scope covers', () => {
    const facts = new FactWriter(person('root'))
    const all = [facts.genesis, facts.grant(person('eve').did, 'member'), facts.claim('alpha'), facts.claim('beta')]
    const subjects = (scope: string, about: 'registry' | PackageName = 'registry'): readonly string[] =>
      positionsIn(all.map(toVerified), parseScope(scope), about).map(({ subject }) => subject)
    // A genesis stands in no chain.
    expect(subjects('*')).toEqual(['registry', 'ggen/alpha', 'ggen/beta'])
    expect(subjects('ggen/a*')).toEqual(['ggen/alpha'])
    expect(subjects('ggen/beta', 'ggen/beta' as PackageName)).toEqual(['ggen/beta'])
  })
})
