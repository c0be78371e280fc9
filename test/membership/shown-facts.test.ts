import { describe, expect, test } from 'vitest'
import { DiskGuard } from '../../node/disk-guard.ts'
import { takeHome } from '../../node/home.ts'
import { silentLog } from '../../node/runtime/log.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { WHOLE } from '../../protocol/role.ts'
import { FactWriter, person } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { seatOf } from '../support/seat.ts'
import type { Seat } from '../support/seat.ts'
import { tempDir } from '../support/temp-dir.ts'
import { testClock } from '../support/test-clock.ts'
import {
  all,
  binding,
  bob,
  DAY,
  elsewhere,
  ended,
  frank,
  inviteOfBob,
  inviteOfEnded,
  inviteOfLate,
  inviteOfShut,
  judged,
  mallory,
  NOW,
  old,
  reader,
  redeemOfBob,
  redeemOfFrank,
  registry,
  shut,
  used,
  vouched,
  writer,
  root
} from './cast.ts'

const { evidenceBurst, evidencePerSecond } = LIMITS.membership
const bytesOf = (...facts: readonly Made[]): readonly Uint8Array[] => facts.map(({ bytes }) => bytes)

/** A reader, and the facts that it tells others of what it was shown. */
async function listener(): Promise<{ readonly seat: Seat; readonly told: string[] }> {
  const told: string[] = []
  return { seat: await reader({ components: { announce: ({ id }) => void told.push(id) } }), told }
}

/** A grant of everything that somebody signs for himself, at a place of his choice. */
function selfGrant(by: Person, of = writer): Made {
  const value = { authPrev: of.genesis.id, head: null, key: by.did, scope: WHOLE, expires: null, threshold: null }
  return of.write(by, 'registry', { type: 'grant', value: { ...value, role: 'owner' } }, { seq: 0, prev: null })
}

/** All that is stored of the registry, in its set and beside it. */
async function kept(seat: Seat): Promise<readonly string[]> {
  return [...(await seat.ids()), `${seat.store.cutCount(registry)} aside`]
}

/** A use of a place that somebody else has, and keeps: its id is not lower. */
function usedAgain(): Made {
  for (let time = NOW; ; time += 1) {
    const at = { seq: 0, prev: null, time }
    const again = writer.redeem(inviteOfBob, mallory.did, { by: used, at })
    if (again.id > redeemOfBob.id) return again
  }
}

describe('what a host shows is written for nobody else’s sake', () => {
  const cited = { registry: writer.genesis.id, package: writer.genesis.id }

  test.each<[string, Person, readonly Made[], string]>([
    ['a machine whose time has run out, of a yank', old, [writer.yank('tool', '1.0.0', cited, { by: old })], 'expired'],
    ['the same, of a grant to itself', old, [selfGrant(old)], 'expired'],
    ['a member, of words about packages', bob, [writer.yank('tool', '1.0.1', cited, { by: bob })], 'publisher until 7'],
    [
      'whoever uses an invite that is over',
      mallory,
      [writer.redeem(inviteOfShut, mallory.did, { by: shut })],
      'not-a-member'
    ],
    [
      'whoever uses an invite that was taken back',
      mallory,
      [writer.redeem(inviteOfEnded, mallory.did, { by: ended })],
      'not-a-member'
    ],
    ['whoever uses a place that a member has', mallory, [usedAgain()], 'not-a-member'],
    ['a stranger, of what a stranger grants', mallory, [selfGrant(mallory)], 'not-a-member'],
    ['somebody else', mallory, [inviteOfLate, redeemOfFrank], 'not-a-member'],
    ['a use whose invite nobody here has heard of', frank, [redeemOfFrank], 'not-a-member'],
    [
      'a use without the one before it',
      mallory,
      [writer.redeem(inviteOfEnded, mallory.did, { by: ended, at: { seq: 7, prev: redeemOfFrank.id } })],
      'not-a-member'
    ]
  ])('%s', async (_who, member, facts, expected) => {
    const { seat, told } = await listener()
    const before = await kept(seat)
    const shown = { binding: binding(member), evidence: bytesOf(...facts) }
    expect(await judged(seat, shown)).toBe(expected)
    expect(await judged(seat, { ...shown, ...vouched(member, root, { peer: elsewhere }) }, elsewhere)).not.toBe('')
    expect(await kept(seat)).toEqual(before)
    expect(seat.gate.pendingCount(registry)).toBe(0)
    expect(told).toEqual([])
  })

  test('whoever was put out and says something else at a place that is recognised, from one host after the other', async () => {
    const facts = new FactWriter(root, { visibility: 'private' })
    const eve = person('eve')
    const granted = facts.grant(eve.did, 'publisher')
    const first = selfGrant(eve, facts)
    const revoked = facts.revoke(eve.did, { authPrev: granted.id, heads: [first] })
    const seat = await seatOf(bob, { registry: facts.registry, clock: testClock(NOW) })
    await seat.take([facts.genesis, granted, first, revoked])
    const before = await seat.digest()
    const [ids, second] = [await seat.ids(), selfGrant(eve, facts)]
    // The gate itself would take it: the place is recognised.
    expect(second.id).not.toBe(first.id)
    for (const peer of [elsewhere, seat.peer]) {
      const shown = { binding: binding(eve, { peer, of: facts.registry }), evidence: bytesOf(second) }
      expect(await judged(seat, shown, peer)).toBe('not-a-member')
    }
    expect(await seat.ids()).toEqual(ids)
    expect(await seat.digest()).toBe(before)
    expect((await seat.gate.admit(second.bytes, { peer: 'p' })).verdict).toBe('accept')
  })

  test('whoever has not said it: the word beside it must be that of the member', async () => {
    const { seat, told } = await listener()
    const before = await kept(seat)
    const evidence = bytesOf(inviteOfLate, redeemOfFrank)
    expect(await judged(seat, { binding: binding(frank, { by: mallory }), evidence })).toBe('not-a-member')
    expect(await kept(seat)).toEqual(before)
    expect(told).toEqual([])
  })
})

test('what lets a host in is told to others, and nothing beside it', async () => {
  const { seat, told } = await listener()
  const ids = new Set(await seat.ids())
  const yank = writer.yank('tool', '1.0.2', { registry: writer.genesis.id, package: writer.genesis.id }, { by: bob })
  const evidence = bytesOf(yank, inviteOfLate, selfGrant(frank), redeemOfFrank)
  expect(await judged(seat, { binding: binding(frank), evidence })).toBe('publisher until 7')
  expect(told).toEqual([inviteOfLate.id, redeemOfFrank.id])
  expect((await seat.ids()).filter(id => !ids.has(id)).toSorted()).toEqual(told.toSorted())
  // Shown again it is no news.
  expect(await judged(seat, { binding: binding(frank), evidence })).toBe('publisher until 7')
  expect(told).toHaveLength(2)
})

test('an invite that was good when the member came by it, and is over, lets nobody in who is first heard of now', async () => {
  const { seat } = await listener()
  await seat.clock.advance(7 * DAY)
  const before = await kept(seat)
  const evidence = bytesOf(inviteOfLate, redeemOfFrank)
  expect(await judged(seat, { binding: binding(frank), evidence })).toBe('not-a-member')
  expect(await kept(seat)).toEqual(before)
})

test('nothing is written while nothing may be', async () => {
  const clock = testClock(NOW)
  const home = await takeHome(await tempDir('home'))
  const store = { failure: () => undefined, recover: () => Promise.resolve() }
  const disk = new DiskGuard({ home, store, clock, log: silentLog(), signal: new AbortController().signal })
  const seat = await reader({ clock, guard: gate => disk.guardPeers(gate) })
  const before = await kept(seat)
  const shown = { binding: binding(frank), evidence: bytesOf(inviteOfLate, redeemOfFrank) }
  disk.note(new RegistryError('DISK_FULL', 'no room'))
  expect(await judged(seat, shown)).toBe('not-a-member')
  expect(await kept(seat)).toEqual(before)
  await disk.check()
  expect(await judged(seat, shown)).toBe('publisher until 7')
  await home.close()
})

test('a key that shows what is of no use is not listened to for ever', async () => {
  const { seat } = await listener()
  const useless = bytesOf(writer.redeem(inviteOfEnded, frank.did, { by: ended, at: { seq: 0, prev: null } }))
  for (let tries = 0; tries < evidenceBurst; tries++) await judged(seat, { binding: binding(frank), evidence: useless })
  const shown = { binding: binding(frank), evidence: bytesOf(inviteOfLate, redeemOfFrank) }
  expect(await judged(seat, shown)).toBe('not-a-member')
  // Others are.
  const [door, other] = [person('door'), person('other')]
  const invited = writer.invite(door.did, { authPrev: inviteOfLate.id, expires: NOW + DAY })
  const evidence = bytesOf(writer.redeem(invited, other.did, { by: door }), invited, inviteOfLate)
  expect(await judged(seat, { binding: binding(other), evidence })).toBe('publisher until 1')
  await seat.clock.advance(1_000 / evidencePerSecond)
  expect(await judged(seat, shown)).toMatch(/^publisher until 7/)
})

test('who was granted a role by name shows that, and not the invite by which it came', async () => {
  const granted = writer.grant(frank.did, 'publisher', { authPrev: inviteOfLate.id })
  const seat = await seatOf(frank, { registry, clock: testClock(NOW) })
  await seat.take(all)
  await seat.take([inviteOfLate, redeemOfFrank])
  expect((await seat.members.proof()).evidence).toEqual(bytesOf(inviteOfLate, redeemOfFrank))
  // The chain of the grant may hold what other tests have written.
  await seat.take(writer.all)
  expect((await seat.members.proof()).evidence).toEqual(bytesOf(granted))
})
