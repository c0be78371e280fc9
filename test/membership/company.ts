import { expect } from 'vitest'
import { inviteTo } from '../../node/services/swarm/invite.ts'
import { guestOf, redeemInvite } from '../../node/services/swarm/redeem.ts'
import type { Accepted } from '../../node/services/swarm/weigh.ts'
import type { FactId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parseToken } from '../../protocol/membership/token.ts'
import type { InviteToken } from '../../protocol/membership/token.ts'
import { FactWriter, person } from '../support/facts.ts'
import { meet, seatOf, share } from '../support/seat.ts'
import type { Seat } from '../support/seat.ts'
import { testClock } from '../support/test-clock.ts'
import type { TestClock } from '../support/test-clock.ts'

export const NOW = 1_700_000_000_000
export const DAY = 24 * 3_600_000
export const root = person('root')

/** An owner, and two members by one invite with a use left, who have all met and are certified. */
export interface Company {
  readonly clock: TestClock
  /** Facts that are made by hand, in a chain that no seat writes. */
  readonly writer: FactWriter
  readonly owner: Seat
  readonly ann: Seat
  readonly bob: Seat
  /** Of the invite that they came by. */
  readonly token: InviteToken
}

export function newWriter(): FactWriter {
  return new FactWriter(root, { visibility: 'private', name: 'acme' })
}

export const { registry } = newWriter()

export async function company(): Promise<Company> {
  const clock = testClock(NOW)
  const writer = newWriter()
  const owner = await seatOf(person('root', 'seat'), { registry, clock, host: 'owner' })
  await owner.take([writer.genesis])
  const token = await invite(owner, 3)
  const [ann, bob] = [await join(owner, 'ann', token), await join(owner, 'bob', token)]
  for (const [a, b] of [
    [ann, owner],
    [bob, owner],
    [ann, bob]
  ] as const) {
    await share(a, b)
    await share(b, a)
    expect(await meet(a, b)).toEqual(['accepted', 'accepted'])
  }
  for (const seat of [ann, bob]) expect(await certify(seat, owner)).toBe(true)
  return { clock, writer, owner, ann, bob, token }
}

export async function invite(by: Seat, uses = 1): Promise<InviteToken> {
  const asked = { role: 'publisher', scope: undefined, expires: undefined, uses, ci: false }
  const token = parseToken((await inviteTo(by.commands, { registry, key: undefined }, asked)).token)
  if (token.kind !== 'invite') throw new Error('no invite')
  return token
}

/** A new member, as far as facts are concerned. */
export async function join(owner: Seat, name: string, token: InviteToken): Promise<Seat> {
  const seat = await seatOf(person(name), { registry, clock: owner.clock, host: name })
  seat.members.enterAs(guestOf(token))
  await share(owner, seat)
  await redeemInvite({ ...seat.commands, gate: seat.gate, pick: () => 0 }, token, seat.signer.principal)
  await share(seat, owner)
  return seat
}

export async function certify(seat: Seat, by: Seat): Promise<boolean> {
  const certificate = await by.members.certify(seat.peer, memberOf(seat))
  return certificate !== undefined && seat.members.takeCertificate(certificate)
}

export function memberOf(seat: Seat): Accepted {
  return {
    key: seat.signer.principal,
    role: 'publisher',
    until: seat.clock.now() + LIMITS.membership.certificateMs
  }
}

export function headOf(seat: Seat): FactId {
  const head = seat.gate.state(registry)?.authority?.head
  if (head === undefined) throw new Error('no genesis')
  return head
}

/** The same with another signature: its bytes come first in the record. */
export function forged(record: Uint8Array): Uint8Array {
  return record.map((byte, index) => (index === 10 ? byte ^ 1 : byte))
}
