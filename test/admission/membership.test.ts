import { expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { FactWriter, make, person, subject } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'
import type { TestGate } from '../support/gate.ts'

const [root, ann, bob, eve, zoe] = [person('root'), person('ann'), person('bob'), person('eve'), person('zoe')]
const recovery = person('recovery')
const device = (who: Person, name: string): Person => ({ ...who, chain: person(name).chain })

async function admit(node: TestGate, ...facts: readonly Made[]): Promise<void> {
  await node.gate.admitMany(
    facts.map(({ bytes }) => bytes),
    { peer: 'p' }
  )
}

/** One fact at a time, each batch in its turn: then the store must say what the same facts in one batch say. */
async function sameAsAtOnce(facts: FactWriter, ...batches: readonly (readonly Made[])[]): Promise<TestGate> {
  const node = await openGate(facts.registry)
  for (const batch of batches) await admit(node, ...batch)
  const again = await openGate(facts.registry, node.kv)
  expect(await again.ids()).toEqual(await node.ids())
  const other = await openGate(facts.registry)
  for (let round = 0; round < 4; round += 1) await admit(other, ...facts.all)
  expect(await node.ids()).toEqual(await other.ids())
  expect(await node.digest()).toBe(await other.digest())
  return node
}

test('a cut fact that comes with what ends the revocation is in the set and in the store', async () => {
  const facts = new FactWriter(root)
  const owner = facts.grant(ann.did, 'owner')
  const grant = facts.grant(bob.did, 'publisher', { authPrev: owner.id })
  const claim = facts.claim('alpha')
  const revoke = facts.revoke(bob.did, { by: ann, authPrev: grant.id, heads: [] })
  const late = facts.release('alpha', '1.1.0', facts.cite(claim, grant.id), { by: bob })
  const recovered = facts.revoke(ann.did, { by: recovery, authPrev: grant.id, heads: [owner] })
  const node = await sameAsAtOnce(facts, [facts.genesis, owner, grant, claim, revoke], [late, recovered])
  expect(await node.ids()).toContain(late.id)
})

test('what a key wrote after it was named again comes in before the grant too', async () => {
  const facts = new FactWriter(root)
  const grant = facts.grant(bob.did, 'publisher')
  const claim = facts.claim('alpha')
  const revoke = facts.revoke(bob.did, { authPrev: grant.id, heads: [] })
  const again = facts.grant(bob.did, 'publisher', { authPrev: revoke.id })
  const next = facts.grant(zoe.did, 'mirror', { authPrev: again.id })
  const release = facts.release('alpha', '1.0.0', facts.cite(claim, again.id), { by: bob })
  const later = facts.release('alpha', '1.1.0', facts.cite(claim, next.id), { by: bob })
  const start = [facts.genesis, grant, claim, revoke]
  const node = await sameAsAtOnce(facts, start, [release, later], [again], [next])
  expect(await node.ids()).toEqual(expect.arrayContaining([release.id, later.id]))
})

test('a key that is named again names those whom it had named', async () => {
  const facts = new FactWriter(root)
  const grant = facts.grant(ann.did, 'curator')
  const stolen = facts.claim('beta', { by: ann, keys: [eve.did], authPrev: grant.id })
  const first = facts.claim('gamma', { by: eve, keys: [zoe.did], authPrev: grant.id })
  const release = facts.release('gamma', '1.0.0', facts.cite(first, grant.id), { by: zoe })
  const revoke = facts.revoke(ann.did, { authPrev: grant.id, heads: [] })
  const again = facts.grant(eve.did, 'curator', { authPrev: revoke.id })
  const start = [facts.genesis, grant, stolen, first, release]
  const node = await sameAsAtOnce(facts, start, [revoke], [again])
  expect(await node.ids()).toEqual(expect.arrayContaining([first.id, release.id]))
})

test('a recovery that becomes one by a later signature spares what it would have cut', async () => {
  const facts = new FactWriter(root)
  const grant = facts.grant(bob.did, 'publisher')
  const claim = facts.claim('alpha')
  const release = facts.release('alpha', '1.0.0', facts.cite(claim, grant.id), { by: bob })
  const revoke = facts.revoke(bob.did, { authPrev: grant.id, heads: [] })
  const signed = facts.cosign(recovery, revoke)
  const node = await sameAsAtOnce(facts, [facts.genesis, grant, claim, release], [revoke], [signed])
  expect(await node.ids()).toContain(release.id)
})

test('an owner named under an older head raises what old releases needed, everywhere', async () => {
  const facts = new FactWriter(root)
  const raised = facts.grant(ann.did, 'owner', { threshold: 3 })
  const claim = facts.claim('alpha', { by: root, keys: [zoe.did] })
  const release = facts.release('alpha', '1.0.0', facts.cite(claim, raised.id))
  const signed = facts.cosign(ann, release)
  const other = facts.grant(bob.did, 'owner')
  const both = [facts.cosign(ann, other)]
  await sameAsAtOnce(facts, [facts.genesis, raised, claim, release, signed], [other, ...both])
})

test('whoever has forked is marked, however many forks others have', async () => {
  const facts = new FactWriter(root)
  const people = [ann, bob].toSorted((a, b) => (a.did < b.did ? -1 : 1))
  const [loud = ann, quiet = bob] = people
  const one = facts.grant(loud.did, 'publisher')
  const grant = facts.grant(quiet.did, 'publisher', { authPrev: one.id })
  const claim = facts.claim('alpha')
  const release = facts.release('alpha', '1.0.0', facts.cite(claim, grant.id), { by: quiet })
  const flood = Array.from({ length: 300 }, (_, i) => {
    const made = facts.grant(loud.did, 'mirror', { by: device(loud, `device ${i}`) })
    const twin = make({ ...made.body, time: 1 }, loud)
    facts.all.push(twin)
    return [made, twin]
  })
  const made = facts.grant(quiet.did, 'mirror', { by: quiet })
  const twin = make({ ...made.body, time: 1 }, quiet)
  facts.all.push(twin)
  const start = [facts.genesis, one, grant, claim, release, ...flood.flat()]
  const node = await sameAsAtOnce(facts, start, [made, twin])
  const view = await node.view.package(facts.registry, subject('alpha'))
  expect(view.versions[0]?.contents[0]?.marks).toEqual(['forked-author'])
})

test('a fact that waits for a key comes in when what named that key comes back', async () => {
  const facts = new FactWriter(root)
  const grant = facts.grant(ann.did, 'curator')
  const stolen = facts.claim('beta', { by: ann, keys: [eve.did], authPrev: grant.id })
  const first = facts.claim('gamma', { by: eve, keys: [zoe.did], authPrev: grant.id })
  const revoke = facts.revoke(ann.did, { authPrev: grant.id, heads: [] })
  const release = facts.release('gamma', '1.0.0', facts.cite(first, grant.id), { by: zoe })
  const again = facts.grant(eve.did, 'curator', { authPrev: revoke.id })
  const node = await openGate(facts.registry)
  await admit(node, facts.genesis, grant, stolen, first)
  await admit(node, revoke)
  await admit(node, release)
  expect(node.gate.pendingCount(facts.registry)).toBe(1)
  await admit(node, again)
  expect(await node.ids()).toContain(release.id)
  expect(node.gate.pendingCount(facts.registry)).toBe(0)
})

test('what the room outside the set has no place for is not remembered either', async () => {
  const facts = new FactWriter(root)
  const owner = facts.grant(ann.did, 'owner')
  const grant = facts.grant(bob.did, 'publisher', { authPrev: owner.id })
  const revoke = facts.revoke(bob.did, { by: ann, authPrev: grant.id, heads: [] })
  const flood = Array.from({ length: LIMITS.cut.facts + 100 }, () => facts.cosign(bob, grant))
  const recovered = facts.revoke(ann.did, { by: recovery, authPrev: grant.id, heads: [owner] })
  const node = await openGate(facts.registry)
  await admit(node, facts.genesis, owner, grant, revoke)
  await admit(node, ...flood)
  expect(node.store.head(facts.registry).cut.count).toBe(LIMITS.cut.facts)
  await admit(node, recovered)
  const state = await node.gate.state(facts.registry)?.known('registry')
  expect(state?.set.map(({ id }) => id as string).toSorted()).toEqual((await node.ids()).toSorted())
})

test('a fork by a key that has no say has no other packages folded again', async () => {
  const facts = new FactWriter(root)
  facts.grant(ann.did, 'publisher')
  facts.claim('alpha', { by: ann })
  const made = facts.grant(eve.did, 'owner', { by: ann })
  const twin = make({ ...made.body, time: 1 }, ann)
  const node = await openGate(facts.registry)
  await admit(node, ...facts.all)
  expect(await node.store.asideSubjects(facts.registry)).toEqual([subject('alpha')])
  let asked = 0
  const original = node.store.asideSubjects.bind(node.store)
  node.store.asideSubjects = registry => {
    asked += 1
    return original(registry)
  }
  await admit(node, twin)
  expect(await node.ids()).toContain(twin.id)
  expect(asked).toBe(0)
})

test('whom a fact names that is in the set because of a fork is named', async () => {
  const facts = new FactWriter(root)
  const gone = facts.revoke(recovery.did, { heads: [] })
  const one = facts.grant(root.did, 'owner', { authPrev: gone.id })
  const held = facts.grant(bob.did, 'recovery', { by: recovery, authPrev: one.id })
  const twin = make({ ...one.body, time: 1 }, root)
  facts.all.push(twin)
  const said = facts.grant(eve.did, 'mirror', { by: bob })
  const node = await sameAsAtOnce(facts, [facts.genesis, gone], [one], [twin], [held], [said])
  expect(await node.ids()).toContain(said.id)
})
