import fc from 'fast-check'
import { expect, test } from 'vitest'
import { foldRegistry } from '../../node/services/membership.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { toHex } from '../../protocol/bytes.ts'
import { invitesOf, membersOf } from '../../protocol/membership/members.ts'
import type { FactWriter } from '../support/facts.ts'
import { toVerified } from '../support/fold.ts'
import { openGate } from '../support/gate.ts'
import type { TestGate } from '../support/gate.ts'
import { inviteMoves, playInvites } from './random-invites.ts'

const NOW = 1_750_000_000_000

type Dice = (sides: number) => number

/** Offers facts in batches of any size. */
async function offer(node: TestGate, bytes: readonly Uint8Array[], dice: Dice): Promise<void> {
  for (let from = 0; from < bytes.length;) {
    const size = 1 + dice(6)
    await node.gate.admitMany(bytes.slice(from, from + size), { peer: 'p' })
    from += size
  }
}

/** All that a node says: its set, its view, who is a member and which invites are open. */
async function saidBy(node: TestGate, { registry }: FactWriter): Promise<readonly string[]> {
  const state = node.gate.state(registry)
  const { authority } = state ?? {}
  if (state === undefined || authority === undefined) return []
  const facts = await state.factsOf('registry')
  const members = encodeCbor([membersOf(authority, NOW), invitesOf(authority, facts, NOW)])
  return [...(await node.ids()), await node.digest(), toHex(members)]
}

function shuffled<T>(all: readonly T[], dice: Dice): readonly T[] {
  return all
    .map(value => ({ value, key: dice(1_000_000) }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ value }) => value)
}

/** Two nodes that each hear a part, in any order, tell each other what is in their sets until nothing is new. */
async function reconciled(facts: FactWriter, dice: Dice): Promise<readonly [TestGate, TestGate]> {
  const bytesOf = new Map<string, Uint8Array>(facts.all.map(({ id, bytes }) => [id, bytes]))
  const nodes = [await openGate(facts.registry), await openGate(facts.registry)] as const
  for (const node of nodes) {
    const heard = shuffled(facts.all, dice).filter(fact => fact === facts.genesis || dice(3) > 0)
    await offer(
      node,
      [...heard, ...heard].map(({ bytes }) => bytes),
      dice
    )
  }
  const [one, other] = nodes
  const tell = async (from: TestGate, to: TestGate): Promise<void> => {
    const has = new Set(await to.ids())
    await offer(
      to,
      (await from.ids()).filter(id => !has.has(id)).flatMap(id => bytesOf.get(id) ?? []),
      dice
    )
  }
  for (let before = ''; ;) {
    await tell(one, other)
    await tell(other, one)
    const now = `${(await saidBy(one, facts)).join()} ${(await saidBy(other, facts)).join()}`
    if (now === before) return nodes
    before = now
  }
}

test('nodes that hear of invites and their uses in any order agree on who is a member', async () => {
  await fc.assert(
    fc.asyncProperty(inviteMoves(24), fc.infiniteStream(fc.nat()), async (list, stream) => {
      const facts = playInvites(list)
      const [one, other] = await reconciled(facts, sides => Number(stream.next().value) % sides)
      expect(await saidBy(one, facts)).toEqual(await saidBy(other, facts))
      // A newcomer who gets the set and nothing else says the same, and so does whoever folds all of it anew.
      const ids = new Set(await one.ids())
      const third = await openGate(facts.registry)
      const set = facts.all.filter(({ id }) => ids.has(id)).map(({ bytes }) => bytes)
      for (let round = 0; round < 4; round += 1) await third.gate.admitMany(set, { peer: 'p' })
      expect(await saidBy(third, facts)).toEqual(await saidBy(one, facts))
    }),
    { numRuns: 40, seed: 6 }
  )
})

test('what is cut has no say in who is a member', () => {
  const reasons = new Set<string>()
  let invited = 0
  fc.assert(
    fc.property(inviteMoves(30), list => {
      const facts = playInvites(list)
      const all = facts.all.filter(({ body }) => body.subject === 'registry').map(toVerified)
      const { set, cut, authority } = foldRegistry(facts.registry, all)
      if (authority === undefined) throw new Error('no genesis')
      const said = membersOf(authority, NOW)
      invited += said.filter(({ invite }) => invite !== null).length
      for (const { reason } of authority.setAside) reasons.add(reason)
      const ids = set.map(({ id }) => id).toSorted()
      for (const known of [[], ...cut.map(fact => [fact]), ...cut.map(fact => cut.filter(other => other !== fact))]) {
        const again = foldRegistry(facts.registry, [...set, ...known])
        expect(again.set.map(({ id }) => id).toSorted()).toEqual(ids)
        expect(again.authority === undefined ? [] : membersOf(again.authority, NOW)).toEqual(said)
      }
    }),
    { numRuns: 100, seed: 6 }
  )
  // A property over registries in which nothing happens says nothing.
  expect(invited).toBeGreaterThan(50)
  const wanted = ['invite-used-twice', 'invite-used-up', 'resolved', 'revoked', 'unknown-authority']
  expect([...reasons]).toEqual(expect.arrayContaining(wanted))
})
