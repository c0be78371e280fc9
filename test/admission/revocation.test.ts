import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Author } from '../../node/services/author.ts'
import type { Admission } from '../../protocol/admission.ts'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { signFact } from '../../attestation/sign-fact.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'
import type { TestGate } from '../support/gate.ts'

const [root, ann, bob, eve, zoe] = [person('root'), person('ann'), person('bob'), person('eve'), person('zoe')]
const recovery = person('recovery')
const device = (who: Person, name: string): Person => ({ ...who, chain: person(name).chain })

function said(admission: Admission | undefined): string {
  if (admission === undefined) return 'nothing'
  return 'reason' in admission ? `${admission.verdict} ${admission.reason}` : admission.verdict
}

async function admit(node: TestGate, ...facts: readonly Made[]): Promise<readonly string[]> {
  return (
    await node.gate.admitMany(
      facts.map(({ bytes }) => bytes),
      { peer: 'p' }
    )
  ).map(said)
}

/** Offers everything until nothing changes any more, as sync does. */
async function offer(facts: FactWriter, order: readonly Made[], size: number): Promise<TestGate> {
  const node = await openGate(facts.registry)
  await admit(node, facts.genesis)
  for (let before = ''; ;) {
    for (let from = 0; from < order.length; from += size) await admit(node, ...order.slice(from, from + size))
    const now = (await node.ids()).join()
    if (now === before) return node
    before = now
  }
}

/** ann, a publisher, makes releases and is revoked between them; somebody steals her key. */
function theft() {
  const facts = new FactWriter(root)
  const grant = facts.grant(ann.did, 'publisher')
  const claim = facts.claim('alpha')
  const cited = facts.cite(claim, grant.id)
  const good = facts.release('alpha', '1.0.0', cited, { by: ann })
  const bad = facts.release('alpha', '6.6.6', cited, { by: ann })
  const worse = facts.release('alpha', '6.6.7', cited, { by: device(ann, 'thief') })
  const revoke = facts.revoke(ann.did, { authPrev: grant.id, heads: [good] })
  return { facts, grant, claim, good, bad, worse, revoke }
}

test('what a revocation does not recognise leaves the set, and is turned away when it comes later', async () => {
  const { facts, grant, claim, good, bad, worse, revoke } = theft()
  const node = await openGate(facts.registry)
  await admit(node, facts.genesis, grant, claim, good, bad)
  expect(await node.ids()).toContain(bad.id)
  expect(await admit(node, revoke)).toEqual(['accept'])
  expect(await node.ids()).not.toContain(bad.id)
  expect(await admit(node, worse, bad)).toEqual(['ignore revoked', 'ignore seen'])
  const view = await node.view.package(facts.registry, subject('alpha'))
  expect(view.versions.map(({ version }) => version)).toEqual(['1.0.0'])
  expect(node.store.head(facts.registry).count).toBe((await node.ids()).length)
})

test('a batch that holds a revocation and what it cuts takes one and keeps the other out', async () => {
  const { facts, grant, claim, good, bad, worse, revoke } = theft()
  const node = await openGate(facts.registry)
  const verdicts = await admit(node, facts.genesis, grant, claim, good, bad, worse, revoke)
  expect(verdicts).toEqual(['accept', 'accept', 'accept', 'accept', 'ignore revoked', 'ignore revoked', 'accept'])
  expect(await node.ids()).toHaveLength(5)
})

test('a revocation that stops counting brings back what it had cut', async () => {
  const facts = new FactWriter(root)
  const owner = facts.grant(ann.did, 'owner')
  const grant = facts.grant(bob.did, 'publisher', { authPrev: owner.id })
  const claim = facts.claim('alpha')
  const release = facts.release('alpha', '1.0.0', facts.cite(claim, grant.id), { by: bob })
  const next = facts.release('alpha', '1.1.0', facts.cite(claim, grant.id), { by: bob })
  const revoke = facts.revoke(bob.did, { by: ann, authPrev: grant.id, heads: [] })
  const node = await openGate(facts.registry)
  await admit(node, facts.genesis, owner, grant, claim, release, revoke, next)
  expect(await node.ids()).not.toContain(release.id)
  const recovered = facts.revoke(ann.did, { by: recovery, authPrev: grant.id, heads: [owner] })
  await admit(node, recovered)
  expect(await node.ids()).toEqual(expect.arrayContaining([release.id, next.id]))
  const { versions } = await node.view.package(facts.registry, subject('alpha'))
  expect(versions.map(({ version }) => version)).toEqual(['1.1.0', '1.0.0'])
})

/** A curator whose key is stolen names keys, which name each other and write. */
function circle() {
  const facts = new FactWriter(root)
  const grant = facts.grant(ann.did, 'curator')
  const honest = facts.claim('alpha', { by: ann, keys: [bob.did], authPrev: grant.id })
  const release = facts.release('alpha', '1.0.0', facts.cite(honest, grant.id), { by: bob })
  const stolen = facts.claim('beta', { by: ann, keys: [eve.did], authPrev: grant.id })
  const first = facts.claim('gamma', { by: eve, keys: [zoe.did], authPrev: grant.id })
  const second = facts.claim('gamma', { by: zoe, keys: [eve.did], authPrev: grant.id })
  const rubbish = facts.release('beta', '1.0.0', facts.cite(stolen, grant.id), { by: zoe })
  const revoke = facts.revoke(ann.did, { authPrev: grant.id, heads: [honest] })
  return { facts, revoke, release, outside: [stolen, first, second, rubbish] }
}

test('keys that only a cut fact named leave with all they wrote, also when they name each other', async () => {
  const { facts, revoke, release, outside } = circle()
  const node = await openGate(facts.registry)
  const before = facts.all.filter(fact => fact !== revoke)
  expect(new Set(await admit(node, ...before))).toEqual(new Set(['accept']))
  await admit(node, revoke)
  const ids = await node.ids()
  for (const { id } of outside) expect(ids).not.toContain(id)
  expect(ids).toContain(release.id)
  const late = facts.claim('delta', { by: zoe, authPrev: facts.genesis.id })
  expect(await admit(node, late)).toEqual(['pending author-unnamed'])
})

test('any order of arrival ends in the same set and view, with revocations among the facts', async () => {
  const scenes = [theft().facts, circle().facts]
  for (const facts of scenes) {
    const wanted = await offer(facts, facts.all, 1_000)
    const [ids, digest] = [await wanted.ids(), await wanted.digest()]
    const indexes = facts.all.map((_, i) => i)
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray(indexes, { minLength: indexes.length }),
        fc.integer({ min: 1, max: 4 }),
        async (order, size) => {
          const node = await offer(
            facts,
            order.flatMap(i => facts.all[i] ?? []),
            size
          )
          expect(await node.ids()).toEqual(ids)
          expect(await node.digest()).toBe(digest)
        }
      ),
      { numRuns: 60 }
    )
  }
})

test('a node that opens its store again decides as before', async () => {
  const { facts } = circle()
  const kv = memoryKeyValue()
  const node = await openGate(facts.registry, kv)
  await admit(node, ...facts.all)
  const again = await openGate(facts.registry, kv)
  expect(await again.ids()).toEqual(await node.ids())
  expect(await again.digest()).toBe(await node.digest())
  expect(await admit(again, ...facts.all.slice(0, 1))).toEqual(['ignore seen'])
})

test('a key that was revoked is told so, and goes on in a new chain once it is named again', async () => {
  const facts = new FactWriter(root)
  const grant = facts.grant(ann.did, 'publisher')
  const claim = facts.claim('alpha')
  const node = await openGate(facts.registry)
  const own = { chain: ann.chain, renewals: 0 }
  const signer = {
    principal: ann.did,
    sign: (body: Parameters<typeof signFact>[0]) => signFact(body, ann.secret),
    chain: () => own.chain,
    renewChain: async () => {
      own.renewals += 1
      own.chain = person(`ann ${own.renewals}`).chain
      return own.chain
    }
  }
  const author = new Author({ gate: node.gate, signer, now: () => 1 })
  await admit(node, facts.genesis, grant, claim)
  const yank = { version: '1.0.0', reason: '', authority: facts.cite(claim, grant.id) }
  const write = (authority = yank.authority) =>
    author.write(facts.registry, subject('alpha'), { type: 'yank', value: { ...yank, authority } as never })
  await write()
  const revoke = facts.revoke(ann.did, { authPrev: grant.id, heads: [] })
  await admit(node, revoke)
  await expect(write()).rejects.toMatchObject({ code: 'NOT_AUTHORIZED' })
  const again = facts.grant(ann.did, 'publisher', { authPrev: revoke.id })
  await admit(node, again)
  const written = await write(facts.cite(claim, again.id))
  expect(own.renewals).toBe(1)
  expect(await node.ids()).toContain(written.id)
})
