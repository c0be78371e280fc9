import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { freeUse, invitesOf, membersOf, rolesOfMember, standingOf } from '../../protocol/membership/members.ts'
import { useAt, usePosition } from '../../protocol/payload-invite.ts'
import { WHOLE } from '../../protocol/role.ts'
import { FactWriter, person } from '../support/facts.ts'
import { admit, authorityAt, NOW, nodeWith } from './at-gate.ts'

const [root, ann, kim, lee, pat] = [person('root'), person('ann'), person('kim'), person('lee'), person('pat')]
const [door, gate] = [person('front door'), person('back door')]

describe('positions', () => {
  test.each([1, 2, 15, 16, 17, 40, LIMITS.membership.inviteUses])('an invite of %i uses has as many', uses => {
    const invite = { key: door.did, uses }
    const places = Array.from({ length: uses }, (_, use) => usePosition(invite, use))
    expect(new Set(places.map(({ chain, seq }) => `${chain} ${seq}`)).size).toBe(uses)
    expect(places.map(place => useAt(invite, place))).toEqual(places.map((_, use) => use))
    expect(new Set(places.map(({ chain }) => chain)).size).toBe(Math.min(uses, 16))
    expect(useAt(invite, usePosition({ key: gate.did, uses }, 0))).toBeUndefined()
    expect(useAt(invite, usePosition({ ...invite, uses: 1_024 }, 1_023))).toBe(uses === 1_024 ? 1_023 : undefined)
  })

  test('a free one is found until all are used, and what is signed there counts', async () => {
    const facts = new FactWriter(root)
    const invite = facts.invite(door.did, { uses: 19 })
    const node = await nodeWith(facts)
    for (let used = 0; used < 19; used += 1) {
      const known = (await node.gate.state(facts.registry)?.factsOf('registry')) ?? []
      const free = freeUse(authorityAt(node, facts), known, invite.id, n => used % n)
      if (free === undefined) throw new Error(`no place after ${used}`)
      const key = person(`guest ${used}`).did
      const { prev, ...position } = free
      const made = facts.write(
        door,
        'registry',
        { type: 'redeem', value: { invite: invite.id, key } },
        { ...position, prev }
      )
      expect(await admit(node, made)).toEqual(['accept'])
      expect(standingOf(authorityAt(node, facts), key, NOW)).toBe('member')
    }
    const known = (await node.gate.state(facts.registry)?.factsOf('registry')) ?? []
    expect(freeUse(authorityAt(node, facts), known, invite.id, () => 0)).toBeUndefined()
    expect(invitesOf(authorityAt(node, facts), known, NOW)).toMatchObject([{ used: 19, state: 'used-up', doubled: 0 }])
  })

  test('there is none in an invite that was ended, or that is none', async () => {
    const facts = new FactWriter(root)
    const invite = facts.invite(door.did)
    const none = facts.grant(kim.did, 'member', { authPrev: invite.id })
    facts.revoke(door.did, { authPrev: none.id, heads: [] })
    const authority = authorityAt(await nodeWith(facts), facts)
    expect(freeUse(authority, [], invite.id, () => 0)).toBeUndefined()
    expect(freeUse(authority, [], none.id, () => 0)).toBeUndefined()
  })
})

test('members whose grants ran out are told from those who were put out and from strangers', async () => {
  const facts = new FactWriter(root)
  const given = { head: null, scope: WHOLE, threshold: null }
  const first = { ...given, authPrev: facts.genesis.id, key: kim.did, role: 'publisher', expires: NOW } as const
  const short = facts.write(root, 'registry', { type: 'grant', value: first })
  const second = { ...given, authPrev: short.id, key: lee.did, role: 'mirror', expires: NOW + 1 } as const
  const long = facts.write(root, 'registry', { type: 'grant', value: second })
  const gone = facts.grant(pat.did, 'member', { authPrev: long.id })
  facts.revoke(pat.did, { authPrev: gone.id })
  const authority = authorityAt(await nodeWith(facts), facts)
  const standings = [root, kim, lee, pat, ann].map(({ did }) => standingOf(authority, did, NOW))
  expect(standings).toEqual(['member', 'expired', 'member', 'ended', 'unknown'])
  expect(membersOf(authority, NOW).map(({ key, roles, state }) => ({ key, roles, state }))).toEqual([
    { key: root.did, roles: ['owner'], state: 'member' },
    { key: kim.did, roles: ['publisher'], state: 'expired' },
    { key: lee.did, roles: ['mirror'], state: 'member' }
  ])
  expect(rolesOfMember(authority, kim.did, NOW)).toEqual([])
})
