import { expect } from 'vitest'
import { signBinding, signCertificate } from '../../attestation/sign-membership.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Certificate } from '../../protocol/membership/certificate.ts'
import { WHOLE } from '../../protocol/role.ts'
import type { Role } from '../../protocol/role.ts'
import { FactWriter, person } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { hostOf, seatOf } from '../support/seat.ts'
import type { Seat, SeatInit } from '../support/seat.ts'
import { testClock } from '../support/test-clock.ts'

export const NOW = 1_700_000_000_000
const { certificateMs } = LIMITS.membership
export const DAY = 24 * 3_600_000
export const NEVER = new AbortController().signal

export const [root, curator, lost, demoted] = [
  person('root'),
  person('curator'),
  person('lost curator'),
  person('demoted')
]
export const [bob, carol, eve, old, mallory] = [
  person('bob'),
  person('carol'),
  person('eve'),
  person('old'),
  person('mallory')
]
export const [ci, staging, narrow] = [person('ci'), person('staging'), person('narrow curator')]
export const [open, shut, used, ended, ancient] = ['open', 'shut', 'used', 'ended', 'ancient'].map(name =>
  person(name)
) as [Person, Person, Person, Person, Person]

export const writer = new FactWriter(root, { visibility: 'private' })
export const registry = writer.registry
export let head: Made = writer.genesis

export function grant(
  key: Person,
  role: Role,
  { expires = null, scope = WHOLE }: { expires?: number | null; scope?: string } = {}
) {
  const value = {
    authPrev: head.id,
    head: null,
    key: key.did,
    role,
    scope: scope as typeof WHOLE,
    expires,
    threshold: null
  }
  head = writer.write(root, 'registry', { type: 'grant', value })
}

export function revoke(key: Person, role?: Role) {
  head = writer.revoke(key.did, { authPrev: head.id, ...(role === undefined ? {} : { role }) })
}

export function invite(key: Person, options: { uses?: number; expires?: number } = {}): Made {
  head = writer.invite(key.did, { authPrev: head.id, ...options })
  return head
}

grant(curator, 'curator')
grant(lost, 'curator')
revoke(lost)
grant(demoted, 'curator')
grant(demoted, 'publisher')
revoke(demoted, 'curator')
grant(carol, 'publisher')
grant(eve, 'publisher')
revoke(eve)
grant(old, 'publisher', { expires: NOW - 1 })
grant(ci, 'publisher', { expires: NOW + 90 * DAY })
grant(staging, 'publisher', { expires: NOW + 90 * DAY })
revoke(staging)
grant(staging, 'member')
grant(narrow, 'curator', { scope: 'ggen/acme-*' })
invite(open, { uses: 2, expires: NOW + 7 * DAY })
export const inviteOfBob = invite(used, { expires: NOW + 7 * DAY })
export const redeemOfBob = writer.redeem(inviteOfBob, bob.did, { by: used })
export const inviteOfShut = invite(shut, { expires: NOW - 1 })
export const inviteOfEnded = invite(ended, { uses: 5, expires: NOW + 7 * DAY })
revoke(ended)
export const inviteOfAncient = invite(ancient, { expires: NOW - DAY, uses: 1 })
export const dora = person('dora')
writer.redeem(inviteOfAncient, dora.did, { by: ancient })
export const all = [...writer.all]

/** Facts that the reader has not heard of. */
export const late = person('late')
export const inviteOfLate = invite(late, { expires: NOW + 7 * DAY })
export const frank = person('frank')
export const redeemOfFrank = writer.redeem(inviteOfLate, frank.did, { by: late })

export const host = await hostOf('host')
export const elsewhere = await hostOf('elsewhere')
export const foreign = new FactWriter(mallory, { visibility: 'private', name: 'other' })

export function certificate(member: Person, by: Person, changes: Partial<Certificate> = {}): Uint8Array {
  const body: Certificate = {
    v: 1,
    registry,
    peer: host,
    member: member.did,
    role: 'publisher',
    issuer: by.did,
    issued: NOW,
    expires: NOW + certificateMs,
    ...changes
  }
  return signCertificate(body, by.secret)
}

export function binding(
  member: Person,
  { by = member, peer = host, of = registry }: { by?: Person; peer?: string; of?: RegistryId } = {}
): Uint8Array {
  return signBinding({ v: 1, registry: of, peer, member: member.did, time: NOW }, by.secret)
}

/** A certificate beside the member's own word. */
export function vouched(member: Person, by: Person, changes: Partial<Certificate> = {}): Shown {
  const { peer = host } = changes
  return { certificate: certificate(member, by, changes), binding: binding(member, { peer }) }
}

/** The same with another signature: its bytes come first in what is signed here. */
export function forged(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte, index) => (index === 10 ? byte ^ 1 : byte))
}

export async function reader(init: Partial<SeatInit> = {}): Promise<Seat> {
  const seat = await seatOf(carol, { registry, host: 'reader', clock: testClock(NOW), ...init })
  await seat.take(all)
  return seat
}

export interface Shown {
  readonly certificate?: Uint8Array
  readonly binding?: Uint8Array
  readonly evidence?: readonly Uint8Array[]
}

export async function judged(seat: Seat, shown: Shown, peer = host): Promise<string> {
  const { certificate: shownCertificate = null, binding: shownBinding = null, evidence = [] } = shown
  const proof = { certificate: shownCertificate, binding: shownBinding, evidence }
  const verdict = await seat.members.judge(peer, proof, NEVER)
  if (!verdict.accepted) return verdict.reason
  // What is accepted stands for as long as nothing changes.
  expect(seat.members.stands(peer, verdict.member)).toBe(true)
  return `${verdict.member.role} until ${(verdict.member.until - NOW) / DAY}`
}

export function bodyFor(member: Person, by: Person): Certificate {
  const times = { issued: NOW, expires: NOW + certificateMs }
  return { v: 1, registry, peer: host, member: member.did, role: 'publisher', issuer: by.did, ...times }
}
