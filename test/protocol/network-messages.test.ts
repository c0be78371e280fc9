import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  decodeFactsRequest,
  decodeFactsResponse,
  encodeFactsRequest,
  encodeFactsResponse
} from '../../protocol/catch-up.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { factIdOf, toLink } from '../../protocol/cid.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import { encodeAnnouncement, parseGossipMessage } from '../../protocol/gossip-message.ts'
import { commonVersion, decodeHello, decodeHelloAnswer, encodeHello, encodeHelloAnswer } from '../../protocol/hello.ts'
import { LIMITS } from '../../protocol/limits.ts'

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
  const page = { type: 'page', registry, epoch: 'e1', after: 5, facts: 10, bytes: 100 } as const
  expect(decodeFactsRequest(encodeFactsRequest(page))).toEqual(page)
  const ids = { type: 'ids', registry, ids: [id] } as const
  expect(decodeFactsRequest(encodeFactsRequest(ids))).toEqual(ids)
  for (const response of [
    { type: 'page', epoch: 'e1', facts: [Uint8Array.of(1, 2)], next: 6, done: true },
    { type: 'facts', facts: [] },
    { type: 'refused', reason: 'busy' }
  ] as const) {
    expect(decodeFactsResponse(encodeFactsResponse(response))).toEqual(response)
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
  ['a negative counter', { type: 'page', registry: toLink(registry), epoch: '', after: -1, facts: 1, bytes: 1 }],
  ['a fraction', { type: 'page', registry: toLink(registry), epoch: '', after: 0.5, facts: 1, bytes: 1 }],
  ['a page too large', { type: 'page', registry: toLink(registry), epoch: '', after: 0, facts: 1, bytes: 2 ** 30 }],
  ['an epoch with a path', { type: 'page', registry: toLink(registry), epoch: '../x', after: 0, facts: 1, bytes: 1 }],
  ['too many ids', { type: 'ids', registry: toLink(registry), ids: Array.from({ length: 129 }, () => toLink(id)) }],
  ['another type', { type: 'all', registry: toLink(registry) }]
])('refuses a request with %s', (_, value) => {
  expect(() => decodeFactsRequest(encodeCbor(value))).toThrow(expect.objectContaining({ code: 'MALFORMED' }))
})

test('no bytes whatever make a decoder throw anything but its own error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      for (const decode of [
        decodeHello,
        decodeHelloAnswer,
        decodeFactsRequest,
        decodeFactsResponse,
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
