import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  decodeFactsRequest,
  decodeFactsResponse,
  encodeFactsRequest,
  encodeFactsResponse
} from '../../protocol/facts-messages.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { factIdOf, toLink } from '../../protocol/cid.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import { encodeAnnouncement, parseGossipMessage } from '../../protocol/gossip-message.ts'
import { commonVersion, decodeHello, decodeHelloAnswer, encodeHello, encodeHelloAnswer } from '../../protocol/hello.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { decodeSyncReply, decodeSyncRequest, encodeSyncMessage } from '../../protocol/sync/messages.ts'

const id = factIdOf(Uint8Array.of(1))
const registry = id as string as RegistryId
const other = factIdOf(Uint8Array.of(2)) as string as RegistryId

test('what is said is understood', () => {
  const [first, second] = [registry, other].toSorted()
  const hello = {
    versions: [1, 2],
    agent: 'ggen-node/1',
    registries: [first, second],
    roles: ['mirror', 'peer']
  } as const
  expect(decodeHello(encodeHello(hello as never))).toEqual(hello)
  expect(decodeHelloAnswer(encodeHelloAnswer({ refused: 'no-common-version' }))).toEqual({
    refused: 'no-common-version'
  })
  const snapshot = { type: 'snapshot', registry } as const
  expect(decodeFactsRequest(encodeFactsRequest(snapshot))).toEqual(snapshot)
  const ids = { type: 'ids', registry, ids: [id] } as const
  expect(decodeFactsRequest(encodeFactsRequest(ids))).toEqual(ids)
  for (const response of [
    { type: 'facts', facts: [Uint8Array.of(1, 2)] },
    { type: 'facts', facts: [] },
    { type: 'snapshot' },
    { type: 'refused', reason: 'busy' }
  ] as const) {
    expect(decodeFactsResponse(encodeFactsResponse(response))).toEqual(response)
  }
  for (const request of [
    { type: 'open', session: 1, registry, ranges: Uint8Array.of(0x61) },
    { type: 'compare', session: 2, ranges: Uint8Array.of(0x61) },
    { type: 'want', session: 3, ids: [id] },
    { type: 'push', session: 4, facts: [Uint8Array.of(1)] },
    { type: 'done', session: 5, end: 'behind' }
  ] as const) {
    expect(decodeSyncRequest(encodeSyncMessage(request))).toEqual(request)
    expect(() => decodeSyncReply(encodeSyncMessage(request))).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
  }
  for (const reply of [
    { type: 'ranges', session: 1, ranges: Uint8Array.of(0x61) },
    { type: 'facts', session: 2, facts: [] },
    { type: 'taken', session: 3, more: false },
    { type: 'refused', session: 4, reason: 'busy' }
  ] as const) {
    expect(decodeSyncReply(encodeSyncMessage(reply))).toEqual(reply)
    expect(() => decodeSyncRequest(encodeSyncMessage(reply))).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
  }
  expect(parseGossipMessage(encodeAnnouncement(id))).toEqual({ type: 'announcement', id })
})

test('a hello with a thousand registries still fits, cut to what may be said', () => {
  const registries = Array.from({ length: 1_000 }, (_, i) => factIdOf(Uint8Array.of(i >> 8, i)) as string as RegistryId)
  const bytes = encodeHello({ versions: [1], agent: 'x', registries, roles: [] })
  expect(bytes.length).toBeLessThan(LIMITS.hello.messageBytes)
  expect(decodeHello(bytes).registries.length).toBe(LIMITS.hello.registries)
})

const said = { versions: [1], agent: 'a', registries: [], roles: [] }
test.each([
  ['an extra field', { ...said, extra: 1 }],
  ['a missing field', { versions: [1], agent: 'a', roles: [] }],
  ['a version of nought', { ...said, versions: [0] }],
  ['versions out of order', { ...said, versions: [2, 1] }],
  ['a version twice', { ...said, versions: [1, 1] }],
  ['too many versions', { ...said, versions: [1, 2, 3, 4, 5, 6, 7, 8, 9] }],
  ['an unknown role', { ...said, roles: ['king'] }],
  ['an agent with escape codes', { ...said, agent: '\u001b[2J' }],
  ['an agent without end', { ...said, agent: 'a'.repeat(200) }],
  ['a registry as text', { ...said, registries: [registry] }],
  ['a registry twice', { ...said, registries: [toLink(registry), toLink(registry)] }],
  ['a list', [said]]
])('refuses a hello with %s', (_, value) => {
  expect(() => decodeHello(encodeCbor(value))).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
})

test.each([
  ['an extra field', { type: 'snapshot', registry: toLink(registry), after: 1 }],
  ['a registry as text', { type: 'snapshot', registry }],
  ['too many ids', { type: 'ids', registry: toLink(registry), ids: Array.from({ length: 129 }, () => toLink(id)) }],
  ['another type', { type: 'all', registry: toLink(registry) }]
])('refuses a request with %s', (_, value) => {
  expect(() => decodeFactsRequest(encodeCbor(value))).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
})

const digest = new Uint8Array(32)
test.each([
  ['an extra field', { type: 'done', session: 1, complete: true, more: 1 }],
  ['a negative session', { type: 'done', session: -1, complete: true }],
  ['a fraction for a session', { type: 'done', session: 0.5, complete: true }],
  ['no ids', { type: 'want', session: 1, ids: [] }],
  ['an id twice', { type: 'want', session: 1, ids: [digest, digest] }],
  ['a short id', { type: 'want', session: 1, ids: [new Uint8Array(31)] }],
  [
    'too many ids',
    { type: 'want', session: 1, ids: Array.from({ length: 129 }, (_, i) => new Uint8Array(32).fill(i)) }
  ],
  ['too many facts', { type: 'push', session: 1, facts: Array(129).fill(digest) }],
  ['ranges that are too long', { type: 'compare', session: 1, ranges: new Uint8Array(LIMITS.sync.frameBytes + 1) }],
  ['a registry as text', { type: 'open', session: 1, registry, ranges: digest }],
  ['another type', { type: 'close', session: 1 }],
  ['a list', ['done', 1]]
])('refuses a request to compare with %s', (_, value) => {
  // Of another encoder: ours writes no fractions.
  expect(() => decodeSyncRequest(dagCbor.encode(value))).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
})

test('no bytes whatever make a decoder throw anything but its own error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      for (const decode of [
        decodeHello,
        decodeHelloAnswer,
        decodeFactsRequest,
        decodeFactsResponse,
        decodeSyncRequest,
        decodeSyncReply,
        parseGossipMessage
      ]) {
        try {
          decode(bytes)
        } catch (error) {
          if (!isRegistryError(error)) throw error
        }
      }
    }),
    { numRuns: 2_000 }
  )
})

test('the version spoken is the highest that both know', () => {
  expect(commonVersion([1, 2, 3], [2, 3, 9])).toBe(3)
  expect(commonVersion([1], [2])).toBeUndefined()
})
