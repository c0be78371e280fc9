import { beforeEach, describe, expect, test } from 'vitest'
import { parseSecret, principalOf } from '../../attestation/keys.ts'
import { inviteTo } from '../../node/services/swarm/invite.ts'
import type { InviteAsked, Invited } from '../../node/services/swarm/invite.ts'
import { guestOf, redeemInvite } from '../../node/services/swarm/redeem.ts'
import type { Redeemed } from '../../node/services/swarm/redeem.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import type { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { invitesOf } from '../../protocol/membership/invites.ts'
import { membersOf } from '../../protocol/membership/members.ts'
import { parseToken } from '../../protocol/membership/token.ts'
import type { InviteToken } from '../../protocol/membership/token.ts'
import { FactWriter, person } from '../support/facts.ts'
import type { Person } from '../support/facts.ts'
import { meet, MemorySwarmStore, seatOf, share } from '../support/seat.ts'
import type { Seat } from '../support/seat.ts'
import { testClock } from '../support/test-clock.ts'

const NOW = 1_700_000_000_000
const HOUR = 3_600_000
const DAY = 24 * HOUR
const root = person('root')
const ASKED: InviteAsked = { role: 'publisher', scope: undefined, expires: undefined, uses: undefined, ci: false }

let writer = new FactWriter(root, { visibility: 'private', name: 'acme' })
const { registry } = writer
let clock = testClock(NOW)
let owner: Seat

beforeEach(async () => {
  clock = testClock(NOW)
  writer = new FactWriter(root, { visibility: 'private', name: 'acme' })
  // The facts that tests make by hand are in a chain of their own.
  owner = await seatOf(person('root', 'seat'), { registry, clock, host: 'owner' })
  await owner.take([writer.genesis])
})

function invite(asked: Partial<InviteAsked> = {}, seat: Seat = owner): Promise<Invited> {
  return inviteTo(seat.commands, { registry, key: undefined }, { ...ASKED, ...asked })
}

function read({ token }: Invited): InviteToken {
  const parsed = parseToken(token)
  if (parsed.kind !== 'invite') throw new Error('not an invite')
  return parsed
}

/** A new host that has nothing but a token. */
async function newcomer(name: string, token: InviteToken): Promise<Seat> {
  const secrets = { secret: token.secret, epoch: token.epoch, psk: token.psk, previous: null, record: null }
  const seat = await seatOf(person(name), {
    registry,
    clock,
    host: name,
    store: new MemorySwarmStore({ secrets, vouched: token.addresses })
  })
  seat.members.enterAs(guestOf(token))
  return seat
}

function redeem(seat: Seat, token: InviteToken, pick = (_n: number) => 0): Promise<Redeemed> {
  const components = { ...seat.commands, gate: seat.gate, pick }
  return redeemInvite(components, token, seat.signer.principal)
}

async function refusal(promise: Promise<unknown>): Promise<RegistryError> {
  try {
    await promise
  } catch (error) {
    if (isRegistryError(error)) return error
    throw error
  }
  throw new Error('nothing was refused')
}

function isMember(seat: Seat, key = seat.signer.principal): boolean {
  const authority = seat.gate.state(registry)?.authority
  return authority !== undefined && membersOf(authority, clock.now()).some(member => member.key === key)
}

describe('joining', () => {
  test('goes from a token to a certificate, and everybody who is offline meanwhile lets the member in', async () => {
    const token = read(await invite())
    expect(token).toMatchObject({ name: 'acme', registry, epoch: 0, expires: NOW + LIMITS.membership.inviteDefaultMs })
    expect(token.addresses[0]).toContain('/ip4/10.0.0.5/')
    const other = await seatOf(person('carol'), { registry, clock, host: 'carol' })
    await other.take([writer.genesis, writer.grant(person('carol').did, 'mirror')])
    await share(other, owner)
    await share(owner, other)
    const given = owner.members.credentials.issue(other.peer, { key: other.signer.principal })
    expect(await other.members.takeCertificate(given)).toBe(true)

    const ann = await newcomer('ann', token)
    expect(await meet(ann, owner)).toEqual(['accepted', 'accepted'])
    await share(owner, ann)
    const { fact, role } = await redeem(ann, token)
    expect(role).toBe('publisher')
    expect(fact).not.toBeNull()
    // The invite is used up, so its key lets nobody in: from here on she comes as herself.
    expect(await meet(ann, other)).toEqual(['accepted', 'accepted'])
    expect(isMember(other, ann.signer.principal)).toBe(true)
    expect(await meet(ann, owner)).toEqual(['accepted', 'accepted'])
    expect(isMember(owner, ann.signer.principal)).toBe(true)

    expect(ann.members.needsCertificate()).toBe(true)
    const certificate = await owner.members.certify(ann.peer, {
      key: ann.signer.principal,
      role: 'publisher',
      until: 0
    })
    expect(certificate).toBeDefined()
    expect(await ann.members.takeCertificate(certificate ?? new Uint8Array())).toBe(true)
    expect(ann.members.needsCertificate()).toBe(false)
    // The invite runs out, the certificate goes on.
    await clock.advance(8 * DAY)
    expect(await meet(ann, other)).toEqual(['accepted', 'accepted'])
  })

  test('takes the key of a member, and no more than the invite, from the token', async () => {
    const token = read(await invite({ role: 'mirror', uses: 3, expires: '2h' }))
    expect(token.expires).toBe(NOW + 2 * HOUR)
    const ann = await newcomer('ann', token)
    await share(owner, ann)
    await redeem(ann, token)
    const authority = ann.gate.state(registry)?.authority
    expect(authority?.redemptions).toMatchObject([{ key: ann.signer.principal, role: 'mirror', by: root.did }])
    expect(authority?.grants).toEqual([])
  })

  test('by somebody who is a member already uses nothing up', async () => {
    const token = read(await invite({ uses: 2 }))
    const ann = await newcomer('ann', token)
    await share(owner, ann)
    const first = await redeem(ann, token)
    const before = await ann.digest()
    expect(await redeem(ann, token)).toEqual(first)
    const again = read(await invite())
    await share(owner, ann)
    expect(await redeem(ann, again)).toEqual({ role: 'publisher', fact: null })
    expect((await ann.ids()).length).toBe(4)
    expect(before).not.toBe(await ann.digest())
  })

  test('by an invite that somebody else has used fails, says who did, and leaves nothing behind', async () => {
    const token = read(await invite())
    const ann = await newcomer('ann', token)
    await share(owner, ann)
    await redeem(ann, token)
    await share(ann, owner)
    // Who holds the token of a used invite is not even shown the facts.
    const bob = await newcomer('bob', token)
    expect(await meet(bob, owner)).toEqual(['invite-over', 'unjudged'])
    await share(owner, bob)
    const before = await bob.digest()
    const error = await refusal(redeem(bob, token))
    expect(error.code).toBe('NOT_AUTHORIZED')
    expect(error.message).toBe(`this invite was used already, by ${ann.signer.principal}`)
    expect(error.next).toContain('new invite')
    expect(await bob.digest()).toBe(before)
  })

  test('twice by one invite, apart from each other, lets one of both in, the same one everywhere', async () => {
    const token = read(await invite())
    const [ann, bob] = [await newcomer('ann', token), await newcomer('bob', token)]
    for (const seat of [ann, bob]) {
      await share(owner, seat)
      await redeem(seat, token)
    }
    expect([isMember(ann), isMember(bob)]).toEqual([true, true])
    await share(ann, bob)
    await share(bob, ann)
    const [winner, loser] = isMember(ann) ? [ann, bob] : [bob, ann]
    expect([isMember(winner), isMember(loser), isMember(winner, loser.signer.principal)]).toEqual([true, false, false])
    expect(await ann.digest()).toBe(await bob.digest())
    expect((await refusal(redeem(loser, token))).message).toBe(
      `this invite was used already, by ${winner.signer.principal}`
    )
  })

  test('twice by one use of an invite that has more takes another one', async () => {
    const token = read(await invite({ uses: 3 }))
    const [ann, bob] = [await newcomer('ann', token), await newcomer('bob', token)]
    for (const seat of [ann, bob]) {
      await share(owner, seat)
      await redeem(seat, token)
    }
    await share(ann, bob)
    await share(bob, ann)
    const loser = isMember(ann) ? bob : ann
    expect(isMember(loser)).toBe(false)
    expect((await redeem(loser, token)).fact).not.toBeNull()
    await share(ann, bob)
    await share(bob, ann)
    expect([isMember(ann), isMember(bob), isMember(ann, bob.signer.principal)]).toEqual([true, true, true])
    const { facts, authority } = await registryOf(ann)
    expect(invitesOf(authority, facts, clock.now())).toMatchObject([{ used: 2, doubled: 1, state: 'open' }])
  })

  test('never takes a use that somebody has, whatever chance says', async () => {
    const token = read(await invite({ uses: 20 }))
    for (let n = 0; n < 20; n++) {
      const seat = await newcomer(`person ${n}`, token)
      await share(owner, seat)
      await redeem(seat, token, lanes => (n * 7) % lanes)
      await share(seat, owner)
    }
    const { facts, authority } = await registryOf(owner)
    expect(invitesOf(authority, facts, clock.now())).toMatchObject([{ used: 20, doubled: 0, state: 'used-up' }])
    expect(membersOf(authority, clock.now()).length).toBe(21)
  })

  async function registryOf(seat: Seat) {
    const state = seat.gate.state(registry)
    const authority = state?.authority
    if (state === undefined || authority === undefined) throw new Error('no genesis')
    return { authority, facts: await state.factsOf('registry') }
  }

  test.each<[string, (token: InviteToken) => Promise<InviteToken>, string]>([
    [
      'that is over',
      async token => {
        await clock.advance(8 * DAY)
        return token
      },
      'the invite was good until 2023-11-21'
    ],
    [
      'that was taken back',
      async token => {
        const { authority } = await registryOf(owner)
        const key = principalOf(parseSecret(token.key))
        await owner.take([writer.revoke(key, { authPrev: authority.head })])
        return token
      },
      'the invite was taken back'
    ],
    [
      'that nobody has heard of',
      token => Promise.resolve({ ...token, invite: writer.genesis.id }),
      'the invite was taken back'
    ],
    [
      'with the key of another invite',
      async token => ({ ...read(await invite()), invite: token.invite }),
      'the token does not belong to its invite'
    ]
  ])('by an invite %s is refused in words', async (_what, change, message) => {
    const token = await change(read(await invite()))
    const ann = await newcomer('ann', token)
    await share(owner, ann)
    const before = await ann.digest()
    const error = await refusal(redeem(ann, token))
    expect(error.code).toBe('NOT_AUTHORIZED')
    expect(error.message).toContain(message)
    expect(await ann.digest()).toBe(before)
  })

  test('waits while an invite waits for signatures', async () => {
    const [one, two] = [person('one'), person('two')]
    const shared = new FactWriter(one, { visibility: 'private', roots: [one.did, two.did].toSorted(), threshold: 2 })
    const seat = await seatOf(one, { registry: shared.registry, clock })
    await seat.take([shared.genesis])
    const invited = await inviteTo(seat.commands, { registry: shared.registry, key: undefined }, ASKED)
    expect(invited.written).toMatchObject({ counts: false, missing: 1 })
    const token = read(invited)
    const ann = await seatOf(person('ann'), { registry: shared.registry, clock })
    await share(seat, ann)
    const error = await refusal(redeem(ann, token))
    expect(error.message).toBe('the invite waits for the signatures of 1 more of the owners')
    // Nor is its key shown anything before.
    ann.members.enterAs(guestOf(token))
    expect(await meet(ann, seat)).toEqual(['not-a-member', 'unjudged'])
  })

  test('by a key that was expelled takes an invite that was made after that', async () => {
    const token = read(await invite({ uses: 2 }))
    const ann = await newcomer('ann', token)
    await share(owner, ann)
    await redeem(ann, token)
    await share(ann, owner)
    const { authority } = await registryOf(owner)
    await owner.take([writer.revoke(ann.signer.principal, { authPrev: authority.head })])
    await share(owner, ann)
    expect((await refusal(redeem(ann, token))).message).toContain('was expelled, and the invite was made before that')
    const later = read(await invite())
    await share(owner, ann)
    expect((await redeem(ann, later)).role).toBe('publisher')
    expect(isMember(ann)).toBe(true)
  })
})

describe('a token for machines', () => {
  test('holds the key of a member for 90 days, which certifies itself for a day at a time', async () => {
    const invited = await invite({ ci: true })
    expect(invited).toMatchObject({ uses: null, expires: NOW + LIMITS.membership.ciGrantDefaultMs })
    const token = parseToken(invited.token)
    expect(token).toMatchObject({ kind: 'member', invite: null, expires: NOW + LIMITS.membership.ciGrantDefaultMs })
    const secret = parseSecret(token.key)
    const machine: Person = { secret, did: principalOf(secret), chain: 'c'.repeat(32) }
    expect(machine.did).toBe(invited.member)
    const store = new MemorySwarmStore({ vouched: token.addresses })
    const seat = await seatOf(machine, { registry, clock, store, host: 'machine' })
    // It has no fact yet, and is let in by what it says of itself.
    expect(await meet(seat, owner)).toEqual(['accepted', 'accepted'])
    await share(owner, seat)
    await clock.advance(15 * HOUR)
    const { certificate: before } = await seat.members.proof()
    await clock.advance(2 * HOUR)
    await seat.members.recheck()
    const { certificate: after } = await seat.members.proof()
    expect(after).not.toEqual(before)
    await clock.advance(90 * DAY)
    expect(await meet(seat, owner)).toEqual(['expired', 'unjudged'])
  })
})

describe('an invite', () => {
  test.each<[string, Partial<InviteAsked>]>([
    ['an owner', { role: 'owner' }],
    ['nothing that is a role', { role: 'king' }],
    ['nobody', { uses: 0 }],
    ['too many', { uses: LIMITS.membership.inviteUses + 1 }],
    ['half a person', { uses: 1.5 }],
    ['two years', { expires: '730d' }],
    ['the past', { expires: '2020-01-01' }],
    ['a scope that is none', { scope: 'everything' }],
    ['machines, with uses', { ci: true, uses: 3 }]
  ])('is not made for %s', async (_what, asked) => {
    const before = await owner.digest()
    expect((await refusal(invite(asked))).code).toBe('USAGE')
    expect(await owner.digest()).toBe(before)
  })

  test('is made by owners, and says who they are', async () => {
    const carol = person('carol')
    const seat = await seatOf(carol, { registry, clock })
    await seat.take([writer.genesis, writer.grant(carol.did, 'curator')])
    const error = await refusal(invite({}, seat))
    expect(error.code).toBe('NOT_AUTHORIZED')
    expect(error.next).toContain(root.did)
  })

  test('is for private registries', async () => {
    const open = new FactWriter(root)
    const seat = await seatOf(root, { registry: open.registry, clock })
    await seat.take([open.genesis])
    const error = await refusal(inviteTo(seat.commands, { registry: open.registry, key: undefined }, ASKED))
    expect(error).toMatchObject({ code: 'USAGE' })
  })
})
