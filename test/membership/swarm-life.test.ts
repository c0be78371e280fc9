import { beforeEach, describe, expect, test } from 'vitest'
import { parseSecret, principalOf } from '../../attestation/keys.ts'
import { expel } from '../../node/services/swarm/expel.ts'
import type { Expelled } from '../../node/services/swarm/expel.ts'
import { standingOf } from '../../protocol/membership/members.ts'
import { encodePayload } from '../../protocol/payload.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { guestOf } from '../../node/services/swarm/redeem.ts'
import { parseCertificate } from '../../protocol/membership/certificate.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { FactWriter, make, person } from '../support/facts.ts'
import { hostOf, meet, seatOf, share } from '../support/seat.ts'
import type { Seat } from '../support/seat.ts'
import { certify, company, DAY, forged, headOf, invite, join, memberOf, NOW, registry, root } from './company.ts'
import type { InviteToken } from '../../protocol/membership/token.ts'
import type { Company } from './company.ts'

const { certificateMs } = LIMITS.membership
let clock: Company['clock']
let writer: Company['writer']
let owner: Seat
let ann: Seat
let bob: Seat
let token: InviteToken

beforeEach(async () => {
  ;({ clock, writer, owner, ann, bob, token } = await company())
})

function expires(seat: Seat): number | undefined {
  return seat.members.credentials.certificate?.body.expires
}

describe('a certificate', () => {
  test('is asked for again from a third of its life left on, and others go by the new one', async () => {
    expect(ann.members.needsCertificate()).toBe(false)
    await clock.advance(20 * DAY - 1)
    expect(ann.members.needsCertificate()).toBe(false)
    await clock.advance(1)
    expect(ann.members.needsCertificate()).toBe(true)
    await meet(ann, owner)
    expect(await certify(ann, owner)).toBe(true)
    expect(expires(ann)).toBe(NOW + 20 * DAY + certificateMs)
    await clock.advance(20 * DAY)
    // Bob was away: what he has runs out, what she has does not.
    expect(await meet(ann, bob)).toEqual(['accepted', 'invite-over'])
    expect(bob.members.stands(ann.peer, memberOf(ann))).toBe(true)
  })

  test('ends where it is connected, the moment it is over', async () => {
    await meet(ann, bob)
    await clock.advance(certificateMs - 1)
    expect(bob.members.stands(ann.peer, memberOf(ann))).toBe(true)
    await clock.advance(1)
    expect(bob.members.stands(ann.peer, memberOf(ann))).toBe(false)
  })

  test('is given by owners and curators to themselves, without anybody', async () => {
    const first = expires(owner)
    expect(first).toBe(NOW + certificateMs)
    const stop = new AbortController()
    owner.members.start(stop.signal)
    await clock.advance(21 * DAY)
    stop.abort()
    expect(expires(owner)).toBe(NOW + 20 * DAY + certificateMs)
    expect(owner.swarmStore.record.certificate).toEqual(owner.members.credentials.certificate?.bytes)
  })

  test('is renewed for an introduction, however long nobody looked', async () => {
    await clock.advance(45 * DAY)
    const { certificate } = await owner.members.proof()
    expect(parseCertificate(certificate ?? new Uint8Array()).body.expires).toBe(NOW + 45 * DAY + certificateMs)
  })

  test('that a host gave itself before it knew any fact is shown to nobody when it knows that it may not', async () => {
    const seat = await seatOf(person('dora'), { registry, clock, host: 'dora' })
    expect((await seat.members.proof()).certificate).not.toBeNull()
    await owner.take([writer.grant(person('dora').did, 'publisher', { authPrev: headOf(owner) })])
    await share(owner, seat)
    expect((await seat.members.proof()).certificate).toBeNull()
    expect(seat.members.needsCertificate()).toBe(true)
  })

  test('is given by nobody else, and to nobody who did not say that the host is his', async () => {
    expect(await bob.members.certify(ann.peer, memberOf(ann))).toBeUndefined()
    // Attack: a host that an issuer, cut off tomorrow, has given to a member, has it said again by another one.
    const peer = await hostOf('stranger')
    const certificate = owner.members.credentials.issue(peer, { key: ann.signer.principal })
    const verdict = await owner.members.judge(
      peer,
      { certificate, binding: null, evidence: [] },
      new AbortController().signal
    )
    expect(verdict.accepted).toBe(false)
    expect(await owner.members.certify(peer, memberOf(ann))).toBeUndefined()
  })

  test('is taken over only when it is ours and better', async () => {
    const issue = (peer: string, key = ann.signer.principal) => owner.members.credentials.issue(peer, { key })
    expect(await ann.members.takeCertificate(issue(bob.peer))).toBe(false)
    expect(await ann.members.takeCertificate(issue(ann.peer, bob.signer.principal))).toBe(false)
    expect(
      await ann.members.takeCertificate(bob.members.credentials.issue(ann.peer, { key: ann.signer.principal }))
    ).toBe(false)
    expect(await ann.members.takeCertificate(new Uint8Array(3))).toBe(false)
    const same = issue(ann.peer)
    expect(await ann.members.takeCertificate(same)).toBe(false)
    await clock.advance(1)
    expect(await ann.members.takeCertificate(forged(issue(ann.peer)))).toBe(false)
    expect(await ann.members.takeCertificate(issue(ann.peer))).toBe(true)
  })

  test('of an issuer that was cut off goes on with the member’s own word, and is replaced', async () => {
    const curator = person('curator')
    const granted = writer.grant(curator.did, 'curator')
    const seat = await seatOf(curator, { registry, clock, host: 'curator' })
    for (const each of [owner, ann, bob]) await each.take([granted])
    await share(owner, seat)
    await clock.advance(20 * DAY)
    await meet(ann, seat)
    expect(await certify(ann, seat)).toBe(true)
    const revoked = writer.revoke(curator.did, { authPrev: headOf(owner) })
    for (const each of [owner, ann, bob]) await each.take([revoked])
    expect(ann.members.needsCertificate()).toBe(true)
    expect((await meet(ann, owner))[0]).toBe('accepted')
    expect(await certify(ann, owner)).toBe(true)
    expect(ann.members.credentials.certificate?.body.issuer).toBe(root.did)
    expect(ann.members.needsCertificate()).toBe(false)
  })
})

describe('expelling', () => {
  function expelled(member: string, isCompromised = false): Promise<Expelled> {
    const about = { registry, key: undefined }
    return expel(owner.commands, about, { member, reason: 'left', isCompromised, keep: [] })
  }

  test('ends a member wherever it is heard of, and the invite that it came by', async () => {
    let told = 0
    owner.members.onChange(() => (told += 1))
    const result = await expelled(ann.signer.principal)
    expect(result).toMatchObject({ member: ann.signer.principal, missing: 0, cut: [ann.peer] })
    expect(told).toBeGreaterThan(0)
    expect(owner.members.stands(ann.peer, memberOf(ann))).toBe(false)
    expect(owner.members.isBarred(ann.peer)).toBe(true)
    expect(owner.members.isKnown(ann.peer)).toBe(false)
    expect(await owner.members.certify(ann.peer, memberOf(ann))).toBeUndefined()
    expect(await meet(ann, owner)).toEqual(['not-a-member', 'unjudged'])
    // Whoever has not heard of it goes on, until it has.
    expect(bob.members.stands(ann.peer, memberOf(ann))).toBe(true)
    await share(owner, bob)
    expect(bob.members.stands(ann.peer, memberOf(ann))).toBe(false)
    expect([bob.members.isBarred(ann.peer), bob.members.isBarred(owner.peer)]).toEqual([true, false])
    // The other one who came by the same invite stays, and nobody comes by it again.
    expect(result.invites).toHaveLength(1)
    expect(owner.members.stands(bob.peer, memberOf(bob))).toBe(true)
    expect((await meet(bob, owner))[0]).toBe('accepted')
    expect(owner.members.roster(null).map(certificate => parseCertificate(certificate).body.peer)).not.toContain(
      ann.peer
    )
  })

  test('leaves the member nothing of the token that it came by: no place of its own, and nobody else’s', async () => {
    const facts = (await owner.gate.state(registry)?.factsOf('registry')) ?? []
    const uses = facts.filter(({ body }) => body.type === 'redeem')
    await expelled(ann.signer.principal)
    await share(owner, bob)
    const secret = parseSecret(token.key)
    const door = { ...person('door'), secret, did: principalOf(secret) }
    for (const { id, body } of uses) {
      // Whoever has the token tries until there is a lower id.
      for (let tries = 1; ; tries += 1) {
        const value = { invite: token.invite, key: person('ann again').did }
        const payload = encodePayload({ type: 'redeem', value })
        const lower = make({ ...body, time: body.time + tries, payload }, door)
        if (lower.id > id) continue
        for (const seat of [owner, bob]) await seat.take([lower])
        break
      }
    }
    for (const seat of [owner, bob]) {
      const authority = seat.gate.state(registry)?.authority
      if (authority === undefined) throw new Error('no genesis')
      const standing = [ann, bob].map(({ signer }) => standingOf(authority, signer.principal, NOW))
      expect([...standing, standingOf(authority, person('ann again').did, NOW)]).toEqual(['ended', 'member', 'unknown'])
    }
    expect(await meet(bob, owner)).toEqual(['accepted', 'accepted'])
  })

  test('takes the peer id of a host, and says who is not in', async () => {
    expect((await expelled(bob.peer)).member).toBe(bob.signer.principal)
    expect(await codeOfAsync(() => expelled(bob.peer))).toBe('USAGE')
    expect(await codeOfAsync(() => expelled(person('nobody').did))).toBe('USAGE')
    expect(await codeOfAsync(async () => expelled(await hostOf('nobody')))).toBe('USAGE')
    expect(await codeOfAsync(() => expelled('ann'))).toBe('USAGE')
    // The last owner stays.
    expect(await codeOfAsync(() => expelled(root.did))).toBe('USAGE')
  })

  test('of an owner ends the invites that it made, and with its key stolen, whom it let in', async () => {
    const second = person('second')
    await owner.take([writer.grant(second.did, 'owner', { authPrev: headOf(owner) })])
    const thief = await seatOf(second, { registry, clock, host: 'second' })
    await share(owner, thief)
    const token = await invite(thief, 2)
    await share(thief, owner)
    const friend = await join(owner, 'friend', token)
    expect((await meet(friend, owner))[0]).toBe('accepted')
    const result = await expelled(second.did, true)
    // Nothing that it said counts any more, so there is no invite left to end.
    expect(result.invites).toEqual([])
    expect(owner.members.stands(friend.peer, memberOf(friend))).toBe(false)
    expect((await meet(friend, owner))[0]).not.toBe('accepted')
  })

  test('of an owner that merely left ends its open invites and keeps whom it let in', async () => {
    const second = person('second')
    await owner.take([writer.grant(second.did, 'owner', { authPrev: headOf(owner) })])
    const seat = await seatOf(second, { registry, clock, host: 'second' })
    await share(owner, seat)
    const token = await invite(seat, 2)
    await share(seat, owner)
    const friend = await join(owner, 'friend', token)
    await meet(friend, owner)
    const result = await expelled(second.did)
    expect(result.invites).toEqual([token.invite])
    expect(owner.members.stands(friend.peer, memberOf(friend))).toBe(true)
    const late = await seatOf(person('late'), { registry, clock, host: 'late' })
    late.members.enterAs(guestOf(token))
    expect((await meet(late, owner))[0]).toBe('invite-over')
  })

  test('by an owner who became one after the invite was made keeps the others too', async () => {
    const second = person('second')
    await owner.take([writer.grant(second.did, 'owner', { authPrev: headOf(owner) })])
    const seat = await seatOf(second, { registry, clock, host: 'second' })
    await share(owner, seat)
    const asked = { member: ann.signer.principal, reason: '', isCompromised: false, keep: [] }
    const result = await expel(seat.commands, { registry, key: undefined }, asked)
    expect(result).toMatchObject({ missing: 0, invites: [token.invite] })
    expect(result.written.map(({ type, counts }) => [type, counts])).toEqual([
      ['revoke', true],
      ['grant', true],
      ['revoke', true]
    ])
    await share(seat, owner)
    expect(owner.members.stands(bob.peer, memberOf(bob))).toBe(true)
    expect(owner.members.stands(ann.peer, memberOf(ann))).toBe(false)
  })

  test('takes back an invite that was not used yet, by its fact', async () => {
    const token = await invite(owner, 5)
    const late = await seatOf(person('late'), { registry, clock, host: 'late' })
    late.members.enterAs(guestOf(token))
    expect((await meet(late, owner))[0]).toBe('accepted')
    const guest = { key: guestOf(token).principal, role: 'member', until: token.expires } as const
    expect(owner.members.stands(late.peer, guest)).toBe(true)
    const result = await expelled(token.invite)
    expect(result).toMatchObject({ member: guest.key, invites: [token.invite], missing: 0 })
    expect(owner.members.stands(late.peer, guest)).toBe(false)
    expect((await meet(late, owner))[0]).toBe('invite-over')
    expect(owner.members.stands(ann.peer, memberOf(ann))).toBe(true)
    expect(await codeOfAsync(() => expelled(token.invite))).toBe('USAGE')
  })

  test('says when others still have to sign, and cuts nobody before', async () => {
    const [one, two] = [person('one'), person('two')]
    const shared = new FactWriter(one, { visibility: 'private', roots: [one.did, two.did].toSorted(), threshold: 2 })
    const seat = await seatOf(person('one', 'seat'), { registry: shared.registry, clock, host: 'one' })
    const granted = shared.grant(ann.signer.principal, 'publisher')
    await seat.take([shared.genesis, granted, shared.cosign(two, granted)])
    const about = { registry: shared.registry, key: undefined }
    const asked = { member: ann.signer.principal, reason: '', isCompromised: false, keep: [] }
    expect(await expel(seat.commands, about, asked)).toMatchObject({ missing: 1, cut: [] })
  })
})
