import { beforeAll, describe, expect, test } from 'vitest'
import { signCertificate } from '../../attestation/sign-membership.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { person } from '../support/facts.ts'
import type { Seat } from '../support/seat.ts'
import {
  binding,
  bob,
  bodyFor,
  carol,
  certificate,
  ci,
  curator,
  DAY,
  demoted,
  dora,
  elsewhere,
  ended,
  eve,
  foreign,
  forged,
  judged,
  late,
  lost,
  mallory,
  narrow,
  NOW,
  old,
  open,
  reader,
  root,
  shut,
  staging,
  used,
  vouched
} from './cast.ts'
import type { Shown } from './cast.ts'

const { certificateMs, clockSkewMs, ownCertificateMs } = LIMITS.membership

describe('what a member shows', () => {
  let seat: Seat
  beforeAll(async () => {
    seat = await reader()
  })

  test.each<[string, Shown, string]>([
    ['a certificate of an owner', vouched(carol, root), 'publisher until 30'],
    ['a certificate of a curator', vouched(bob, curator), 'publisher until 30'],
    ['a certificate of its own, being an owner', vouched(root, root), 'owner until 30'],
    ['a certificate of its own, being a curator', vouched(curator, curator), 'curator until 30'],
    [
      'the role that the facts give, whatever the certificate says',
      vouched(carol, root, { role: 'owner' }),
      'publisher until 30'
    ],
    ['a certificate, and no word of the member', { certificate: certificate(carol, root) }, 'not-a-member'],
    [
      'a certificate, and a word of the member that its issuer made up',
      { certificate: certificate(carol, curator), binding: binding(carol, { by: curator }) },
      'not-a-member'
    ],
    ['nothing', {}, 'not-a-member'],
    ['bytes', { certificate: new Uint8Array(100) }, 'not-a-member'],
    ['a certificate for another host', vouched(carol, root, { peer: elsewhere }), 'not-a-member'],
    ['a certificate of another registry', vouched(carol, root, { registry: foreign.registry }), 'not-a-member'],
    ['a certificate that is over', vouched(carol, root, { issued: NOW - DAY, expires: NOW }), 'expired'],
    [
      'a certificate from a clock a little ahead',
      vouched(carol, root, { issued: NOW + clockSkewMs, expires: NOW + DAY }),
      'publisher until 1'
    ],
    [
      'a certificate dated ahead',
      vouched(carol, root, { issued: NOW + clockSkewMs + 1, expires: NOW + DAY }),
      'expired'
    ],
    ['a certificate of 31 days', vouched(carol, root, { expires: NOW + certificateMs + DAY }), 'not-a-member'],
    [
      'a certificate with a changed signature',
      { ...vouched(carol, root), certificate: forged(certificate(carol, root)) },
      'not-a-member'
    ],
    [
      'a certificate in the name of an owner',
      { ...vouched(mallory, root), certificate: signCertificate(bodyFor(mallory, root), mallory.secret) },
      'not-a-member'
    ],
    ['a certificate of a plain member', vouched(bob, carol), 'unknown-issuer'],
    ['a certificate of a stranger', vouched(carol, mallory), 'unknown-issuer'],
    ['a certificate of a curator of some names only', vouched(carol, narrow), 'unknown-issuer'],
    ['a certificate of the recovery key', vouched(carol, person('recovery')), 'unknown-issuer'],
    ['a certificate that a plain member gave itself', vouched(carol, carol), 'unknown-issuer'],
    [
      'a certificate of a day that a plain member gave itself',
      vouched(carol, carol, { expires: NOW + ownCertificateMs }),
      'unknown-issuer'
    ],
    [
      'a certificate of a day that a member for a time gave itself',
      vouched(ci, ci, { expires: NOW + ownCertificateMs }),
      'publisher until 1'
    ],
    [
      'a longer one that a member for a time gave itself',
      vouched(ci, ci, { expires: NOW + ownCertificateMs + 1 }),
      'unknown-issuer'
    ],
    [
      'a certificate of a day by whoever was a member for a time and is one by another grant',
      vouched(staging, staging, { expires: NOW + ownCertificateMs }),
      'unknown-issuer'
    ],
    ['a good certificate of an expelled member', vouched(eve, root), 'not-a-member'],
    ['a good certificate of somebody whose role has run out', vouched(old, root), 'expired'],
    ['a certificate for a key that is no key here', vouched(mallory, root), 'publisher until 30']
  ])('%s', async (_what, shown, expected) => {
    expect(await judged(seat, shown)).toBe(expected)
  })

  test.each<[string, Shown, string]>([
    [
      'a stranger’s host given to a member by an issuer that was cut off',
      { certificate: certificate(carol, lost) },
      'not-a-member'
    ],
    [
      'the same, with a word of the member that the issuer made up',
      { certificate: certificate(carol, lost), binding: binding(carol, { by: lost }) },
      'not-a-member'
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
      'the member’s own word beside a certificate of a curator of some names only',
      { certificate: certificate(carol, narrow), binding: binding(carol) },
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
