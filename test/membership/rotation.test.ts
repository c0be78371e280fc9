import { beforeEach, describe, expect, test } from 'vitest'
import { signSwarmKey } from '../../attestation/sign-membership.ts'
import { rotateSwarm } from '../../node/services/swarm/rotate.ts'
import { compareBytes } from '../../protocol/bytes.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { privateKeys } from '../../protocol/membership/names.ts'
import type { SwarmKey } from '../../protocol/membership/swarm-key.ts'
import { codeOfAsync } from '../support/error-code.ts'
import { FactWriter, person } from '../support/facts.ts'
import type { Person } from '../support/facts.ts'
import { meet, share } from '../support/seat.ts'
import type { Seat } from '../support/seat.ts'
import { company, DAY, headOf, NOW, registry, root } from './company.ts'
import type { Company } from './company.ts'

const { overlapDefaultMs, overlapMaxMs } = LIMITS.membership
let clock: Company['clock']
let writer: Company['writer']
let owner: Seat
let ann: Seat
let bob: Seat

beforeEach(async () => {
  ;({ clock, writer, owner, ann, bob } = await company())
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

  test('by who is an owner no more gives way to that of an owner, whatever its bytes and its epoch', async () => {
    const thief = person('second')
    const signed = (by: Person, epoch: number, fill: number): Uint8Array =>
      signSwarmKey({ ...body, by: by.did, epoch, secret: new Uint8Array(32).fill(fill) }, by.secret)
    await owner.take([writer.grant(thief.did, 'owner', { authPrev: headOf(owner) })])
    for (const seat of [ann, bob]) await share(owner, seat)
    const honest = signed(root, 1, 1)
    // It tries until its own sorts first.
    let low = signed(thief, 1, 2)
    for (let fill = 3; compareBytes(low, honest) > 0; fill++) low = signed(thief, 1, fill)
    await ann.members.takeSwarmKey(low)
    await bob.members.takeSwarmKey(signed(thief, 1_000, 200))
    expect([ann, bob].map(({ members }) => [members.keys.current.epoch, members.doubtsSecret()])).toEqual([
      [1, false],
      [1_000, false]
    ])
    // The expulsion is heard of, and then the secret that went with it.
    await owner.take([writer.revoke(thief.did, { authPrev: headOf(owner) })])
    await owner.members.takeSwarmKey(honest)
    for (const seat of [ann, bob]) {
      await share(owner, seat)
      expect(seat.members.doubtsSecret()).toBe(true)
      await seat.members.takeSwarmKey(honest)
      expect(seat.members.keys.current).toMatchObject({ epoch: 1, record: honest, previous: { epoch: 0 } })
      expect(seat.members.doubtsSecret()).toBe(false)
      // Nor does anything lead back to it, or to what was good before.
      for (const record of [low, signed(thief, 1_000, 200), signed(thief, 2, 201)])
        await seat.members.takeSwarmKey(record)
      expect(seat.members.keys.current.record).toEqual(honest)
    }
    await bob.members.takeSwarmKey(signed(root, 2, 5))
    await bob.members.takeSwarmKey(honest)
    expect(bob.members.keys.current.epoch).toBe(2)
  })

  test('that could not be kept is not used', async () => {
    const before = bob.members.keys.current
    bob.swarmStore.putSecrets = () => Promise.reject(new RegistryError('DISK_FULL', 'no space'))
    expect(await codeOfAsync(() => bob.members.takeSwarmKey(signSwarmKey(body, root.secret)))).toBe('DISK_FULL')
    expect(bob.members.keys.current).toBe(before)
  })

  test('that a token tells of is held beside the known one until a member has shown it, and no leap is believed', async () => {
    const { keys } = bob.members
    const before = keys.current
    const told = { secret: new Uint8Array(32).fill(66), epoch: 5, psk: false }
    const [known, proposed] = [before.secret, told.secret].map(secret => privateKeys(secret).hello)
    expect(keys.propose({ ...told, epoch: LIMITS.membership.epochsAtOnce + 1 })).toBe(false)
    expect(await keys.adopt({ ...told, epoch: Number.MAX_SAFE_INTEGER })).toBe(false)
    for (const under of [undefined, known]) {
      expect(keys.propose(told)).toBe(true)
      expect(bob.members.secrets()).toEqual([
        { epoch: 5, key: proposed },
        { epoch: 0, key: known }
      ])
      expect(await keys.settle(under)).toBe(false)
      expect([keys.current, keys.proposed, bob.swarmStore.record.secrets]).toEqual([before, undefined, before])
    }
    await bob.members.takeSwarmKey(signSwarmKey(body, root.secret))
    expect(keys.current.epoch).toBe(1)
    keys.propose(told)
    expect(await keys.settle(proposed)).toBe(true)
    expect(bob.swarmStore.record.secrets).toMatchObject({ secret: told.secret, epoch: 5, previous: { epoch: 1 } })
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
