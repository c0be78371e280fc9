import { describe, expect, test } from 'vitest'
import { partsOf, positionsIn } from '../../node/services/authority/cut.ts'
import type { Position } from '../../node/services/authority/cut.ts'
import { recognised } from '../../node/services/authority/recognised.ts'
import { foldAuthority } from '../../protocol/authority.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import { parseFactId } from '../../protocol/cid.ts'
import type { Subject } from '../../protocol/fact.ts'
import { headsRecord, isWithin } from '../../protocol/heads.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { standingOf } from '../../protocol/membership/members.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { covers, parseRevokedScope, parseScope, placeIn, WHOLE } from '../../protocol/role.ts'
import { contentIdOf, FactWriter, person } from '../support/facts.ts'
import { codeOf } from '../support/error-code.ts'
import { authorityOf, toVerified } from '../support/fold.ts'

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
    // What a role over some scope stands by, which need be no name: else whoever holds it would still be a member.
    const places = ['*', 'ggen/*', 'ggen/p*', 'ggen/p-*', 'npm/@a/*'].map(scope => placeIn(parseScope(scope)))
    for (const name of [...names, ...places]) {
      expect(parts.filter(({ scope }) => covers(scope, name as PackageName))).toHaveLength(1)
    }
    expect(parts.at(-1)?.scope).toBe('registry')
    expect(parts.map(({ scope }) => parseRevokedScope(scope))).toHaveLength(parts.length)
    for (const at of some) {
      expect(
        parts
          .find(({ scope }) => covers(scope, at.subject))
          ?.heads.get(CHAIN)
          ?.get(at.subject)
      ).toBe(at.seq)
    }
  })

  test('are divided by digests like by names', () => {
    const hex = (i: number): string => i.toString(16).padStart(2, '0').repeat(32).slice(0, 64)
    const some = positions(9_000, i => `sha256/${hex(i % 256).slice(0, 60)}${i.toString(16).padStart(4, '0')}`)
    const parts = partsOf(WHOLE, some, false)
    expect(parts.length).toBeLessThan(64)
    for (const { heads } of parts) {
      expect(encodeCbor(headsRecord(heads)).length).toBeLessThan(LIMITS.fact.bodyBytes - 1_024)
    }
    for (const at of some) {
      const covering = parts.filter(({ scope }) => covers(scope, at.subject))
      expect(covering.map(({ heads }) => heads.get(CHAIN)?.get(at.subject))).toEqual([at.seq])
    }
    for (const place of ['*', 'sha256/*', 'sha256/0*', 'sha256/0a*'].map(scope => placeIn(parseScope(scope))))
      expect(parts.filter(({ scope }) => covers(scope, place))).toHaveLength(1)
  })

  test.each([
    ['*', '*'],
    ['ggen/*', '*'],
    ['ggen/*', 'ggen/*']
  ])('leave nobody in who holds a role over %s when they are those of %s', (held, over) => {
    const facts = new FactWriter(person('root'))
    const eve = person('eve').did
    let head = facts.grant(eve, 'publisher', { scope: held })
    const parts = partsOf(
      parseScope(over),
      positions(2_800, i => `ggen/${i}p`),
      false
    )
    for (const { scope, heads } of parts) {
      const isLast = scope === placeIn(parseScope(held))
      // Whoever is interrupted before that says all of it again.
      if (isLast) expect(standingOf(authorityOf(facts), eve, 0)).toBe('member')
      const change = { authPrev: head.id, head: null, key: eve, role: null, threshold: null, reason: '' }
      head = facts.write(facts.root, 'registry', { type: 'revoke', value: { ...change, scope, heads } })
      if (isLast) break
    }
    expect(parts.length).toBeGreaterThan(30)
    expect(standingOf(authorityOf(facts), eve, 0)).toBe('ended')
  })

  test('under names that begin alike are divided further on', () => {
    const some = positions(6_000, i => `ggen/same-prefix-of-all-of-them-${i}`)
    const scopes = partsOf(parseScope('ggen/same-prefix-of-all-of-them-*'), some, false).map(({ scope }) => scope)
    expect(scopes).toContain('ggen/same-prefix-of-all-of-them-1*')
  })

  test('about the registry itself are recognised by the part that covers nothing else', () => {
    const own = { chain: CHAIN, subject: 'registry', seq: 7 } as const
    const last = partsOf(WHOLE, [own, ...positions(9_000, i => `npm/${i % 30}p${i}`)], false).at(-1)
    expect(last).toEqual({ scope: 'registry', heads: new Map([[CHAIN, new Map([['registry', 7]])]]) })
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

  test('are all that are known while they fit, and else those of facts that count, however many do not', async () => {
    const facts = new FactWriter(person('root'))
    const eve = person('eve')
    const granted = facts.grant(eve.did, 'curator')
    const claim = facts.claim('alpha', { by: eve, authPrev: granted.id })
    const idle = toVerified(facts.cosign(eve, facts.genesis))
    const many = Array.from({ length: 2_700 }, (_, i): VerifiedFact => {
      const id = parseFactId(contentIdOf(`cosign ${i}`).replace(/^bafkrei/, 'bafyrei'))
      return { ...idle, id, body: { ...idle.body, chain: i.toString(16).padStart(32, '0') } }
    })
    const recognisedOf = async (all: readonly VerifiedFact[]): Promise<readonly string[]> => {
      const authority = foldAuthority(facts.registry, all)
      const factsOf = (subject: Subject) => Promise.resolve(all.filter(({ body }) => body.subject === subject))
      const factsBy = () => Promise.resolve(all.filter(({ body }) => body.author === eve.did))
      const gate = { state: () => ({ authority, factsOf }) }
      const asked = { key: eve.did, scope: WHOLE, isCompromised: false, keep: [] }
      const found = await recognised({ gate, factsBy }, { registry: facts.registry, subject: 'registry' }, asked)
      return found.map(({ subject }) => subject)
    }
    const few = facts.all.map(toVerified)
    expect((await recognisedOf(few)).toSorted()).toEqual(['ggen/alpha', 'registry'])
    expect(await recognisedOf([...few, ...many])).toEqual([claim.body.subject])
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
