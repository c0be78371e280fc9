import { beforeEach, expect, test } from 'vitest'
import { warningsOf } from '../../node/services/swarm/list.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { FactWriter, person } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { meet, seatOf, share } from '../support/seat.ts'
import type { Seat } from '../support/seat.ts'
import { testClock } from '../support/test-clock.ts'
import type { TestClock } from '../support/test-clock.ts'
import { certify, DAY, NOW, registry, root } from './company.ts'
import { signBinding, signCertificate } from '../../attestation/sign-membership.ts'
import type { Certificate } from '../../protocol/membership/certificate.ts'

const { certificateMs } = LIMITS.membership
const [kim, lee, ann, bob, dave] = [person('kim'), person('lee'), person('ann'), person('bob'), person('dave')]
const [door, gate] = [person('door of curators'), person('door of others')]
const over = NOW + 7 * DAY
let clock: TestClock
let owner: Seat
let all: readonly Made[]

/** Two curators by one invite, a member by another one, and one by name. */
beforeEach(async () => {
  clock = testClock(NOW)
  const facts = new FactWriter(root, { visibility: 'private', name: 'acme' })
  const curating = facts.invite(door.did, { role: 'curator', uses: 2, expires: over })
  const other = facts.invite(gate.did, { authPrev: curating.id, uses: 1, expires: over })
  facts.grant(bob.did, 'publisher', { authPrev: other.id })
  facts.redeem(curating, kim.did, { by: door })
  facts.redeem(curating, lee.did, { by: door, use: 1 })
  facts.redeem(other, ann.did, { by: gate })
  all = facts.all
  owner = await at(root, 'owner')
})

async function at(who: Person, host: string): Promise<Seat> {
  const seat = await seatOf(who, { registry, clock, host })
  await seat.take(all)
  return seat
}

async function judged(seat: Seat, member: Person, by: Person, lifeMs: number = certificateMs): Promise<string> {
  const { peer } = await seatOf(member, { registry, clock, host: member.did })
  const [issued, role] = [clock.now(), 'curator' as const]
  const keys = { member: member.did, issuer: by.did }
  const body: Certificate = { v: 1, registry, peer, role, issued, expires: issued + lifeMs, ...keys }
  const proof = {
    certificate: signCertificate(body, by.secret),
    binding: signBinding({ v: 1, registry, peer, member: member.did, time: issued }, member.secret),
    evidence: []
  }
  const verdict = await seat.members.judge(peer, proof, new AbortController().signal)
  if (!verdict.accepted) return verdict.reason
  return `${verdict.member.role} until ${(verdict.member.until - NOW) / DAY}`
}

test('who is a curator by an invite alone says nothing for itself when the invite is over', async () => {
  // Until then its own word is as good as that of anybody who came by an invite.
  expect(await judged(owner, kim, kim)).toBe('curator until 7')
  await clock.advance(over - NOW - 1)
  expect(await judged(owner, kim, kim)).toBe('curator until 7')
  await clock.advance(1)
  expect(await judged(owner, kim, kim)).toBe('invite-over')
  await clock.advance(1)
  expect(await judged(owner, kim, kim, DAY)).toBe('invite-over')
})

test('two by one invite do not speak for each other, and neither speaks for a stranger', async () => {
  await clock.advance(8 * DAY)
  expect(await judged(owner, kim, lee)).toBe('unknown-issuer')
  expect(await judged(owner, lee, kim)).toBe('unknown-issuer')
  expect(await judged(owner, dave, kim)).toBe('unknown-issuer')
  // A founder's word for one whom no fact here names is believed for as long as facts take.
  expect(await judged(owner, dave, root)).toBe('curator until 38')
})

test('an owner renews such a curator, who renews others, however long the invite is over', async () => {
  const [curator, member, named] = [await at(kim, 'kim'), await at(ann, 'ann'), await at(bob, 'bob')]
  expect((await curator.members.proof()).certificate).toBeNull()
  expect(curator.members.needsCertificate()).toBe(true)
  const sight = () => {
    const authority = curator.gate.state(registry)?.authority
    if (authority === undefined) throw new Error('no genesis')
    return { authority, members: curator.members, self: kim.did, now: clock.now() }
  }
  expect(warningsOf(sight())).not.toEqual([])
  for (const [seat, by] of [
    [curator, owner],
    [member, curator],
    [named, curator]
  ] as const) {
    expect((await meet(seat, by))[0]).toBe('accepted')
    expect(await certify(seat, by)).toBe(true)
  }
  expect(warningsOf(sight())).toEqual([])
  await clock.advance(20 * DAY)
  for (const [seat, by] of [
    [curator, owner],
    [member, curator],
    [named, curator]
  ] as const) {
    expect(await meet(seat, by)).toEqual(['accepted', 'accepted'])
    expect(await certify(seat, by)).toBe(true)
  }
  await clock.advance(20 * DAY)
  await share(owner, member)
  expect(await meet(curator, member)).toEqual(['accepted', 'accepted'])
  expect(await meet(named, member)).toEqual(['accepted', 'accepted'])
})

test('such a curator gives nothing to who came by the same invite', async () => {
  const [one, two] = [await at(kim, 'kim'), await at(lee, 'lee')]
  expect((await meet(two, one))[0]).toBe('accepted')
  expect(await certify(two, one)).toBe(false)
})
