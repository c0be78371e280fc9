import { describe, expect, test } from 'vitest'
import { encodeBody, encodeEnvelope, parseEnvelope } from '../../protocol/fact.ts'
import { invitesOf, mayCertify, membersOf, rolesOfMember, standingOf } from '../../protocol/membership/members.ts'
import { usePosition } from '../../protocol/payload-invite.ts'
import { encodePayload, namedKeys, parsePayload } from '../../protocol/payload.ts'
import { codeOf } from '../support/error-code.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import { admit, again, asideAt, authorityAt, invitedAt, NOW, nodeWith } from './at-gate.ts'

const [root, ann, kim, lee, pat] = [person('root'), person('ann'), person('kim'), person('lee'), person('pat')]
const [door, gate, recovery] = [person('front door'), person('back door'), person('recovery')]

describe('redeeming', () => {
  test('a node without any owner near lets in whoever redeems an invite', async () => {
    const facts = new FactWriter(root)
    const invite = facts.invite(door.did, { uses: 2 })
    const node = await nodeWith(facts)
    const redeem = facts.redeem(invite, kim.did, { by: door })
    expect(await admit(node, redeem)).toEqual(['accept'])
    const authority = authorityAt(node, facts)
    expect(standingOf(authority, kim.did, NOW)).toBe('member')
    expect(membersOf(authority, NOW)).toContainEqual({
      key: kim.did,
      roles: ['publisher'],
      state: 'member',
      invite: { fact: invite.id, by: root.did },
      redeem: redeem.id
    })
    expect(authority.redemptions).toEqual([
      {
        fact: redeem.id,
        invite: invite.id,
        key: kim.did,
        role: 'publisher',
        scope: '*',
        by: root.did,
        time: redeem.body.time
      }
    ])
  })

  test('what comes before the invite waits for it, and what the member wrote waits for the redemption', async () => {
    const facts = new FactWriter(root)
    const claim = facts.claim('alpha')
    const invite = facts.invite(door.did)
    const redeem = facts.redeem(invite, kim.did, { by: door })
    const release = facts.release('alpha', '1.0.0', facts.cite(claim, invite.id), { by: kim })
    const node = await nodeWith(facts, [facts.genesis, claim])
    expect(await admit(node, release, redeem)).toEqual(['pending author-unnamed', 'pending author-unnamed'])
    await admit(node, invite)
    expect(await node.ids()).toEqual(expect.arrayContaining([redeem.id, release.id]))
    const view = await node.view.find(facts.registry, subject('alpha'))
    expect(view?.versions.map(({ contents }) => contents.map(({ fact }) => fact))).toEqual([[release.id]])
  })

  test('a release of somebody who was named otherwise counts from the redemption on', async () => {
    const facts = new FactWriter(root)
    const claim = facts.claim('alpha')
    const invite = facts.invite(door.did, { authPrev: facts.grant(kim.did, 'auditor').id })
    const release = facts.release('alpha', '1.0.0', facts.cite(claim, invite.id), { by: kim })
    const node = await nodeWith(facts)
    expect((await node.view.find(facts.registry, subject('alpha')))?.versions).toEqual([])
    await admit(node, facts.redeem(invite, kim.did, { by: door }))
    const view = await node.view.find(facts.registry, subject('alpha'))
    expect(view?.versions.flatMap(({ contents }) => contents.map(({ fact }) => fact))).toEqual([release.id])
  })

  test('each position is good for one key, and no position beyond the uses is any good', async () => {
    const facts = new FactWriter(root)
    const invite = facts.invite(door.did, { uses: 2 })
    facts.redeem(invite, kim.did, { by: door, use: 0 })
    facts.redeem(invite, lee.did, { by: door, use: 1 })
    const third = facts.redeem(invite, pat.did, { by: door, use: 0 })
    const astray = facts.write(door, 'registry', { type: 'redeem', value: { invite: invite.id, key: pat.did } })
    const node = await nodeWith(facts)
    expect(invitedAt(node, facts)).toEqual(expect.arrayContaining([kim.did, lee.did]))
    expect(asideAt(node, facts)).toEqual({ [third.id]: 'invite-used-up', [astray.id]: 'invite-used-up' })
    expect(standingOf(authorityAt(node, facts), pat.did, NOW)).toBe('unknown')
  })

  test('a use under another key than that of the invite does not count', async () => {
    const facts = new FactWriter(root)
    const invite = facts.invite(door.did)
    const other = facts.invite(gate.did, { authPrev: invite.id })
    const { chain } = usePosition({ key: door.did, uses: 1 }, 0)
    const stolen = facts.redeem(invite, kim.did, { by: gate })
    const place = facts.write({ ...root, chain }, 'registry', {
      type: 'redeem',
      value: { invite: other.id, key: lee.did }
    })
    const nothing = facts.redeem(other, pat.did, {
      by: gate,
      at: { payload: encodePayload({ type: 'redeem', value: { invite: facts.genesis.id, key: pat.did } }) }
    })
    const node = await nodeWith(facts)
    const reasons = Object.fromEntries([stolen, place, nothing].map(({ id }) => [id, 'unknown-authority']))
    expect(asideAt(node, facts)).toEqual(reasons)
    expect(invitedAt(node, facts)).toEqual([])
  })

  test('the key of an invite is nobody to let in: everybody who saw the token has it', () => {
    const facts = new FactWriter(root)
    const invite = facts.invite(door.did)
    const payload = encodePayload({ type: 'redeem', value: { invite: invite.id, key: door.did } })
    const { body } = facts.redeem(invite, kim.did, { by: door })
    expect(codeOf(() => parsePayload({ ...body, payload }))).toBe('MALFORMED')
    expect(namedKeys(parsePayload(body))).toEqual([kim.did])
  })

  test('an invite that too few owners signed is not used until enough have', async () => {
    const facts = new FactWriter(root, { roots: [root.did, ann.did].toSorted(), threshold: 2 })
    const invite = facts.invite(door.did)
    const redeem = facts.redeem(invite, kim.did, { by: door })
    const node = await nodeWith(facts)
    expect(asideAt(node, facts)).toEqual({ [invite.id]: 'threshold-not-met', [redeem.id]: 'unknown-authority' })
    await admit(node, facts.cosign(ann, invite))
    expect(invitedAt(node, facts)).toEqual([kim.did])
  })
})

describe('one position, used twice', () => {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha')
  const invite = facts.invite(door.did, { uses: 2 })
  const one = facts.redeem(invite, kim.did, { by: door })
  const two = again(one, lee.did, door)
  const [low, high] = one.id < two.id ? [one, two] : [two, one]
  const holder = low === one ? kim : lee
  const other = low === one ? lee : kim
  const released = facts.release('alpha', '1.0.0', facts.cite(claim, invite.id), { by: other })
  const base = [facts.genesis, claim, invite]

  test('is that of the lower id on every node, whatever came first', async () => {
    const digests = new Set<string>()
    for (const order of [
      [low, high, released],
      [high, low, released],
      [high, released, low],
      [released, high, low]
    ]) {
      const node = await nodeWith(facts, base)
      for (const made of order) await admit(node, made)
      expect(invitedAt(node, facts)).toEqual([holder.did])
      expect(asideAt(node, facts)).toEqual({ [high.id]: 'invite-used-twice' })
      expect((await node.view.find(facts.registry, subject('alpha')))?.versions).toEqual([])
      digests.add(await node.digest())
    }
    expect(digests.size).toBe(1)
  })

  test('ends the release of whoever had it for a while', async () => {
    const node = await nodeWith(facts, [...base, high, released])
    expect((await node.view.find(facts.registry, subject('alpha')))?.versions).toHaveLength(1)
    await admit(node, low)
    expect((await node.view.find(facts.registry, subject('alpha')))?.versions).toEqual([])
    const { authority } = node.gate.state(facts.registry) ?? {}
    const known = (await node.gate.state(facts.registry)?.factsOf('registry')) ?? []
    expect(authority && invitesOf(authority, known, NOW)).toMatchObject([
      { used: 1, uses: 2, doubled: 1, state: 'open' }
    ])
  })

  test('is given to the other by a resolution, or both are in by a grant', async () => {
    const resolve = facts.resolve(high, [low], { authPrev: invite.id })
    const node = await nodeWith(facts, [...base, low, high, resolve])
    expect(invitedAt(node, facts)).toEqual([other.did])
    expect(asideAt(node, facts)).toEqual({ [low.id]: 'resolved' })
    const granting = await nodeWith(facts, [...base, low, high])
    const desk = { ...root, chain: person('desk').chain }
    await admit(granting, facts.grant(other.did, 'member', { by: desk, authPrev: invite.id }))
    expect(membersOf(authorityAt(granting, facts), NOW).map(({ key }) => key)).toHaveLength(3)
  })
})

describe('revoking', () => {
  test('an invite keeps the uses that are recognised and ends all others, in whatever order they come', async () => {
    const facts = new FactWriter(root)
    const invite = facts.invite(door.did, { uses: 3 })
    const kept = facts.redeem(invite, kim.did, { by: door, use: 0 })
    const end = facts.revoke(door.did, { authPrev: invite.id })
    const late = facts.redeem(invite, lee.did, { by: door, use: 1 })
    const digests = new Set<string>()
    for (const order of [
      [invite, kept, end, late],
      [invite, late, kept, end],
      [end, invite, late, kept]
    ]) {
      const node = await nodeWith(facts, [facts.genesis])
      for (let round = 0; round < 2; round += 1) for (const made of order) await admit(node, made)
      expect(invitedAt(node, facts)).toEqual([kim.did])
      expect(await node.ids()).not.toContain(late.id)
      expect(invitesOf(authorityAt(node, facts), [], NOW)).toMatchObject([{ state: 'ended' }])
      digests.add(await node.digest())
    }
    expect(digests.size).toBe(1)
  })

  test('a member is out; the old invite does not bring it back, a new one does', async () => {
    const facts = new FactWriter(root)
    const claim = facts.claim('alpha')
    const invite = facts.invite(door.did, { uses: 3 })
    facts.redeem(invite, kim.did, { by: door, use: 0 })
    const before = facts.release('alpha', '1.0.0', facts.cite(claim, invite.id), { by: kim })
    const expel = facts.revoke(kim.did, { authPrev: invite.id })
    facts.redeem(invite, kim.did, { by: door, use: 1 })
    const out = facts.release('alpha', '1.1.0', facts.cite(claim, expel.id), { by: kim })
    const node = await nodeWith(facts)
    expect(standingOf(authorityAt(node, facts), kim.did, NOW)).toBe('ended')
    expect(membersOf(authorityAt(node, facts), NOW).map(({ key }) => key)).toEqual([root.did])
    expect(await node.ids()).toContain(before.id)
    expect(await node.ids()).not.toContain(out.id)
    const anew = facts.invite(gate.did, { authPrev: expel.id })
    const back = facts.redeem(anew, kim.did, { by: gate })
    const since = facts.release('alpha', '1.2.0', facts.cite(claim, anew.id), {
      by: { ...kim, chain: person('new laptop').chain }
    })
    await admit(node, anew, back, since)
    expect(standingOf(authorityAt(node, facts), kim.did, NOW)).toBe('member')
    expect(invitedAt(node, facts)).toEqual([kim.did])
    const view = await node.view.find(facts.registry, subject('alpha'))
    expect(view?.versions.map(({ version }) => version)).toEqual(['1.2.0', '1.0.0'])
    expect(await node.ids()).not.toContain(out.id)
  })

  test('a key that was revoked before it was that of an invite may be used for that one', async () => {
    const facts = new FactWriter(root)
    const first = facts.invite(door.did)
    const end = facts.revoke(door.did, { authPrev: first.id, heads: [] })
    const second = facts.invite(door.did, { authPrev: end.id, uses: 32 })
    const cut = facts.redeem(first, kim.did, { by: door })
    // It stands behind one that is cut, and counts all the same: so that one stays in the set, and does not count.
    const counts = facts.redeem(second, lee.did, { by: door })
    expect([cut.body.seq, counts.body.seq]).toEqual([0, 1])
    const alone = await nodeWith(facts, [facts.genesis, first, end, second, cut])
    expect(await alone.ids()).not.toContain(cut.id)
    await admit(alone, counts)
    expect(await alone.ids()).toEqual(expect.arrayContaining([cut.id, counts.id]))
    expect(invitedAt(alone, facts)).toEqual([lee.did])
    expect(asideAt(alone, facts)).toEqual({ [cut.id]: 'revoked' })
    expect(await alone.digest()).toBe(await (await nodeWith(facts)).digest())
    // Both uses of one place are in the set, where they prove that it was used twice.
    const twice = again(counts, pat.did, door)
    await admit(alone, twice)
    expect(await alone.ids()).toEqual(expect.arrayContaining([twice.id, counts.id]))
    expect(invitedAt(alone, facts)).toEqual([twice.id < counts.id ? pat.did : lee.did])
  })

  test('one role of the key of an invite ends nothing', async () => {
    const facts = new FactWriter(root)
    const invite = facts.invite(door.did)
    facts.revoke(door.did, { authPrev: invite.id, role: 'publisher', heads: [] })
    facts.redeem(invite, kim.did, { by: door })
    const node = await nodeWith(facts)
    expect(invitedAt(node, facts)).toEqual([kim.did])
  })

  test('the recovery key ends an invite of the owners, and makes one without them', async () => {
    const facts = new FactWriter(root)
    const invite = facts.invite(door.did)
    const end = facts.revoke(door.did, { by: recovery, authPrev: invite.id })
    const own = facts.invite(gate.did, { by: recovery, authPrev: end.id })
    facts.redeem(invite, kim.did, { by: door })
    facts.redeem(own, lee.did, { by: gate })
    const node = await nodeWith(facts)
    expect(invitedAt(node, facts)).toEqual([lee.did])
    expect(standingOf(authorityAt(node, facts), recovery.did, NOW)).toBe('unknown')
  })
})

describe('what a redeemed key may do', () => {
  const facts = new FactWriter(root)
  const claim = facts.claim('alpha')
  const publishing = facts.invite(door.did)
  const curating = facts.invite(gate.did, { authPrev: publishing.id, role: 'curator' })
  facts.redeem(publishing, kim.did, { by: door })
  facts.redeem(curating, lee.did, { by: gate })
  const at = { authPrev: curating.id }

  test('a publisher publishes and gives out no name, a curator gives out names', async () => {
    const release = facts.release('alpha', '1.0.0', facts.cite(claim, curating.id), { by: kim })
    facts.claim('beta', { ...at, by: kim })
    const named = facts.claim('gamma', { ...at, by: lee })
    const node = await nodeWith(facts)
    const view = await node.view.find(facts.registry, subject('alpha'))
    expect(view?.versions.flatMap(({ contents }) => contents.map(({ fact }) => fact))).toEqual([release.id])
    expect((await node.view.find(facts.registry, subject('beta')))?.claim).toBeNull()
    expect((await node.view.find(facts.registry, subject('gamma')))?.claim?.fact).toBe(named.id)
    const authority = authorityAt(node, facts)
    expect(rolesOfMember(authority, lee.did, NOW)).toEqual(['curator'])
    const may = [root, kim, lee, door, recovery].map(({ did }) => mayCertify(authority, did, NOW))
    expect(may).toEqual([true, false, true, false, false])
  })

  test('it neither grants nor revokes nor invites, and its signature under a change is none', async () => {
    const tried = [
      facts.grant(pat.did, 'member', { ...at, by: lee }),
      facts.revoke(root.did, { ...at, by: lee, heads: [] }),
      facts.invite(person('side door').did, { ...at, by: kim })
    ]
    const sneaked = facts.redeem(tried[2] ?? publishing, pat.did, { by: person('side door') })
    const node = await nodeWith(facts)
    const reasons = Object.fromEntries(tried.map(({ id }) => [id, 'role-not-held']))
    expect(asideAt(node, facts)).toEqual({ ...reasons, [sneaked.id]: 'unknown-authority' })
    expect(standingOf(authorityAt(node, facts), pat.did, NOW)).toBe('unknown')
  })

  test('the key of an invite says nothing else that counts', async () => {
    const own = new FactWriter(root)
    const name = own.claim('alpha')
    const invite = own.invite(door.did, { role: 'curator', uses: 4 })
    const grant = own.grant(door.did, 'owner', { by: door, authPrev: invite.id })
    const more = own.invite(door.did, { by: door, authPrev: invite.id, uses: 1_000 })
    const signed = own.cosign(door, invite)
    own.claim('beta', { by: door, authPrev: invite.id })
    own.release('alpha', '6.6.6', own.cite(name, invite.id), { by: door })
    const node = await nodeWith(own)
    expect(asideAt(node, own)).toEqual({
      [grant.id]: 'role-not-held',
      [more.id]: 'role-not-held',
      [signed.id]: 'no-effect'
    })
    expect((await node.view.find(own.registry, subject('beta')))?.claim).toBeNull()
    expect((await node.view.find(own.registry, subject('alpha')))?.versions).toEqual([])
    expect(membersOf(authorityAt(node, own), NOW).map(({ key }) => key)).toEqual([root.did])
  })
})

describe('replays', () => {
  const facts = new FactWriter(root)
  const invite = facts.invite(door.did, { uses: 40 })
  const redeem = facts.redeem(invite, kim.did, { by: door })

  test('a use of one registry is nothing in another, under whichever name it is brought', async () => {
    const other = new FactWriter(root, { name: 'other' })
    const theirs = other.invite(door.did, { uses: 40 })
    const node = await nodeWith(other)
    expect(await admit(node, redeem)).toEqual(['ignore unknown-registry'])
    const here = { peer: 'p', registry: other.registry }
    expect(await node.gate.admitMany([redeem.bytes], here)).toMatchObject([
      { verdict: 'reject', reason: 'wrong-registry' }
    ])
    const { signature } = parseEnvelope(redeem.bytes)
    const moved = encodeEnvelope(encodeBody({ ...redeem.body, registry: other.registry }), signature)
    expect(await node.gate.admitMany([moved], here)).toMatchObject([{ verdict: 'reject', reason: 'bad-signature' }])
    expect(theirs.id).not.toBe(invite.id)
    expect(invitedAt(node, other)).toEqual([])
  })

  test('nor is its signature one for another position or another key', async () => {
    const { signature } = parseEnvelope(redeem.bytes)
    const node = await nodeWith(facts)
    const { chain } = usePosition({ key: door.did, uses: 40 }, 1)
    const payload = encodePayload({ type: 'redeem', value: { invite: invite.id, key: lee.did } })
    for (const change of [{ chain }, { seq: 1, prev: redeem.id }, { payload }]) {
      const bytes = encodeEnvelope(encodeBody({ ...redeem.body, ...change }), signature)
      expect(await node.gate.admitMany([bytes], { peer: 'p' })).toMatchObject([
        { verdict: 'reject', reason: 'bad-signature' }
      ])
    }
  })
})
