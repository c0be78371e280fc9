import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeCbor } from '../../../protocol/cbor.ts'
import { factIdOf, toLink } from '../../../protocol/cid.ts'
import type { RegistryId } from '../../../protocol/cid.ts'
import { isRegistryError } from '../../../protocol/errors.ts'
import { HELLO_REFUSALS, HELLO_ROLES } from '../../../protocol/hello.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import {
  decodeMemberRequest,
  decodeMemberResponse,
  encodeMemberRequest,
  encodeMemberResponse,
  hostsOfPage
} from '../../../protocol/membership/member-messages.ts'
import type { MemberRequest, MemberResponse } from '../../../protocol/membership/member-messages.ts'
import {
  decodeOpening,
  decodeProof,
  decodeReply,
  decodeTurn,
  encodeOpening,
  encodeProof,
  encodeReply,
  encodeTurn,
  isSameMac,
  openingMac,
  proofMac,
  replyMac
} from '../../../protocol/membership/private-hello.ts'
import type { Introduction } from '../../../protocol/membership/private-hello.ts'
import { certificateOf, employee, peerNumbered } from '../../support/company.ts'
import { introductionOf } from '../../support/raw-member.ts'

const b32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const registries = fc
  .uniqueArray(fc.nat(10_000), { maxLength: 64 })
  .map(numbers => numbers.map(n => factIdOf(Uint8Array.of(n >> 8, n)) as string as RegistryId).toSorted())
const introductions: fc.Arbitrary<Introduction> = fc.record({
  versions: fc.uniqueArray(fc.integer({ min: 1, max: 0xffff }), { maxLength: 8 }).map(v => v.toSorted((a, b) => a - b)),
  agent: fc.string({ unit: 'grapheme-ascii', maxLength: 128 }),
  registries,
  roles: fc.subarray([...HELLO_ROLES]),
  epoch: fc.maxSafeNat(),
  certificate: fc.option(fc.uint8Array({ maxLength: 1_024 })),
  binding: fc.option(fc.uint8Array({ maxLength: 1_024 })),
  evidence: fc.array(fc.uint8Array({ maxLength: 4_096 }), { maxLength: 4 })
})

describe('messages of an introduction', () => {
  test('what is said is understood, and fits', () => {
    fc.assert(
      fc.property(b32, fc.array(b32, { minLength: 1, maxLength: 2 }), fc.option(introductions), (mac, macs, shown) => {
        const nonce = mac
        expect(decodeOpening(encodeOpening({ nonce, macs }))).toEqual({ nonce, macs })
        expect(encodeOpening({ nonce, macs }).length).toBeLessThanOrEqual(LIMITS.membership.openingBytes)
        expect(decodeReply(encodeReply({ nonce, mac }))).toEqual({ nonce, mac })
        const proof = encodeProof({ mac, introduction: shown })
        expect(decodeProof(proof)).toEqual({ mac, introduction: shown })
        expect(proof.length).toBeLessThanOrEqual(LIMITS.membership.helloBytes)
        expect(decodeTurn(encodeTurn({ introduction: shown, refused: null }))).toEqual({
          introduction: shown,
          refused: null
        })
      })
    )
    for (const refused of HELLO_REFUSALS) {
      expect(decodeTurn(encodeTurn({ introduction: null, refused }))).toEqual({ introduction: null, refused })
    }
  })

  test('evidence that does not fit is left out from the end, and the rest is said', () => {
    const fact = new Uint8Array(6_000)
    const said = encodeProof({
      mac: new Uint8Array(32),
      introduction: introductionOf({ evidence: [fact, fact, fact, fact, fact] })
    })
    expect(decodeProof(said).introduction?.evidence).toEqual([fact, fact])
  })

  const shown = {
    ...introductionOf(),
    registries: [toLink(factIdOf(Uint8Array.of(1)))]
  }
  const b = (length: number): Uint8Array => new Uint8Array(length)
  test.each([
    ['a short nonce', decodeOpening, { nonce: b(31), macs: [b(32)] }],
    ['no mac', decodeOpening, { nonce: b(32), macs: [] }],
    ['three macs', decodeOpening, { nonce: b(32), macs: [b(32), b(32), b(32)] }],
    ['a long mac', decodeOpening, { nonce: b(32), macs: [b(33)] }],
    ['a mac as text', decodeOpening, { nonce: b(32), macs: ['x'.repeat(32)] }],
    ['more than an opening', decodeOpening, { nonce: b(32), macs: [b(32)], more: 1 }],
    ['a short mac', decodeReply, { nonce: b(32), mac: b(31) }],
    ['no introduction and no null', decodeProof, { mac: b(32) }],
    ['an introduction that is a list', decodeProof, { mac: b(32), introduction: [] }],
    ['a negative epoch', decodeProof, { mac: b(32), introduction: { ...shown, epoch: -1 } }],
    ['half an epoch', decodeProof, { mac: b(32), introduction: { ...shown, epoch: 0.5 } }],
    ['a large certificate', decodeProof, { mac: b(32), introduction: { ...shown, certificate: b(1_025) } }],
    ['a binding as text', decodeProof, { mac: b(32), introduction: { ...shown, binding: 'x' } }],
    ['five facts', decodeProof, { mac: b(32), introduction: { ...shown, evidence: [b(1), b(1), b(1), b(1), b(1)] } }],
    [
      'too many bytes of facts',
      decodeProof,
      { mac: b(32), introduction: { ...shown, evidence: [b(9_000), b(9_000)] } }
    ],
    ['an extra field', decodeProof, { mac: b(32), introduction: { ...shown, more: 1 } }],
    ['an agent with escape codes', decodeProof, { mac: b(32), introduction: { ...shown, agent: '\u001b[2J' } }],
    ['a refusal that is none', decodeTurn, { introduction: null, refused: 'because' }],
    ['a refusal with an introduction', decodeTurn, { introduction: shown, refused: 'expired' }]
  ])('refuses %s', (_, decode: (bytes: Uint8Array) => unknown, value) => {
    // Of another encoder: ours writes no fractions.
    expect(() => decode(dagCbor.encode(value))).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
  })
})

describe('macs', () => {
  const sides = { dialler: Uint8Array.of(0, 2, 1, 2), listener: Uint8Array.of(0, 2, 3, 4) }
  const [key, other] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
  const [d, l] = [new Uint8Array(32).fill(3), new Uint8Array(32).fill(4)]

  test('each is for one message, one pair of hosts in one order, one secret and its nonces', () => {
    const turned = { dialler: sides.listener, listener: sides.dialler }
    const all = [
      openingMac(key, sides, d),
      openingMac(key, turned, d),
      openingMac(key, sides, l),
      openingMac(other, sides, d),
      replyMac(key, sides, [d, l]),
      replyMac(key, sides, [l, d]),
      replyMac(key, turned, [d, l]),
      proofMac(key, sides, [d, l]),
      proofMac(key, turned, [d, l]),
      proofMac(key, sides, [d, d])
    ]
    for (const [i, one] of all.entries()) {
      expect(one.length).toBe(32)
      for (const [j, another] of all.entries()) expect(isSameMac(one, another)).toBe(i === j)
    }
  })

  test('differ in any bit, and in their length', () => {
    const mac = openingMac(key, sides, d)
    for (let bit = 0; bit < 256; bit++) {
      const changed = Uint8Array.from(mac)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(isSameMac(mac, changed)).toBe(false)
    }
    expect(isSameMac(mac, mac.slice(0, 31))).toBe(false)
    expect(isSameMac(new Uint8Array(0), new Uint8Array(0))).toBe(false)
  })
})

describe('messages between members', () => {
  const page = Array.from({ length: LIMITS.membership.rosterPage }, () => new Uint8Array(1_024))
  test('what is asked and answered is understood, and fits', () => {
    const requests: MemberRequest[] = [
      { type: 'certify' },
      { type: 'roster', after: null },
      { type: 'roster', after: peerNumbered(7) },
      { type: 'swarm-key' }
    ]
    for (const request of requests) {
      const bytes = encodeMemberRequest(request)
      expect(decodeMemberRequest(bytes)).toEqual(request)
      expect(bytes.length).toBeLessThan(LIMITS.membership.requestBytes)
    }
    const responses: MemberResponse[] = [
      { type: 'certificate', certificate: Uint8Array.of(1) },
      { type: 'roster', certificates: page },
      { type: 'roster', certificates: [] },
      { type: 'swarm-key', record: null },
      { type: 'swarm-key', record: new Uint8Array(1_024) },
      { type: 'refused', reason: 'busy' },
      { type: 'refused', reason: 'not-an-issuer' }
    ]
    for (const response of responses) {
      const bytes = encodeMemberResponse(response)
      expect(decodeMemberResponse(bytes)).toEqual(response)
      expect(bytes.length).toBeLessThan(LIMITS.membership.responseBytes)
    }
  })

  test.each([
    ['an unknown question', decodeMemberRequest, { type: 'members' }],
    ['a roster from nowhere', decodeMemberRequest, { type: 'roster' }],
    ['a roster after a number', decodeMemberRequest, { type: 'roster', after: 1 }],
    ['a roster after a long text', decodeMemberRequest, { type: 'roster', after: 'A'.repeat(65) }],
    ['a roster after what is no base58', decodeMemberRequest, { type: 'roster', after: '\u001b[2J' }],
    ['more than a question', decodeMemberRequest, { type: 'certify', member: 'x' }],
    ['a list', decodeMemberRequest, ['certify']],
    ['a page that is too long', decodeMemberResponse, { type: 'roster', certificates: [...page, new Uint8Array(1)] }],
    ['a large certificate', decodeMemberResponse, { type: 'certificate', certificate: new Uint8Array(1_025) }],
    ['a large record', decodeMemberResponse, { type: 'swarm-key', record: new Uint8Array(1_025) }],
    ['an unknown refusal', decodeMemberResponse, { type: 'refused', reason: 'no' }],
    ['an unknown answer', decodeMemberResponse, { type: 'members', members: [] }]
  ])('refuses %s', (_, decode: (bytes: Uint8Array) => unknown, value) => {
    expect(() => decode(encodeCbor(value))).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
  })

  test('a page of a roster ascends from the host that it was to come after', () => {
    const boss = employee('boss', 'owner')
    const [a, b, c] = [1, 2, 3].map(i => certificateOf({ peer: peerNumbered(i), member: boss.key, issuer: boss })) as [
      Uint8Array,
      Uint8Array,
      Uint8Array
    ]
    expect(hostsOfPage([a, b, c], null)).toEqual([1, 2, 3].map(peerNumbered))
    expect(hostsOfPage([], peerNumbered(9))).toEqual([])
    for (const [certificates, after] of [
      [[b, a], null],
      [[a, a], null],
      [[b], peerNumbered(2)],
      [[b, c], peerNumbered(3)],
      [[Uint8Array.of(1)], null]
    ] as const) {
      expect(() => hostsOfPage(certificates, after)).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
    }
  })
})

test('no bytes whatever make a decoder throw anything but its own error', () => {
  const decoders = [decodeOpening, decodeReply, decodeProof, decodeTurn, decodeMemberRequest, decodeMemberResponse]
  const tryAll = (bytes: Uint8Array): void => {
    for (const decode of decoders) {
      try {
        decode(bytes)
      } catch (error) {
        if (!isRegistryError(error)) throw error
      }
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), tryAll), { numRuns: 1_000 })
  // Nearly right: what is meant for one of them, with one byte changed.
  const proof = encodeProof({
    mac: new Uint8Array(32),
    introduction: introductionOf({ certificate: new Uint8Array(9) })
  })
  fc.assert(
    fc.property(fc.nat(proof.length - 1), fc.nat(255), (at, byte) => {
      const changed = Uint8Array.from(proof)
      changed[at] = byte
      tryAll(changed)
    }),
    { numRuns: 1_000 }
  )
})
