import { beforeEach, describe, expect, test } from 'vitest'
import { signSwarmKey } from '../../attestation/sign-membership.ts'
import { expel } from '../../node/services/swarm/expel.ts'
import type { Expelled } from '../../node/services/swarm/expel.ts'
import { inviteTo } from '../../node/services/swarm/invite.ts'
import { listMembers, warningsOf } from '../../node/services/swarm/list.ts'
import { guestOf, redeemInvite } from '../../node/services/swarm/redeem.ts'
import { rotateSwarm } from '../../node/services/swarm/rotate.ts'
import type { Accepted } from '../../node/services/swarm/weigh.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { privateKeys } from '../../protocol/membership/names.ts'
import { parseCertificate } from '../../protocol/membership/certificate.ts'
import type { SwarmKey } from '../../protocol/membership/swarm-key.ts'
import { parseToken } from '../../protocol/membership/token.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { FactWriter, person } from '../support/facts.ts'
import { hostOf, meet, seatOf, share } from '../support/seat.ts'
import type { Seat } from '../support/seat.ts'
import { testClock } from '../support/test-clock.ts'

const NOW = 1_700_000_000_000
const DAY = 24 * 3_600_000
const { certificateMs, overlapDefaultMs, overlapMaxMs, rosterPage } = LIMITS.membership
const root = person('root')
let writer = new FactWriter(root, { visibility: 'private', name: 'acme' })
const { registry } = writer
let clock = testClock(NOW)
let owner: Seat
let ann: Seat
let bob: Seat

/** An owner, and two members by one invite with a use left, who have all met. */
beforeEach(async () => {
  clock = testClock(NOW)
  writer = new FactWriter(root, { visibility: 'private', name: 'acme' })
  owner = await seatOf(person('root', 'seat'), { registry, clock, host: 'owner' })
  await owner.take([writer.genesis])
  const token = await invite(owner, 3)
  ;[ann, bob] = [await join('ann', token), await join('bob', token)]
  for (const [a, b] of [
    [ann, owner],
    [bob, owner],
    [ann, bob]
  ] as const) {
    await share(a, b)
    await share(b, a)
    expect(await meet(a, b)).toEqual(['accepted', 'accepted'])
  }
  for (const seat of [ann, bob]) await certify(seat)
})

async function invite(by: Seat, uses = 1) {
  const asked = { role: 'publisher', scope: undefined, expires: undefined, uses, ci: false }
  const token = parseToken((await inviteTo(by.commands, { registry, key: undefined }, asked)).token)
  if (token.kind !== 'invite') throw new Error('no invite')
  return token
}

async function join(name: string, token: Awaited<ReturnType<typeof invite>>): Promise<Seat> {
  const seat = await seatOf(person(name), { registry, clock, host: name })
  seat.members.enterAs(guestOf(token))
  await share(owner, seat)
  await redeemInvite({ ...seat.commands, gate: seat.gate, pick: () => 0 }, token, seat.signer.principal)
  seat.members.enterAs(undefined)
  await share(seat, owner)
  return seat
}

async function certify(seat: Seat, by = owner): Promise<boolean> {
  const certificate = await by.members.certify(seat.peer, memberOf(seat))
  return certificate !== undefined && seat.members.takeCertificate(certificate)
}

function memberOf(seat: Seat): Accepted {
  return { key: seat.signer.principal, role: 'publisher', until: clock.now() + certificateMs }
}

function expires(seat: Seat): number | undefined {
  return seat.members.credentials.certificate?.body.expires
}

/** The same with another signature: its bytes come first in the record. */
function forged(record: Uint8Array): Uint8Array {
  return record.map((byte, index) => (index === 10 ? byte ^ 1 : byte))
}

describe('a certificate', () => {
  test('is asked for again from a third of its life left on, and others go by the new one', async () => {
    expect(ann.members.needsCertificate()).toBe(false)
    await clock.advance(20 * DAY - 1)
    expect(ann.members.needsCertificate()).toBe(false)
    await clock.advance(1)
    expect(ann.members.needsCertificate()).toBe(true)
    await meet(ann, owner)
    expect(await certify(ann)).toBe(true)
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
    expect(verdict.accepted).toBe(true)
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
    const { authority } = owner.gate.state(registry) ?? {}
    const revoked = writer.revoke(curator.did, { authPrev: authority?.head ?? writer.genesis.id })
    for (const each of [owner, ann, bob]) await each.take([revoked])
    expect(ann.members.needsCertificate()).toBe(true)
    expect((await meet(ann, owner))[0]).toBe('accepted')
    expect(await certify(ann)).toBe(true)
    expect(ann.members.credentials.certificate?.body.issuer).toBe(root.did)
    expect(ann.members.needsCertificate()).toBe(false)
  })
})

describe('expelling', () => {
  function expelled(member: string, isCompromised = false): Promise<Expelled> {
    const about = { registry, key: undefined }
    return expel(owner.commands, about, { member, reason: 'left', isCompromised })
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
    const { authority } = owner.gate.state(registry) ?? {}
    await owner.take([writer.grant(second.did, 'owner', { authPrev: authority?.head ?? writer.genesis.id })])
    const thief = await seatOf(second, { registry, clock, host: 'second' })
    await share(owner, thief)
    const token = await invite(thief, 2)
    await share(thief, owner)
    const friend = await join('friend', token)
    expect((await meet(friend, owner))[0]).toBe('accepted')
    const result = await expelled(second.did, true)
    // Nothing that it said counts any more, so there is no invite left to end.
    expect(result.invites).toEqual([])
    expect(owner.members.stands(friend.peer, memberOf(friend))).toBe(false)
    expect((await meet(friend, owner))[0]).not.toBe('accepted')
  })

  test('of an owner that merely left ends its open invites and keeps whom it let in', async () => {
    const second = person('second')
    const { authority } = owner.gate.state(registry) ?? {}
    await owner.take([writer.grant(second.did, 'owner', { authPrev: authority?.head ?? writer.genesis.id })])
    const seat = await seatOf(second, { registry, clock, host: 'second' })
    await share(owner, seat)
    const token = await invite(seat, 2)
    await share(seat, owner)
    const friend = await join('friend', token)
    await meet(friend, owner)
    const result = await expelled(second.did)
    expect(result.invites).toEqual([token.invite])
    expect(owner.members.stands(friend.peer, memberOf(friend))).toBe(true)
    const late = await seatOf(person('late'), { registry, clock, host: 'late' })
    late.members.enterAs(guestOf(token))
    expect((await meet(late, owner))[0]).toBe('invite-over')
  })

  test('says when others still have to sign, and cuts nobody before', async () => {
    const [one, two] = [person('one'), person('two')]
    const shared = new FactWriter(one, { visibility: 'private', roots: [one.did, two.did].toSorted(), threshold: 2 })
    const seat = await seatOf(person('one', 'seat'), { registry: shared.registry, clock, host: 'one' })
    const granted = shared.grant(ann.signer.principal, 'publisher')
    await seat.take([shared.genesis, granted, shared.cosign(two, granted)])
    const about = { registry: shared.registry, key: undefined }
    const asked = { member: ann.signer.principal, reason: '', isCompromised: false }
    expect(await expel(seat.commands, about, asked)).toMatchObject({ missing: 1, cut: [] })
  })
})

describe('a rotation', () => {
  function rotate(seat: Seat = owner, overlap?: string) {
    let n = 0
    const random = (bytes: number) => new Uint8Array(bytes).fill((n += 1))
    const components = { gate: seat.gate, members: seat.members, random, now: () => clock.now() }
    return rotateSwarm(components, { registry, signer: seat.signer }, overlap)
  }

  test('spreads from member to member, and both secrets are good while they overlap', async () => {
    const before = owner.members.keys.current.secret
    expect(await rotate()).toEqual({ epoch: 1, overlapUntil: NOW + overlapDefaultMs })
    const { secret } = owner.members.keys.current
    expect(secret).not.toEqual(before)
    expect(owner.members.secrets()).toEqual([
      { epoch: 1, key: privateKeys(secret).hello },
      { epoch: 0, key: privateKeys(before).hello }
    ])
    await ann.members.takeSwarmKey(owner.members.swarmKey() ?? new Uint8Array())
    await bob.members.takeSwarmKey(ann.members.swarmKey() ?? new Uint8Array())
    expect(bob.members.secrets()).toEqual(owner.members.secrets())
    expect(bob.swarmStore.record.secrets).toEqual(bob.members.keys.current)
    // Certificates go on.
    expect(await meet(ann, bob)).toEqual(['accepted', 'accepted'])
    await clock.advance(overlapDefaultMs)
    expect(owner.members.secrets()).toEqual([{ epoch: 1, key: privateKeys(secret).hello }])
  })

  test('is for owners, and for at most 30 days of overlap', async () => {
    expect(await codeOfAsync(() => rotate(ann))).toBe('NOT_AUTHORIZED')
    expect(await codeOfAsync(() => rotate(owner, '31d'))).toBe('USAGE')
    expect(await codeOfAsync(() => rotate(owner, '0h'))).toBe('USAGE')
    expect((await rotate(owner, '2h')).overlapUntil).toBe(NOW + 2 * 3_600_000)
    expect(owner.members.keys.current.epoch).toBe(1)
  })

  const body: SwarmKey = {
    v: 1,
    registry,
    epoch: 1,
    secret: new Uint8Array(32).fill(9),
    psk: false,
    overlapUntil: NOW + DAY,
    by: root.did,
    time: NOW
  }

  test.each<[string, Partial<SwarmKey>, string]>([
    ['signed by a plain member', { by: person('ann').did }, 'ann'],
    ['signed by somebody in an owner’s name', {}, 'ann'],
    ['of another registry', { registry: new FactWriter(person('x')).registry }, 'root'],
    ['dated ahead', { time: NOW + 6 * 60_000 }, 'root'],
    ['that leaps to the end of all numbers', { epoch: Number.MAX_SAFE_INTEGER }, 'root']
  ])('is not believed when it is %s', async (_what, changes, by) => {
    const before = bob.members.keys.current
    await bob.members.takeSwarmKey(signSwarmKey({ ...body, ...changes }, person(by).secret))
    expect(bob.members.keys.current).toBe(before)
    await bob.members.takeSwarmKey(signSwarmKey(body, root.secret))
    expect(bob.members.keys.current.epoch).toBe(1)
  })

  test('is refused with a fault of its sender when it is no record', async () => {
    const record = signSwarmKey(body, root.secret)
    const longer = signSwarmKey({ ...body, overlapUntil: NOW + overlapMaxMs + 1 }, root.secret)
    for (const bad of [new Uint8Array(2), new Uint8Array(2_000), record.slice(1), longer]) {
      expect(await codeOfAsync(() => bob.members.takeSwarmKey(bad))).toBe('MALFORMED')
    }
  })

  test('goes forward only, and two of one epoch end with the same on every host', async () => {
    const [a, b] = [17, 18].map(fill =>
      signSwarmKey({ ...body, secret: new Uint8Array(32).fill(fill), overlapUntil: NOW + fill }, root.secret)
    )
    const third = signSwarmKey({ ...body, epoch: 3, secret: new Uint8Array(32).fill(3) }, root.secret)
    if (a === undefined || b === undefined) throw new Error('two')
    for (const record of [a, b]) await ann.members.takeSwarmKey(record)
    for (const record of [b, a]) await bob.members.takeSwarmKey(record)
    expect(ann.members.keys.current).toEqual(bob.members.keys.current)
    expect(ann.members.keys.current.previous?.epoch).toBe(0)
    await ann.members.takeSwarmKey(third)
    await ann.members.takeSwarmKey(a)
    expect(ann.members.keys.current).toMatchObject({ epoch: 3, previous: { epoch: 1 } })
  })

  test('that could not be kept is not used', async () => {
    const before = bob.members.keys.current
    bob.swarmStore.putSecrets = () => Promise.reject(new RegistryError('DISK_FULL', 'no space'))
    expect(await codeOfAsync(() => bob.members.takeSwarmKey(signSwarmKey(body, root.secret)))).toBe('DISK_FULL')
    expect(bob.members.keys.current).toBe(before)
  })

  test('that somebody missed comes with a new token', async () => {
    await rotate()
    const { secret, epoch } = owner.members.keys.current
    expect(await bob.members.keys.adopt({ secret, epoch, psk: false })).toBe(true)
    expect(bob.members.keys.current).toMatchObject({ epoch: 1, record: null, previous: { epoch: 0 } })
    // The record follows, and an older token takes nothing back.
    await bob.members.takeSwarmKey(owner.members.swarmKey() ?? new Uint8Array())
    expect(bob.members.swarmKey()).toEqual(owner.members.swarmKey())
    expect(await bob.members.keys.adopt({ secret: new Uint8Array(32), epoch: 0, psk: false })).toBe(false)
  })
})

describe('the roster', () => {
  const peersOf = (page: readonly Uint8Array[]) => page.map(bytes => parseCertificate(bytes).body.peer)

  test('makes those known to each other who never met', async () => {
    const carol = await join('carol', await invite(owner))
    await share(owner, ann)
    expect(carol.members.isKnown(ann.peer)).toBe(false)
    await carol.members.takeRoster(owner.members.roster(null))
    expect(carol.members.isKnown(ann.peer)).toBe(true)
    expect(peersOf(carol.members.roster(null))).toEqual([owner.peer, ann.peer, bob.peer].toSorted())
    // It comes back after a restart.
    const again = await seatOf(person('carol'), { registry, clock, host: 'carol', store: carol.swarmStore })
    await share(owner, again)
    expect(again.members.isKnown(ann.peer)).toBe(true)
    // What is told of somebody ends with him.
    const { authority } = carol.gate.state(registry) ?? {}
    const revoked = writer.revoke(ann.signer.principal, { authPrev: authority?.head ?? writer.genesis.id, heads: [] })
    await carol.take([revoked])
    expect([carol.members.isKnown(ann.peer), carol.members.isBarred(ann.peer)]).toEqual([false, true])
  })

  test('has pages in the order of peer ids', async () => {
    const peers: string[] = [owner.peer, ann.peer, bob.peer]
    for (let n = 0; n < rosterPage; n++) {
      const peer = await hostOf(`desk ${n}`)
      const certificate = owner.members.credentials.issue(peer, { key: bob.signer.principal })
      owner.members.hosts.learn([parseCertificate(certificate)])
      peers.push(peer)
    }
    const first = peersOf(owner.members.roster(null))
    const second = peersOf(owner.members.roster(first.at(-1) ?? null))
    expect(first).toHaveLength(rosterPage)
    expect([...first, ...second]).toEqual(peers.toSorted())
    expect(owner.members.roster(second.at(-1) ?? null)).toEqual([])
    const stranger = await join('carol', await invite(owner))
    await stranger.members.takeRoster(owner.members.roster(null))
    expect(stranger.members.isKnown(first[0] ?? '')).toBe(true)
  })

  test('believes nobody who may not say so, and forgets nothing that a host said of itself', async () => {
    const carol = await join('carol', await invite(owner))
    const { credentials } = owner.members
    const desk = await hostOf('desk')
    await carol.members.takeRoster([forged(credentials.issue(desk, { key: bob.signer.principal }))])
    await carol.members.takeRoster([bob.members.credentials.issue(desk, { key: bob.signer.principal })])
    await carol.members.takeRoster([credentials.issue(desk, { key: person('unheard of').did })])
    expect(carol.members.isKnown(desk)).toBe(false)
    // Attack: an issuer gives the host of an honest member to somebody, whom it has expelled then.
    await meet(ann, carol)
    await clock.advance(1)
    await carol.members.takeRoster([credentials.issue(ann.peer, { key: bob.signer.principal })])
    expect(carol.members.hosts.get(ann.peer)?.member).toBe(ann.signer.principal)
    // Nor is anybody told of our own host.
    await carol.members.takeRoster([credentials.issue(carol.peer, { key: bob.signer.principal })])
    expect(carol.members.hosts.get(carol.peer)?.member).not.toBe(bob.signer.principal)
  })

  test('refuses a page that no honest program sends', async () => {
    const page = owner.members.roster(null)
    const foreign = new FactWriter(person('x'), { visibility: 'private' })
    const stranger = await seatOf(person('x'), { registry: foreign.registry, clock })
    const other = stranger.members.credentials.issue(ann.peer, { key: ann.signer.principal })
    const many = Array.from({ length: rosterPage + 1 }, () => page[0] ?? new Uint8Array())
    for (const bad of [[new Uint8Array(3)], [new Uint8Array(2_000)], page.toReversed(), [other], many]) {
      expect(await codeOfAsync(() => bob.members.takeRoster(bad))).toBe('MALFORMED')
    }
  })

  test('is told of changes, and writes no more than it must', async () => {
    const writes = bob.swarmStore.written.length
    for (let n = 0; n < 5; n++) await meet(ann, bob)
    await bob.members.hosts.settled()
    expect(bob.swarmStore.written.length - writes).toBeLessThanOrEqual(1)
    await clock.advance(3 * certificateMs)
    await bob.members.recheck()
    expect(bob.members.hosts.get(ann.peer)).toBeUndefined()
    await bob.members.hosts.settled()
    expect(bob.swarmStore.rows.has(ann.peer)).toBe(false)
  })
})

describe('what a person is shown', () => {
  function sight(seat: Seat) {
    const authority = seat.gate.state(registry)?.authority
    if (authority === undefined) throw new Error('no genesis')
    return { authority, members: seat.members, self: seat.signer.principal, now: clock.now() }
  }

  test('is every member with its hosts and by whose invite it came, and every invite', async () => {
    const facts = (await owner.gate.state(registry)?.factsOf('registry')) ?? []
    const { members, invites } = listMembers(sight(owner), { facts, connected: owner.connected })
    const shown = (key: string) => members.find(member => member.key === key)
    expect(members).toHaveLength(3)
    expect(shown(root.did)).toMatchObject({
      roles: ['owner'],
      invite: null,
      isSelf: true,
      hosts: [{ peer: owner.peer }]
    })
    expect(shown(ann.signer.principal)).toMatchObject({
      roles: ['publisher'],
      state: 'member',
      invite: { by: root.did },
      isSelf: false,
      hosts: [{ peer: ann.peer, connected: true, lastSeen: NOW, certificate: { issuer: root.did } }]
    })
    expect(invites).toMatchObject([{ by: root.did, uses: 3, used: 2, state: 'open', role: 'publisher' }])
  })

  test('is warned from a third left on, and told who could help', async () => {
    expect([...warningsOf(sight(owner)), ...warningsOf(sight(ann))]).toEqual([])
    await clock.advance(20 * DAY)
    expect(warningsOf(sight(ann))).toEqual([expect.stringContaining('runs out on 2023-12-14')])
    await clock.advance(10 * DAY)
    expect(warningsOf(sight(ann))).toEqual([
      expect.stringContaining('ask an owner for a new invite'),
      expect.stringContaining('no owner or curator was seen')
    ])
    expect(warningsOf(sight(owner))).toEqual([])
    const { authority } = ann.gate.state(registry) ?? {}
    await ann.take([writer.revoke(ann.signer.principal, { authPrev: authority?.head ?? writer.genesis.id, heads: [] })])
    expect(warningsOf(sight(ann))).toEqual([expect.stringContaining('was expelled')])
  })
})
