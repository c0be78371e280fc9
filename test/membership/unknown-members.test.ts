import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { WHOLE } from '../../protocol/role.ts'
import { FactWriter, person } from '../support/facts.ts'
import type { Person } from '../support/facts.ts'
import { MemorySwarmStore, seatOf } from '../support/seat.ts'
import { testClock } from '../support/test-clock.ts'
import {
  all,
  binding,
  carol,
  certificate,
  curator,
  elsewhere,
  eve,
  foreign,
  forged,
  frank,
  head,
  host,
  inviteOfLate,
  judged,
  late,
  mallory,
  NEVER,
  NOW,
  reader,
  redeemOfFrank,
  registry,
  root,
  vouched,
  writer,
  dora,
  old
} from './cast.ts'

const MINUTE = 60_000
const { certificateMs, graceMs } = LIMITS.membership

describe('evidence', () => {
  test('lets in whom nobody here has heard of: the invite, and its use', async () => {
    const seat = await reader()
    expect(await judged(seat, { binding: binding(frank) })).toBe('not-a-member')
    const evidence = [inviteOfLate.bytes, redeemOfFrank.bytes]
    expect(await judged(seat, { binding: binding(frank), evidence })).toBe('publisher until 7')
    expect(seat.gate.state(registry)?.authority?.redemptions.map(({ key }) => key)).toContain(frank.did)
  })

  test('that lies is worth nothing', async () => {
    const seat = await reader()
    const self = new FactWriter(root, { visibility: 'private' })
    const lie = self.write(mallory, 'registry', {
      type: 'grant',
      value: {
        authPrev: head.id,
        head: null,
        key: mallory.did,
        role: 'owner',
        scope: WHOLE,
        expires: null,
        threshold: null
      }
    })
    const before = await seat.digest()
    expect(await judged(seat, { binding: binding(mallory), evidence: [lie.bytes] })).toBe('not-a-member')
    expect(await judged(seat, { binding: binding(mallory), evidence: [forged(redeemOfFrank.bytes)] })).toBe(
      'not-a-member'
    )
    expect(await judged(seat, { binding: binding(mallory), evidence: [foreign.genesis.bytes] })).toBe('not-a-member')
    expect(await seat.digest()).toBe(before)
  })

  test('has a bound, and none of too much is looked at', async () => {
    const seat = await reader()
    const many = [inviteOfLate.bytes, redeemOfFrank.bytes, ...all.slice(0, 3).map(({ bytes }) => bytes)]
    expect(await judged(seat, { binding: binding(frank), evidence: many })).toBe('not-a-member')
    const large = [inviteOfLate.bytes, redeemOfFrank.bytes, new Uint8Array(LIMITS.membership.evidenceBytes)]
    expect(await judged(seat, { binding: binding(frank), evidence: large })).toBe('not-a-member')
    expect(seat.gate.state(registry)?.authority?.redemptions.map(({ key }) => key)).not.toContain(frank.did)
  })

  test('of an invite that was redeemed with the key of an owner gives its holder no host', async () => {
    const seat = await reader()
    const stolen = writer.redeem(inviteOfLate, root.did, { by: late, at: { seq: 0, prev: null } })
    const evidence = [inviteOfLate.bytes, stolen.bytes]
    for (const by of [late, mallory]) {
      expect(await judged(seat, { binding: binding(root, { by }), evidence })).toBe('not-a-member')
    }
    expect(seat.members.isKnown(host)).toBe(false)
  })
})

describe('somebody whom no fact here names', () => {
  test('is let in by a certificate for as long as facts take, and no longer', async () => {
    const compared: { at?: number } = {}
    const seat = await reader({ components: { comparedAt: () => compared.at } })
    const shown = vouched(mallory, curator)
    expect(await judged(seat, shown)).toBe('publisher until 30')
    const member = { key: mallory.did, role: 'publisher', until: NOW + certificateMs } as const
    // Nobody was there to compare with: facts may still come.
    await seat.clock.advance(2 * graceMs)
    expect(seat.members.stands(host, member)).toBe(true)
    compared.at = seat.clock.now()
    expect(seat.members.stands(host, member)).toBe(false)
    // Attack: connecting again, or from another host, begins no new time.
    expect(await judged(seat, shown)).toBe('not-a-member')
    const other = vouched(mallory, curator, { peer: elsewhere })
    expect(await judged(seat, other, elsewhere)).toBe('not-a-member')
  })

  test('stays when the facts have come', async () => {
    const compared = NOW + MINUTE
    const seat = await reader({ components: { comparedAt: () => compared } })
    const shown = { certificate: certificate(frank, curator), binding: binding(frank) }
    expect(await judged(seat, shown)).toBe('publisher until 30')
    await seat.take([inviteOfLate, redeemOfFrank])
    await seat.clock.advance(2 * graceMs)
    expect(await judged(seat, shown)).toBe('publisher until 30')
  })

  test('is passed on to nobody, and may not be certified', async () => {
    const seat = await seatOf(curator, { registry, clock: testClock(NOW) })
    await seat.take(all)
    const proof = { certificate: certificate(mallory, root), binding: binding(mallory), evidence: [] }
    const verdict = await seat.members.judge(host, proof, NEVER)
    expect(verdict.accepted).toBe(true)
    if (!verdict.accepted) return
    expect(await seat.members.certify(host, verdict.member)).toBeUndefined()
    expect(seat.members.hosts.get(host)).toBeUndefined()
  })
})

describe('a member that was granted a role by name and has no certificate', () => {
  test('is let in by whoever may certify it, on its own word, and then by everybody', async () => {
    const seat = await seatOf(curator, { registry, clock: testClock(NOW) })
    await seat.take(all)
    const proof = { certificate: null, binding: binding(carol), evidence: [] }
    const verdict = await seat.members.judge(host, proof, new AbortController().signal)
    expect(verdict.accepted).toBe(true)
    if (!verdict.accepted) return
    const given = await seat.members.certify(host, verdict.member)
    const other = await reader()
    expect(await judged(other, { binding: binding(carol) })).toBe('unknown-issuer')
    expect(await judged(other, { certificate: given ?? new Uint8Array(), binding: binding(carol) })).toBe(
      'publisher until 30'
    )
  })

  test.each<[string, Person, string]>([
    ['who came by an invite that is over', dora, 'invite-over'],
    ['who was expelled', eve, 'not-a-member'],
    ['whose role has run out', old, 'expired'],
    ['whom nobody has named', mallory, 'not-a-member']
  ])('and nobody is %s', async (_who, member, expected) => {
    const seat = await seatOf(curator, { registry, clock: testClock(NOW) })
    await seat.take(all)
    expect(await judged(seat, { binding: binding(member) })).toBe(expected)
    expect(await judged(seat, { binding: binding(carol, { by: mallory }) })).toBe('not-a-member')
  })
})

describe('before the genesis has arrived', () => {
  test('those in the token are believed, nobody else is, and then they are looked at again', async () => {
    const store = new MemorySwarmStore({ vouched: [`/ip4/10.0.0.5/tcp/4917/p2p/${host}`] })
    const seat = await seatOf(person('newcomer'), { registry, store, clock: testClock(NOW) })
    const shown = vouched(eve, mallory)
    expect(await judged(seat, shown)).toBe('publisher until 30')
    expect(seat.members.isKnown(host)).toBe(true)
    const other = vouched(carol, root, { peer: elsewhere })
    expect(await judged(seat, other, elsewhere)).toBe('unknown-issuer')
    expect(seat.members.isKnown(elsewhere)).toBe(false)
    // Even those must say who they are.
    expect(await judged(seat, { certificate: certificate(eve, mallory) })).toBe('not-a-member')
    expect(await judged(seat, {})).toBe('not-a-member')
    await seat.take(all)
    const member = { key: eve.did, role: 'publisher', until: NOW + certificateMs } as const
    expect(seat.members.stands(host, member)).toBe(false)
    expect(await judged(seat, other, elsewhere)).toBe('publisher until 30')
  })
})
