import { expect, test } from 'vitest'
import { foldRegistry } from '../../node/services/membership.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import { parseFactId } from '../../protocol/cid.ts'
import type { FactId } from '../../protocol/cid.ts'
import { standingOf } from '../../protocol/membership/members.ts'
import { pinsOf } from '../../protocol/membership/pin.ts'
import { encodePayload } from '../../protocol/payload.ts'
import { contentIdOf, FactWriter, make, person, subject } from '../support/facts.ts'
import type { Made } from '../support/facts.ts'
import { toVerified } from '../support/fold.ts'
import { admit, authorityAt, invitedAt, NOW, nodeWith } from './at-gate.ts'

const [root, kim, lee, pat, door] = [person('root'), person('kim'), person('lee'), person('pat'), person('front door')]

/** A use of the same place with a lower id: whoever has the token tries until there is one. */
function below({ body, id }: Made, invite: FactId): Made {
  for (let tries = 1; ; tries += 1) {
    const payload = encodePayload({ type: 'redeem', value: { invite, key: pat.did } })
    const made = make({ ...body, time: body.time + tries, payload }, door)
    if (made.id < id) return made
  }
}

test('a token that was used is still a secret: whoever has it takes a place over, a revoked invite or not', async () => {
  const facts = new FactWriter(root)
  const invite = facts.invite(door.did)
  const used = facts.redeem(invite, kim.did, { by: door })
  facts.revoke(door.did, { authPrev: invite.id })
  const node = await nodeWith(facts)
  expect(invitedAt(node, facts)).toEqual([kim.did])
  await admit(node, below(used, invite.id))
  expect(invitedAt(node, facts)).toEqual([pat.did])
  expect(standingOf(authorityAt(node, facts), kim.did, NOW)).toBe('unknown')
})

test('members who were pinned stay when all of the invite is ended, with what they published, and one of them can be put out', async () => {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha')
  const invite = facts.invite(door.did, { uses: 2 })
  const [first, second] = [kim, lee].map((key, use) => facts.redeem(invite, key.did, { by: door, use }))
  if (first === undefined || second === undefined) throw new Error('no uses')
  const releases = [kim, lee].map((by, i) => facts.release('alpha', `1.${i}.0`, facts.cite(claim, invite.id), { by }))
  const node = await nodeWith(facts)
  const pins = pinsOf(authorityAt(node, facts), invite.id).map(value =>
    facts.write(root, 'registry', { type: 'grant', value })
  )
  expect(pins).toHaveLength(2)
  await admit(node, ...pins)
  expect(pinsOf(authorityAt(node, facts), invite.id)).toEqual([])
  const { head } = authorityAt(node, facts)
  const end = facts.revoke(door.did, { authPrev: head, heads: [] })
  const expel = facts.revoke(kim.did, { authPrev: end.id })
  await admit(node, end, expel)
  // The one that was put out has the token, and time.
  for (const used of [first, second]) await admit(node, below(used, invite.id))
  const standings = [kim, lee, pat].map(({ did }) => standingOf(authorityAt(node, facts), did, NOW))
  expect(standings).toEqual(['ended', 'member', 'unknown'])
  const view = await node.view.find(facts.registry, subject('alpha'))
  expect(view?.versions.flatMap(({ contents }) => contents.map(({ fact }) => fact)).toSorted()).toEqual(
    releases.map(({ id }) => id).toSorted()
  )
  for (const { id } of [first, second]) expect(await node.ids()).not.toContain(id)
})

const MANY = 10_000

/** Facts that are like one in all but their ids and keys: nobody signs ten thousand for a test of folding. */
function like(fact: VerifiedFact, change: (i: number) => Partial<VerifiedFact['body']>): readonly VerifiedFact[] {
  return Array.from({ length: MANY }, (_, i) => {
    const id = parseFactId(contentIdOf(`${fact.id} ${i}`).replace(/^bafkrei/, 'bafyrei'))
    const value = { ...fact.payload.value, key: `${kim.did} ${i}` }
    const payload = { type: fact.payload.type, value } as VerifiedFact['payload']
    return { id, body: { ...fact.body, ...change(i) }, payload }
  })
}

test.each<[string, (i: number) => Partial<VerifiedFact['body']>]>([
  ['at one place', () => ({})],
  ['in chains that are no places', i => ({ chain: i.toString(16).padStart(32, '0') })],
  ['one after the other', i => ({ seq: i })]
])('ten thousand uses %s are folded in bounded time', (_, change) => {
  const facts = new FactWriter(root)
  const invite = facts.invite(door.did, { uses: 1_024 })
  const use = toVerified(facts.redeem(invite, kim.did, { by: door }))
  const all = [...facts.all.map(toVerified), ...like(use, change)]
  const before = process.cpuUsage()
  const { authority } = foldRegistry(facts.registry, all)
  expect(process.cpuUsage(before).user / 1_000).toBeLessThan(2_000)
  expect(authority?.redemptions.length).toBeLessThanOrEqual(1_024)
  expect(authority?.setAside.length).toBeLessThanOrEqual(1_024)
})
