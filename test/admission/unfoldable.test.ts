import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { unfoldableFindings } from '../../node/unfoldable.ts'
import type * as FoldVersions from '../../protocol/fold-versions.ts'
import type * as Redemptions from '../../protocol/redemptions.ts'
import type * as Referred from '../../protocol/attest/referred.ts'
import type { Made } from '../support/facts.ts'
import { attestIn, bytesOf } from '../support/attest.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'
import type { TestGate } from '../support/gate.ts'
import { openDigestRow } from '../../protocol/view-row.ts'
import { rootSubject } from '../../protocol/attest/release-subjects.ts'
import { foldApart } from '../../protocol/fold-apart.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import { codeOf } from '../support/error-code.ts'
import { LIMITS } from '../../protocol/limits.ts'

/*
 * No fact is known with which the fold throws, so faults are planted, deep inside it: what is tested is all around them.
 *   version 6.6.6 alone, and 3.0.0 and 3.0.1 together, of any package: a TypeError
 *   version 7.7.7: what a stack without room throws, of which other nodes know nothing
 *   versions 8.8.*, once a newer program folds
 *   a quarantine of 5.0.0 in a package with a version 5.0.1
 *   a grant of a scope that begins with "ggen/broken"; that of one with "ggen/half" where "ggen/other" is granted too
 *   a statement of type urn:planted
 */
const fault = vi.hoisted(() => ({ isNew: false }))
vi.mock('../../protocol/fold-versions.ts', async importOriginal => {
  const real = await importOriginal<typeof FoldVersions>()
  const foldVersions: typeof real.foldVersions = (releases, yanks, context) => {
    const versions = new Set<string>(releases.map(({ payload }) => payload.value.version))
    if (versions.has('7.7.7')) throw new RangeError('Maximum call stack size exceeded')
    if ([...versions].some(version => version.startsWith('6.6.'))) throw new TypeError('planted')
    if (fault.isNew && [...versions].some(version => version.startsWith('8.8.'))) throw new TypeError('planted')
    if (versions.has('3.0.0') && versions.has('3.0.1')) throw new TypeError('planted for two')
    if (versions.has('5.0.1') && context.quarantinesOf('5.0.0' as never).length > 0) throw new TypeError('planted')
    return real.foldVersions(releases, yanks, context)
  }
  return { ...real, foldVersions }
})
vi.mock('../../protocol/redemptions.ts', async importOriginal => {
  const real = await importOriginal<typeof Redemptions>()
  const countRedemptions: typeof real.countRedemptions = (roles, facts) => {
    const scopes = facts.flatMap(({ payload }) => (payload.type === 'grant' ? [payload.value.scope as string] : []))
    if (scopes.some(scope => scope.startsWith('ggen/broken'))) throw new TypeError('planted')
    if (scopes.includes('ggen/half*') && scopes.includes('ggen/other*')) throw new TypeError('planted for two')
    return real.countRedemptions(roles, facts)
  }
  return { ...real, countRedemptions }
})
vi.mock('../../protocol/attest/referred.ts', async importOriginal => {
  const real = await importOriginal<typeof Referred>()
  const referredIn: typeof real.referredIn = statement => {
    if (statement.predicateType === 'urn:planted') throw new TypeError('planted')
    return real.referredIn(statement)
  }
  return { ...real, referredIn }
})

const [root, ann, bob, eve] = [person('root'), person('ann'), person('bob'), person('eve')]

async function admit(node: TestGate, facts: readonly Made[]): Promise<readonly string[]> {
  const verdicts = await node.gate.admitMany(
    facts.map(({ bytes }) => bytes),
    { peer: 'p' }
  )
  return verdicts.map(one => ('reason' in one ? `${one.verdict} ${one.reason}` : one.verdict))
}

async function asideOf(node: TestGate, facts: FactWriter, name: string): Promise<Readonly<Record<string, string>>> {
  const { setAside } = await node.view.package(facts.registry, subject(name))
  return Object.fromEntries(setAside.map(({ fact, reason }) => [fact, reason]))
}

async function versionsOf(node: TestGate, facts: FactWriter, name: string): Promise<readonly string[]> {
  return (await node.view.package(facts.registry, subject(name))).versions.map(({ version }) => version)
}

test('a fact with which the fold throws is set aside, and all that came with it counts', async () => {
  const facts = new FactWriter(root)
  const cited = facts.cite(facts.claim('alpha'))
  facts.release('alpha', '1.0.0', cited)
  const broken = facts.release('alpha', '6.6.6', cited)
  facts.release('alpha', '1.1.0', cited)
  facts.release('beta', '1.0.0', facts.cite(facts.claim('beta')))
  const node = await openGate(facts.registry)
  expect(new Set(await admit(node, facts.all))).toEqual(new Set(['accept']))
  expect(await versionsOf(node, facts, 'alpha')).toEqual(['1.1.0', '1.0.0'])
  expect(await asideOf(node, facts, 'alpha')).toEqual({ [broken.id]: 'unfoldable' })
  expect(await versionsOf(node, facts, 'beta')).toEqual(['1.0.0'])
  const parts = { facts: node.store, gate: node.gate }
  const findings = await unfoldableFindings(parts, { id: facts.registry, alias: 'test' })
  expect(findings).toMatchObject([{ check: 'fold of test', ok: false }])
  expect(findings[0]?.text).toMatch(`unfoldable: 1 facts do not count`)
  expect(findings[0]?.text).toContain(`${broken.id} about ggen/alpha`)
  const again = await openGate(facts.registry, node.kv)
  expect(await again.digest()).toBe(await node.digest())
})

test('of two that throw together that of who holds less is blamed, and what gives before what takes away', async () => {
  const facts = new FactWriter(root)
  const grant = facts.grant(ann.did, 'publisher')
  const claim = facts.claim('alpha', { keys: [bob.did] })
  const cited = facts.cite(claim, grant.id)
  // `bob` owns the package and holds nothing in the registry.
  const named = facts.release('alpha', '3.0.0', cited, { by: ann })
  facts.release('alpha', '3.0.1', cited, { by: bob })
  const stop = facts.quarantine('alpha', '5.0.0', cited)
  facts.release('alpha', '5.0.0', cited)
  const against = facts.release('alpha', '5.0.1', cited)
  const node = await openGate(facts.registry)
  await admit(node, facts.all)
  expect(await asideOf(node, facts, 'alpha')).toEqual({ [named.id]: 'unfoldable', [against.id]: 'unfoldable' })
  expect(await versionsOf(node, facts, 'alpha')).toEqual(['5.0.0', '3.0.1'])
  const { versions } = await node.view.package(facts.registry, subject('alpha'))
  expect(versions[0]?.quarantines?.map(({ fact }) => fact)).toEqual([stop.id])
  // Whoever owns the registry stands above him.
  const above = facts.cite(facts.claim('beta', { keys: [bob.did] }), grant.id)
  facts.release('beta', '3.0.0', above)
  const lesser = facts.release('beta', '3.0.1', above, { by: bob })
  await admit(node, facts.all)
  expect((await asideOf(node, facts, 'beta'))[lesser.id]).toBe('unfoldable')
})

test('who is blamed too often loses all that he says about the subject, and nobody else does', async () => {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha', { keys: [bob.did, eve.did].toSorted() })
  const cited = facts.cite(claim)
  facts.release('alpha', '1.0.0', cited, { by: bob })
  facts.release('alpha', '2.0.0', cited, { by: eve })
  for (let i = 0; i <= LIMITS.view.unfoldable.perAuthor; i++) facts.release('alpha', `6.6.${i}`, cited, { by: eve })
  const node = await openGate(facts.registry)
  await admit(node, facts.all)
  expect(await versionsOf(node, facts, 'alpha')).toEqual(['1.0.0'])
  expect(Object.values(await asideOf(node, facts, 'alpha'))).toEqual(
    Array.from({ length: LIMITS.view.unfoldable.perAuthor + 2 }, () => 'unfoldable')
  )
})

test('what a machine has no room for sets nothing aside: the batch fails, as it would elsewhere or not', async () => {
  const facts = new FactWriter(root)
  const cited = facts.cite(facts.claim('alpha'))
  const before = [...facts.all]
  const late = facts.release('alpha', '7.7.7', cited)
  const node = await openGate(facts.registry)
  await admit(node, before)
  await expect(admit(node, [late])).rejects.toThrow(RangeError)
  expect(await node.ids()).toHaveLength(before.length)
  expect(await admit(node, [facts.release('alpha', '1.0.0', cited)])).toEqual(['pending predecessor-missing'])
})

test('a statement about a digest with which the fold throws is set aside', async () => {
  const facts = new FactWriter(root)
  const release = bytesOf(facts.release('alpha', '1.0.0', facts.cite(facts.claim('alpha'))))
  const broken = attestIn(facts, release, { by: root, said: { predicateType: 'urn:planted' } })
  const good = attestIn(facts, release, { by: root })
  const node = await openGate(facts.registry)
  await admit(node, facts.all)
  const row = openDigestRow((await node.store.row(facts.registry, rootSubject(release.root))) ?? new Uint8Array())
  expect(row.attestations.map(({ fact }) => fact)).toEqual([good.id])
  expect(row.setAside).toEqual([{ fact: broken.id, type: 'attestation', reason: 'unfoldable' }])
})

test('a change of who may do what with which the fold throws is set aside, and what is built upon it', async () => {
  const facts = new FactWriter(root)
  const broken = facts.grant(ann.did, 'publisher', { scope: 'ggen/broken*' })
  const upon = facts.grant(eve.did, 'publisher', { authPrev: broken.id })
  const good = facts.grant(bob.did, 'publisher')
  const node = await openGate(facts.registry)
  await admit(node, facts.all)
  const authority = node.gate.state(facts.registry)?.authority
  expect(authority?.grants.map(({ fact }) => fact)).toEqual([good.id])
  expect(Object.fromEntries((authority?.setAside ?? []).map(({ fact, reason }) => [fact, reason]))).toEqual({
    [broken.id]: 'unfoldable',
    [upon.id]: 'unknown-authority'
  })
})

test('a change by an owner who was named later counts, where one by a member throws beside it', async () => {
  const facts = new FactWriter(root)
  const member = facts.grant(ann.did, 'member')
  const owner = facts.grant(eve.did, 'owner', { authPrev: member.id })
  const other = facts.grant(bob.did, 'publisher', { by: ann, authPrev: owner.id, scope: 'ggen/other*' })
  facts.grant(bob.did, 'publisher', { by: eve, authPrev: owner.id, scope: 'ggen/well*' })
  const half = facts.grant(bob.did, 'publisher', { by: eve, authPrev: owner.id, scope: 'ggen/half*' })
  const node = await openGate(facts.registry)
  await admit(node, facts.all)
  const authority = node.gate.state(facts.registry)?.authority
  expect(authority?.unfoldable).toEqual([other.id])
  expect(authority?.grants.map(({ fact }) => fact)).toContain(half.id)
})

test('more such facts than are set aside fail the batch: what was taken away before stays so', async () => {
  const facts = new FactWriter(root)
  const people = Array.from({ length: LIMITS.view.unfoldable.rounds + 1 }, (_, i) => person(`person ${i}`))
  let head = facts.genesis.id
  for (const { did } of people) head = facts.grant(did, 'publisher', { authPrev: head }).id
  const cited = facts.cite(facts.claim('alpha'), head)
  facts.release('alpha', '5.0.0', cited)
  const stop = facts.quarantine('alpha', '5.0.0', cited)
  const node = await openGate(facts.registry)
  const before = [...facts.all]
  await admit(node, before)
  const broken = people.map((by, i) => facts.release('alpha', `6.6.${i}`, cited, { by }))
  await expect(admit(node, broken)).rejects.toMatchObject({ code: 'INTERNAL' })
  expect(await node.ids()).toHaveLength(before.length)
  const { versions } = await node.view.package(facts.registry, subject('alpha'))
  expect(versions[0]?.quarantines?.map(({ fact }) => fact)).toEqual([stop.id])
  await admit(node, broken.slice(1))
  expect(Object.keys(await asideOf(node, facts, 'alpha'))).toHaveLength(broken.length - 1)
})

test('more such facts than are set aside, by rules that are new here, leave the row of that subject as it was', async () => {
  const facts = new FactWriter(root)
  const people = Array.from({ length: LIMITS.view.unfoldable.rounds + 1 }, (_, i) => person(`person ${i}`))
  let head = facts.genesis.id
  for (const { did } of people) head = facts.grant(did, 'publisher', { authPrev: head }).id
  const cited = facts.cite(facts.claim('alpha'), head)
  for (const [i, by] of people.entries()) facts.release('alpha', `8.8.${i}`, cited, { by })
  facts.release('beta', '1.0.0', facts.cite(facts.claim('beta')))
  const node = await openGate(facts.registry)
  await admit(node, facts.all)
  const before = await versionsOf(node, facts, 'alpha')
  expect(before).toHaveLength(people.length)
  await node.kv.batch([{ type: 'put', key: `rules!${facts.registry}`, value: new TextEncoder().encode('0') }])
  const told: unknown[] = []
  fault.isNew = true
  try {
    const log = { info: () => {}, warn: (fields: object) => told.push(fields) }
    const again = await openGate(facts.registry, node.kv, { log })
    expect(told).toMatchObject([{ subject: subject('alpha'), error: { code: 'INTERNAL' } }])
    expect(await versionsOf(again, facts, 'alpha')).toEqual(before)
    expect(await versionsOf(again, facts, 'beta')).toEqual(['1.0.0'])
    expect(await again.store.isStale(facts.registry)).toBe(false)
  } finally {
    fault.isNew = false
  }
})

describe('what is looked for', () => {
  const factBy = (author: string, seq: number): VerifiedFact =>
    ({ id: `f${`${seq}`.padStart(6, '0')}`, body: { type: 'release', seq, author }, payload: {} }) as never
  const inOrder = (a: VerifiedFact, b: VerifiedFact): number => a.body.seq - b.body.seq

  test('costs so much and no more', () => {
    const facts = Array.from({ length: 10_000 }, (_, i) => factBy(`author ${i % 20}`, i))
    const broken = new Set(facts.slice(-100))
    let folded = 0
    const fold = (some: readonly VerifiedFact[]): void => {
      folded += some.length
      if (some.some(fact => broken.has(fact))) throw new TypeError('planted')
    }
    expect(codeOf(() => foldApart(facts, inOrder, fold))).toBe('INTERNAL')
    const { folded: most } = LIMITS.view.unfoldable
    expect(folded).toBeLessThan(most + 20 * facts.length)
    // Of one author alone it is found.
    broken.clear()
    for (const fact of facts.filter(({ body }) => body.author === 'author 7').slice(-20)) broken.add(fact)
    expect(foldApart(facts, inOrder, fold).unfoldable).toHaveLength(500)
  })

  test('is none of what a pattern without room on the stack throws', () => {
    const fold = (): never => {
      throw new SyntaxError('Invalid regular expression: /(a)/: Stack overflow')
    }
    expect(() => foldApart([factBy('a', 0)], inOrder, fold)).toThrow(SyntaxError)
  })
})

test('what a revoked key left outside the set blames nothing in it', async () => {
  const facts = new FactWriter(root)
  const owner = facts.grant(eve.did, 'owner')
  const half = facts.grant(ann.did, 'publisher', { authPrev: owner.id, scope: 'ggen/half*' })
  const revoke = facts.revoke(eve.did, { authPrev: half.id, heads: [] })
  const other = facts.grant(bob.did, 'publisher', { by: eve, authPrev: owner.id, scope: 'ggen/other*' })
  const orders = [
    [owner, half, revoke],
    [owner, half, revoke, other],
    [owner, half, other, revoke],
    [owner, other, half, revoke]
  ]
  for (const size of [1, 9]) {
    const digests = new Set<string>()
    for (const order of orders) {
      const node = await openGate(facts.registry)
      const all = [facts.genesis, ...order]
      for (let from = 0; from < all.length; from += size) await admit(node, all.slice(from, from + size))
      digests.add(await node.digest())
      const authority = node.gate.state(facts.registry)?.authority
      expect(authority?.grants.map(({ fact }) => fact)).toEqual([owner.id, half.id])
    }
    expect(digests.size).toBe(1)
  }
})

function busyRegistry(): FactWriter {
  const facts = new FactWriter(root)
  const first = facts.grant(ann.did, 'publisher')
  const broken = facts.grant(eve.did, 'publisher', { authPrev: first.id, scope: 'ggen/broken-*' })
  facts.grant(bob.did, 'publisher', { authPrev: broken.id })
  facts.grant(bob.did, 'curator', { authPrev: first.id })
  const cited = facts.cite(facts.claim('alpha', { keys: [eve.did] }), first.id)
  const release = facts.release('alpha', '1.0.0', cited)
  facts.release('alpha', '3.0.0', cited, { by: ann })
  facts.release('alpha', '3.0.1', cited, { by: eve })
  facts.release('alpha', '6.6.6', cited, { by: ann })
  facts.release('alpha', '6.6.7', cited, { by: eve })
  facts.release('alpha', '4.0.0', cited, { by: eve })
  facts.quarantine('alpha', '5.0.0', cited)
  facts.release('alpha', '5.0.1', cited, { by: eve })
  facts.yank('alpha', '3.0.0', cited)
  facts.revoke(ann.did, { authPrev: first.id, heads: [], role: 'curator' })
  const bytes = bytesOf(release)
  attestIn(facts, bytes, { by: ann, head: first.id, said: { predicateType: 'urn:planted' } })
  attestIn(facts, bytes, { by: ann, head: first.id })
  return facts
}

test('any order of arrival, in batches of any size, sets the same aside', async () => {
  const facts = busyRegistry()
  const wanted = await openGate(facts.registry)
  await admit(wanted, facts.all)
  const digest = await wanted.digest()
  expect(Object.values(await asideOf(wanted, facts, 'alpha')).filter(reason => reason === 'unfoldable')).toHaveLength(4)
  await fc.assert(
    fc.asyncProperty(
      fc.shuffledSubarray([...facts.all], { minLength: facts.all.length }),
      fc.integer({ min: 1, max: 9 }),
      fc.boolean(),
      async (order, size, restart) => {
        let node = await openGate(facts.registry)
        for (let round = 0; round < 8; round++) {
          for (let from = 0; from < order.length; from += size) await admit(node, order.slice(from, from + size))
          if (restart) node = await openGate(facts.registry, node.kv)
        }
        expect(await node.ids()).toEqual(await wanted.ids())
        expect(await node.digest()).toBe(digest)
      }
    ),
    { numRuns: 40 }
  )
})
