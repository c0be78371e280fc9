import { beforeAll, describe, expect, test } from 'vitest'
import { signBinding, signCertificate } from '../../attestation/sign-membership.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Certificate } from '../../protocol/membership/certificate.ts'
import { WHOLE } from '../../protocol/role.ts'
import type { Role } from '../../protocol/role.ts'
import { FactWriter, person } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { hostOf, MemorySwarmStore, seatOf } from '../support/seat.ts'
import type { Seat, SeatInit } from '../support/seat.ts'
import { testClock } from '../support/test-clock.ts'

const NOW = 1_700_000_000_000
const { certificateMs, clockSkewMs, graceMs, ownCertificateMs } = LIMITS.membership
const DAY = 24 * 3_600_000
const MINUTE = 60_000
const NEVER = new AbortController().signal

const [root, curator, lost, demoted] = [person('root'), person('curator'), person('lost curator'), person('demoted')]
const [bob, carol, eve, old, mallory] = [
  person('bob'),
  person('carol'),
  person('eve'),
  person('old'),
  person('mallory')
]
const [ci, staging, narrow] = [person('ci'), person('staging'), person('narrow curator')]
const [open, shut, used, ended, ancient] = ['open', 'shut', 'used', 'ended', 'ancient'].map(name => person(name)) as [
  Person,
  Person,
  Person,
  Person,
  Person
]

const writer = new FactWriter(root, { visibility: 'private' })
const registry = writer.registry
let head: Made = writer.genesis

function grant(
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

function revoke(key: Person, role?: Role) {
  head = writer.revoke(key.did, { authPrev: head.id, ...(role === undefined ? {} : { role }) })
}

function invite(key: Person, options: { uses?: number; expires?: number } = {}): Made {
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
const inviteOfBob = invite(used, { expires: NOW + 7 * DAY })
const redeemOfBob = writer.redeem(inviteOfBob, bob.did, { by: used })
invite(shut, { expires: NOW - 1 })
invite(ended, { uses: 5, expires: NOW + 7 * DAY })
revoke(ended)
const inviteOfAncient = invite(ancient, { expires: NOW - DAY, uses: 1 })
const dora = person('dora')
writer.redeem(inviteOfAncient, dora.did, { by: ancient })
const all = [...writer.all]

/** Facts that the reader has not heard of. */
const late = person('late')
const inviteOfLate = invite(late, { expires: NOW + 7 * DAY })
const frank = person('frank')
const redeemOfFrank = writer.redeem(inviteOfLate, frank.did, { by: late })

const host = await hostOf('host')
const elsewhere = await hostOf('elsewhere')
const foreign = new FactWriter(mallory, { visibility: 'private', name: 'other' })

function certificate(member: Person, by: Person, changes: Partial<Certificate> = {}): Uint8Array {
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

function binding(
  member: Person,
  { by = member, peer = host, of = registry }: { by?: Person; peer?: string; of?: RegistryId } = {}
): Uint8Array {
  return signBinding({ v: 1, registry: of, peer, member: member.did, time: NOW }, by.secret)
}

/** The same with another signature: its bytes come first in what is signed here. */
function forged(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte, index) => (index === 10 ? byte ^ 1 : byte))
}

async function reader(init: Partial<SeatInit> = {}): Promise<Seat> {
  const seat = await seatOf(carol, { registry, host: 'reader', clock: testClock(NOW), ...init })
  await seat.take(all)
  return seat
}

interface Shown {
  readonly certificate?: Uint8Array
  readonly binding?: Uint8Array
  readonly evidence?: readonly Uint8Array[]
}

async function judged(seat: Seat, shown: Shown, peer = host): Promise<string> {
  const { certificate: shownCertificate = null, binding: shownBinding = null, evidence = [] } = shown
  const proof = { certificate: shownCertificate, binding: shownBinding, evidence }
  const verdict = await seat.members.judge(peer, proof, NEVER)
  if (!verdict.accepted) return verdict.reason
  // What is accepted stands for as long as nothing changes.
  expect(seat.members.stands(peer, verdict.member)).toBe(true)
  return `${verdict.member.role} until ${(verdict.member.until - NOW) / DAY}`
}

describe('what a member shows', () => {
  let seat: Seat
  beforeAll(async () => {
    seat = await reader()
  })

  test.each<[string, Shown, string]>([
    ['a certificate of an owner', { certificate: certificate(carol, root) }, 'publisher until 30'],
    ['a certificate of a curator', { certificate: certificate(bob, curator) }, 'publisher until 30'],
    ['a certificate of its own, being an owner', { certificate: certificate(root, root) }, 'owner until 30'],
    ['a certificate of its own, being a curator', { certificate: certificate(curator, curator) }, 'curator until 30'],
    [
      'the role that the facts give, whatever the certificate says',
      { certificate: certificate(carol, root, { role: 'owner' }) },
      'publisher until 30'
    ],
    ['nothing', {}, 'not-a-member'],
    ['bytes', { certificate: new Uint8Array(100) }, 'not-a-member'],
    ['a certificate for another host', { certificate: certificate(carol, root, { peer: elsewhere }) }, 'not-a-member'],
    [
      'a certificate of another registry',
      { certificate: certificate(carol, root, { registry: foreign.registry }) },
      'not-a-member'
    ],
    [
      'a certificate that is over',
      { certificate: certificate(carol, root, { issued: NOW - DAY, expires: NOW }) },
      'expired'
    ],
    [
      'a certificate from a clock a little ahead',
      { certificate: certificate(carol, root, { issued: NOW + clockSkewMs, expires: NOW + DAY }) },
      'publisher until 1'
    ],
    [
      'a certificate dated ahead',
      { certificate: certificate(carol, root, { issued: NOW + clockSkewMs + 1, expires: NOW + DAY }) },
      'expired'
    ],
    [
      'a certificate of 31 days',
      { certificate: certificate(carol, root, { expires: NOW + certificateMs + DAY }) },
      'not-a-member'
    ],
    ['a certificate with a changed signature', { certificate: forged(certificate(carol, root)) }, 'not-a-member'],
    [
      'a certificate in the name of an owner',
      { certificate: signCertificate(bodyFor(mallory, root), mallory.secret) },
      'not-a-member'
    ],
    ['a certificate of a plain member', { certificate: certificate(bob, carol) }, 'unknown-issuer'],
    ['a certificate of a stranger', { certificate: certificate(carol, mallory) }, 'unknown-issuer'],
    ['a certificate of a curator of some names only', { certificate: certificate(carol, narrow) }, 'unknown-issuer'],
    ['a certificate of the recovery key', { certificate: certificate(carol, person('recovery')) }, 'unknown-issuer'],
    ['a certificate that a plain member gave itself', { certificate: certificate(carol, carol) }, 'unknown-issuer'],
    [
      'a certificate of a day that a plain member gave itself',
      { certificate: certificate(carol, carol, { expires: NOW + ownCertificateMs }) },
      'unknown-issuer'
    ],
    [
      'a certificate of a day that a member for a time gave itself',
      { certificate: certificate(ci, ci, { expires: NOW + ownCertificateMs }) },
      'publisher until 1'
    ],
    [
      'a longer one that a member for a time gave itself',
      { certificate: certificate(ci, ci, { expires: NOW + ownCertificateMs + 1 }) },
      'unknown-issuer'
    ],
    [
      'a certificate of a day by whoever was a member for a time and is one by another grant',
      { certificate: certificate(staging, staging, { expires: NOW + ownCertificateMs }) },
      'unknown-issuer'
    ],
    ['a good certificate of an expelled member', { certificate: certificate(eve, root) }, 'not-a-member'],
    ['a good certificate of somebody whose role has run out', { certificate: certificate(old, root) }, 'expired'],
    ['a certificate for a key that is no key here', { certificate: certificate(mallory, root) }, 'publisher until 30']
  ])('%s', async (_what, shown, expected) => {
    expect(await judged(seat, shown)).toBe(expected)
  })

  test.each<[string, Shown, string]>([
    [
      'a stranger’s host given to a member by an issuer that was cut off',
      { certificate: certificate(carol, lost) },
      'unknown-issuer'
    ],
    [
      'the same, with a word of the member that the issuer made up',
      { certificate: certificate(carol, lost), binding: binding(carol, { by: lost }) },
      'unknown-issuer'
    ],
    [
      'the member’s own word beside it',
      { certificate: certificate(carol, lost), binding: binding(carol) },
      'publisher until 30'
    ],
    [
      'the member’s own word beside a certificate of somebody who never was an issuer',
      { certificate: certificate(carol, bob), binding: binding(carol) },
      'unknown-issuer'
    ],
    [
      'a curator’s word for itself after it was made less',
      { certificate: certificate(demoted, demoted), binding: binding(demoted) },
      'unknown-issuer'
    ],
    ['two members at once', { certificate: certificate(carol, root), binding: binding(bob) }, 'not-a-member'],
    [
      'a good certificate beside a word about another host',
      { certificate: certificate(carol, root), binding: binding(carol, { peer: elsewhere }) },
      'not-a-member'
    ]
  ])('an issuer that was cut off, and %s', async (_what, shown, expected) => {
    expect(await judged(seat, shown)).toBe(expected)
  })

  test.each<[string, Shown, string]>([
    ['whoever redeemed an invite that is good', { binding: binding(bob) }, 'publisher until 7'],
    ['whoever redeemed an invite that is over', { binding: binding(dora) }, 'invite-over'],
    ['whoever was granted a role by name', { binding: binding(carol) }, 'unknown-issuer'],
    ['an owner', { binding: binding(root) }, 'unknown-issuer'],
    ['an expelled member', { binding: binding(eve) }, 'not-a-member'],
    ['a stranger', { binding: binding(mallory) }, 'not-a-member'],
    ['a stranger for a member', { binding: binding(bob, { by: mallory }) }, 'not-a-member'],
    ['a member about another host', { binding: binding(bob, { peer: elsewhere }) }, 'not-a-member'],
    ['a member in another registry', { binding: binding(bob, { of: foreign.registry }) }, 'not-a-member']
  ])('the bare word of %s', async (_who, shown, expected) => {
    expect(await judged(seat, shown)).toBe(expected)
  })

  test.each<[string, Shown, string]>([
    ['is open', { binding: binding(open) }, 'member until 7'],
    ['was used', { binding: binding(used) }, 'invite-over'],
    ['is over', { binding: binding(shut) }, 'invite-over'],
    ['was taken back', { binding: binding(ended) }, 'invite-over'],
    ['is open, signed by somebody else', { binding: binding(open, { by: mallory }) }, 'not-a-member'],
    ['nobody here has heard of', { binding: binding(late) }, 'not-a-member']
  ])('the word of the key of an invite that %s', async (_what, shown, expected) => {
    expect(await judged(seat, shown)).toBe(expected)
  })
})

function bodyFor(member: Person, by: Person): Certificate {
  const times = { issued: NOW, expires: NOW + certificateMs }
  return { v: 1, registry, peer: host, member: member.did, role: 'publisher', issuer: by.did, ...times }
}

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
    let compared: number | undefined
    const seat = await reader({ components: { comparedAt: () => compared } })
    const shown = { certificate: certificate(mallory, curator) }
    expect(await judged(seat, shown)).toBe('publisher until 30')
    const member = { key: mallory.did, role: 'publisher', until: NOW + certificateMs } as const
    // Nobody was there to compare with: facts may still come.
    await seat.clock.advance(2 * graceMs)
    expect(seat.members.stands(host, member)).toBe(true)
    compared = seat.clock.now()
    expect(seat.members.stands(host, member)).toBe(false)
    // Attack: connecting again, or from another host, begins no new time.
    expect(await judged(seat, shown)).toBe('not-a-member')
    const other = { certificate: certificate(mallory, curator, { peer: elsewhere }) }
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

describe('before the genesis has arrived', () => {
  test('those in the token are believed, nobody else is, and then they are looked at again', async () => {
    const store = new MemorySwarmStore({ vouched: [`/ip4/10.0.0.5/tcp/4917/p2p/${host}`] })
    const seat = await seatOf(person('newcomer'), { registry, store, clock: testClock(NOW) })
    const shown = { certificate: certificate(eve, mallory) }
    expect(await judged(seat, shown)).toBe('publisher until 30')
    expect(seat.members.isKnown(host)).toBe(true)
    const other = { certificate: certificate(carol, root, { peer: elsewhere }) }
    expect(await judged(seat, other, elsewhere)).toBe('unknown-issuer')
    expect(seat.members.isKnown(elsewhere)).toBe(false)
    // Even those must say who they are.
    expect(await judged(seat, {})).toBe('not-a-member')
    await seat.take(all)
    const member = { key: eve.did, role: 'publisher', until: NOW + certificateMs } as const
    expect(seat.members.stands(host, member)).toBe(false)
    expect(await judged(seat, other, elsewhere)).toBe('publisher until 30')
  })
})
