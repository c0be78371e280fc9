import { beforeEach, describe, expect, test } from 'vitest'
import { listMembers, warningsOf } from '../../node/services/swarm/list.ts'
import { parseCertificate } from '../../protocol/membership/certificate.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { expel } from '../../node/services/swarm/expel.ts'
import { Roster } from '../../node/services/swarm/roster.ts'
import { WHOLE } from '../../protocol/role.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { FactWriter, person } from '../support/facts.ts'
import { hostOf, meet, MemorySwarmStore, seatOf, share } from '../support/seat.ts'
import type { Seat } from '../support/seat.ts'
import { company, DAY, forged, headOf, invite, join, memberOf, NOW, registry, root } from './company.ts'
import type { Company } from './company.ts'

const { certificateMs, hostsPerMember, members, rosterPage } = LIMITS.membership
let clock: Company['clock']
let writer: Company['writer']
let owner: Seat
let ann: Seat
let bob: Seat

beforeEach(async () => {
  ;({ clock, writer, owner, ann, bob } = await company())
})

describe('the roster', () => {
  const peersOf = (page: readonly Uint8Array[]) => page.map(bytes => parseCertificate(bytes).body.peer)

  test('makes those known to each other who never met', async () => {
    const carol = await join(owner, 'carol', await invite(owner))
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
    const revoked = writer.revoke(ann.signer.principal, { authPrev: headOf(owner), heads: [] })
    await carol.take([revoked])
    expect(carol.members.isKnown(ann.peer)).toBe(false)
    expect(carol.members.hosts.get(ann.peer)).toBeUndefined()
    expect(await meet(ann, carol)).toEqual(['not-a-member', 'unjudged'])
    expect(carol.members.isBarred(ann.peer)).toBe(true)
  })

  test('has pages in the order of peer ids', async () => {
    const peers: string[] = [owner.peer, ann.peer, bob.peer]
    for (let n = 0; n < rosterPage; n++) {
      const peer = await hostOf(`desk ${n}`)
      const certificate = owner.members.credentials.issue(peer, { key: (n % 2 === 0 ? ann : bob).signer.principal })
      owner.members.hosts.learn([parseCertificate(certificate)])
      peers.push(peer)
    }
    const first = peersOf(owner.members.roster(null))
    const second = peersOf(owner.members.roster(first.at(-1) ?? null))
    expect(first).toHaveLength(rosterPage)
    expect([...first, ...second]).toEqual(peers.toSorted())
    expect(owner.members.roster(second.at(-1) ?? null)).toEqual([])
    const stranger = await join(owner, 'carol', await invite(owner))
    await stranger.members.takeRoster(owner.members.roster(null))
    expect(stranger.members.isKnown(first[0] ?? '')).toBe(true)
  })

  test('believes nobody who may not say so, and forgets nothing that a host said of itself', async () => {
    const carol = await join(owner, 'carol', await invite(owner))
    const { credentials } = owner.members
    const desk = await hostOf('desk')
    await carol.members.takeRoster([forged(credentials.issue(desk, { key: bob.signer.principal }))])
    await carol.members.takeRoster([bob.members.credentials.issue(desk, { key: bob.signer.principal })])
    await carol.members.takeRoster([credentials.issue(desk, { key: person('unheard of').did })])
    expect(carol.members.hosts.get(desk)).toBeUndefined()
    // Attack: an issuer gives the host of an honest member to somebody, whom it has expelled then.
    await meet(ann, carol)
    await clock.advance(1)
    await carol.members.takeRoster([credentials.issue(ann.peer, { key: bob.signer.principal })])
    expect(carol.members.hosts.get(ann.peer)?.member).toBe(ann.signer.principal)
    // Nor is anybody told of our own host.
    await carol.members.takeRoster([credentials.issue(carol.peer, { key: bob.signer.principal })])
    expect(carol.members.hosts.get(carol.peer)?.member).not.toBe(bob.signer.principal)
  })

  test('keeps no host out because of what others say of it', async () => {
    const carol = await join(owner, 'carol', await invite(owner))
    await share(owner, ann)
    await share(owner, bob)
    // Attack: an issuer says that the host of an honest member is that of one who is about to be put out.
    await carol.members.takeRoster([owner.members.credentials.issue(ann.peer, { key: bob.signer.principal })])
    expect(carol.members.hosts.get(ann.peer)?.member).toBe(bob.signer.principal)
    const revoked = writer.revoke(bob.signer.principal, { authPrev: headOf(owner), heads: [] })
    await carol.gate.admitMany([revoked.bytes], { peer: 'p' })
    expect(carol.members.isBarred(ann.peer)).toBe(false)
    expect(await meet(ann, carol)).toEqual(['accepted', 'accepted'])
    await carol.members.recheck()
    expect(carol.members.isBarred(ann.peer)).toBe(false)
    expect(carol.members.hosts.get(ann.peer)?.member).toBe(ann.signer.principal)
    // Whoever was here is known again.
    await meet(bob, owner)
    await owner.take([revoked])
    expect(owner.members.isBarred(bob.peer)).toBe(true)
  })

  test('expels nobody for what a host did that only others say is his', async () => {
    const desk = await hostOf('desk')
    owner.members.hosts.learn([parseCertificate(owner.members.credentials.issue(desk, { key: bob.signer.principal }))])
    const asked = { member: desk, reason: 'left', isCompromised: false, keep: [] }
    expect(await codeOfAsync(() => expel(owner.commands, { registry, key: undefined }, asked))).toBe('USAGE')
  })

  test('has room for honest hosts, whoever makes up how many', async () => {
    const machine = person('machine')
    const value = { authPrev: headOf(owner), head: null, key: machine.did, role: 'publisher' as const, threshold: null }
    const expires = NOW + 90 * DAY
    await owner.take([writer.write(root, 'registry', { type: 'grant', value: { ...value, scope: WHOLE, expires } })])
    await share(owner, bob)
    const seat = await seatOf(machine, { registry, clock, host: 'machine' })
    await share(owner, seat)
    // Attack: a machine certifies what is no host for a day, and a curator does so in the name of a member.
    const names = Array.from({ length: hostsPerMember + 8 }, (_, n) => `made up ${n}`)
    const peers = (await Promise.all(names.map(hostOf))).toSorted()
    const own = peers.map(peer => seat.members.credentials.issue(peer, { key: machine.did, lifeMs: DAY }))
    for (const page of pagesOf(own)) await bob.members.takeRoster(page)
    expect(bob.members.hosts.of(machine.did)).toEqual([])
    const made = peers.map(peer => owner.members.credentials.issue(peer, { key: ann.signer.principal }))
    for (const page of pagesOf(made)) await bob.members.takeRoster(page)
    const anns = bob.members.hosts.of(ann.signer.principal)
    expect(anns).toHaveLength(hostsPerMember)
    // Nor is one made-up host after the other written down.
    expect(anns.map(({ peer }) => peer)).toEqual([ann.peer, ...peers.slice(0, hostsPerMember - 1)])
    await bob.members.takeRoster([owner.members.credentials.issue(await hostOf('desk'), { key: root.did })])
    expect(bob.members.hosts.get(await hostOf('desk'))?.member).toBe(root.did)
    // Nor is the machine's own host told to anybody, which is let in all the same.
    expect(await meet(seat, bob)).toEqual(['accepted', 'accepted'])
    expect(peersOf(bob.members.roster(null))).not.toContain(seat.peer)
  })

  test('that is full gives up what was made up for what was not', async () => {
    const failed: unknown[] = []
    const store = new MemorySwarmStore()
    const roster = await Roster.open({ store, onFailed: error => void failed.push(error) })
    const row = (n: number, member: string) =>
      ({
        bytes: new Uint8Array(),
        bodyBytes: new Uint8Array(),
        signature: new Uint8Array(),
        body: { peer: `peer ${n}`, member, expires: NOW + DAY }
      }) as unknown as Parameters<Roster['learn']>[0][number]
    const rows = Array.from({ length: members }, (_, n) => row(n, `member ${Math.floor(n / hostsPerMember)}`))
    roster.learn(rows)
    const honest = row(members, 'honest')
    expect(roster.isNews(honest)).toBe(true)
    roster.learn([honest])
    expect([...roster.all()]).toHaveLength(members)
    expect(roster.get(honest.body.peer)?.member).toBe('honest')
    // Who was here is never given up for what others say.
    for (const { peer, member, certificate } of roster.all()) roster.seen({ peer, member, certificate, lastSeen: NOW })
    expect(roster.isNews(row(members + 1, 'late'))).toBe(false)
    await roster.settled()
    expect(failed).toEqual([])
    expect(store.rows.size).toBe(members)
  })

  test('lets a member have no more hosts certified than a roster holds', async () => {
    const given: boolean[] = []
    for (let n = 0; n < hostsPerMember + 2; n++) {
      const peer = await hostOf(`made up ${n}`)
      const { principal } = bob.signer
      const word = bob.signer.signBinding({ v: 1, registry, peer, member: principal, time: NOW })
      const proof = { certificate: null, binding: word, evidence: [] }
      expect((await owner.members.judge(peer, proof, new AbortController().signal)).accepted).toBe(true)
      given.push((await owner.members.certify(peer, memberOf(bob))) !== undefined)
    }
    // The host that he has is one of them, and one place is for whoever comes next.
    expect(given.filter(Boolean)).toHaveLength(hostsPerMember - 2)
    expect(given.slice(-3)).toEqual([false, false, false])
    expect(owner.members.hosts.of(bob.signer.principal)).toHaveLength(hostsPerMember)
    expect(owner.members.isKnown(ann.peer)).toBe(true)
  })

  function pagesOf(certificates: readonly Uint8Array[]): readonly (readonly Uint8Array[])[] {
    return [certificates.slice(0, rosterPage), certificates.slice(rosterPage)]
  }

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
    await ann.take([writer.revoke(ann.signer.principal, { authPrev: headOf(owner), heads: [] })])
    expect(warningsOf(sight(ann))).toEqual([expect.stringContaining('was expelled')])
  })
})
