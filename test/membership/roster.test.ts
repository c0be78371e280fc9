import { beforeEach, describe, expect, test } from 'vitest'
import { listMembers, warningsOf } from '../../node/services/swarm/list.ts'
import { parseCertificate } from '../../protocol/membership/certificate.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { FactWriter, person } from '../support/facts.ts'
import { hostOf, meet, seatOf, share } from '../support/seat.ts'
import type { Seat } from '../support/seat.ts'
import { company, DAY, forged, headOf, invite, join, NOW, registry, root } from './company.ts'
import type { Company } from './company.ts'

const { certificateMs, rosterPage } = LIMITS.membership
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
