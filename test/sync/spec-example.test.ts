import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { toHex } from '../../protocol/bytes.ts'
import { encodeCarBlock, encodeCarHeader } from '../../protocol/car.ts'
import { factIdOfDigest, parseRegistryId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { ItemSet } from '../../protocol/sync/item-set.ts'
import { SYNC_REFUSALS, encodeSyncMessage } from '../../protocol/sync/messages.ts'
import { initiate, learn, respond } from '../../protocol/sync/negentropy.ts'
import { specExample } from '../support/spec-example.ts'

const { document, text } = specExample('sync')

const registry = parseRegistryId('bafyreiecfmz23b6bjcqkecs3u7gv5pfkndjwughhvliwkvkjap2szkbhk4')
const id = (byte: number): Uint8Array => new Uint8Array(32).fill(byte)
const first = ItemSet.fromUnsorted([
  { time: 5, id: id(0x11) },
  { time: 300, id: id(0x22) }
])
const second = ItemSet.fromUnsorted([
  { time: 5, id: id(0x33) },
  { time: 300, id: id(0x22) }
])

test.each([
  ['fingerprint of the first set', () => first.fingerprint(0, 2)],
  ['ranges of the first set', () => initiate(first)],
  ['open', () => encodeSyncMessage({ type: 'open', session: 1, registry, ranges: initiate(first) })],
  ['answer', () => encodeSyncMessage({ type: 'ranges', session: 1, ranges: respond(second, initiate(first)) })],
  ['want', () => encodeSyncMessage({ type: 'want', session: 1, ids: [factIdOfDigest(id(0x33))] })],
  ['done', () => encodeSyncMessage({ type: 'done', session: 1, end: 'complete' })],
  ['snapshot header', () => encodeCarHeader(registry)],
  ["snapshot block of h'a0'", () => encodeCarBlock(Uint8Array.of(0xa0))]
])('the document says the bytes of: %s', (name, bytes) => {
  expect(text(name)).toBe(toHex(bytes()))
})

test('the example says what each side lacks', () => {
  const { need, have, next } = learn(first, respond(second, initiate(first)))
  expect(need.flatMap(({ ids }) => ids.map(toHex))).toEqual(['33'.repeat(32)])
  expect(have.map(({ except }) => [...except])).toEqual([['33'.repeat(32), '22'.repeat(32)]])
  expect(next).toBeUndefined()
})

test('the fingerprint is the hash of the sum and the number, by another hand', () => {
  const hash = createHash('sha256').update(new Uint8Array(32).fill(0x33)).update(Uint8Array.of(2)).digest('hex')
  expect(text('fingerprint of the first set')).toBe(hash.slice(0, 32))
})

test('the document names the limits and refusals as they are', () => {
  const { frameBytes, rangesPerMessage, pageBytes, pageFacts, gathered } = LIMITS.sync
  for (const number of [frameBytes, rangesPerMessage, pageBytes, gathered])
    expect(document).toContain(number.toLocaleString('en-US'))
  expect(document).toContain(`(1 to ${pageFacts} distinct digests)`)
  for (const reason of SYNC_REFUSALS) expect(document).toContain(`\`${reason}\``)
  const { listenMs, intervalMs, answerMs, sessionMs } = LIMITS.sync
  expect([listenMs, intervalMs, answerMs, sessionMs]).toEqual([5_000, 60_000, 20_000, 20_000])
})
