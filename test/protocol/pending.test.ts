import { expect, test } from 'vitest'
import { parseEnvelope } from '../../protocol/fact.ts'
import type { Envelope } from '../../protocol/fact.ts'
import { PendingBuffer } from '../../protocol/pending.ts'
import { FactWriter, person } from '../support/facts.ts'

const facts = new FactWriter(person('root'))
const claims = Array.from({ length: 40 }, (_, i) => parseEnvelope(facts.claim(`package-${i}`).bytes))
const bounds = { facts: 10, bytes: 1_000_000, factsPerSource: 6, bytesPerSource: 1_000_000 }
const key = person('unnamed').did

/** The same envelope as if it had that many bytes. */
function sized(envelope: Envelope, size: number): Envelope {
  return { ...envelope, bytes: new Uint8Array(size) }
}

function fill(buffer: PendingBuffer, source: string, envelopes: readonly Envelope[]): readonly boolean[] {
  return envelopes.map(envelope => buffer.add({ envelope, source, waitsFor: { key } }))
}

test('holds no more facts than its bound, and of one source no more than its share', () => {
  const buffer = new PendingBuffer(bounds)
  expect(fill(buffer, 'flood', claims.slice(0, 8)).filter(Boolean)).toHaveLength(6)
  fill(buffer, 'other', claims.slice(8, 20))
  expect(buffer.size).toBe(10)
})

test('a source that floods by number cannot push out what another sent', () => {
  const buffer = new PendingBuffer(bounds)
  fill(buffer, 'honest', claims.slice(0, 3))
  for (const source of ['a', 'b']) fill(buffer, source, claims.slice(5, 40))
  const held = buffer.take({ key }).filter(({ source }) => source === 'honest')
  expect(held).toHaveLength(3)
})

test('a source that floods by size cannot push out what another sent', () => {
  const buffer = new PendingBuffer({ facts: 100, bytes: 10_000, factsPerSource: 50, bytesPerSource: 6_000 })
  fill(
    buffer,
    'honest',
    claims.slice(0, 10).map(envelope => sized(envelope, 100))
  )
  for (const [i, source] of ['a', 'b', 'c'].entries()) {
    fill(
      buffer,
      source,
      claims.slice(10 + i * 5, 15 + i * 5).map(envelope => sized(envelope, 2_000))
    )
  }
  expect(buffer.bytes).toBeLessThanOrEqual(10_000)
  expect(buffer.take({ key }).filter(({ source }) => source === 'honest')).toHaveLength(10)
})

test('a body under a forged signature does not take the place of the true one', () => {
  const buffer = new PendingBuffer(bounds)
  const [claim] = claims
  if (claim === undefined) throw new Error('no claim')
  fill(buffer, 'liar', [{ ...claim, signature: new Uint8Array(64) }])
  expect(fill(buffer, 'honest', [claim])).toEqual([true])
  expect(buffer.take({ key }).map(({ source }) => source)).toEqual(['liar', 'honest'])
})

test('the same envelope is held once, whoever brings it', () => {
  const buffer = new PendingBuffer(bounds)
  fill(buffer, 'a', claims.slice(0, 1))
  fill(buffer, 'b', claims.slice(0, 1))
  expect(buffer.size).toBe(1)
})

test('gives out what waited for one thing, oldest first, and counts down to nothing', () => {
  const buffer = new PendingBuffer(bounds)
  const [a, b, c] = claims
  if (a === undefined || b === undefined || c === undefined) throw new Error('no claims')
  buffer.add({ envelope: b, source: 's', waitsFor: { fact: a.id } })
  buffer.add({ envelope: c, source: 's', waitsFor: { key } })
  buffer.add({ envelope: a, source: 's', waitsFor: { key } })
  expect(buffer.find(c)).toEqual({ key })
  expect(buffer.take({ key }).map(({ envelope }) => envelope.id)).toEqual([c.id, a.id])
  expect(buffer.take({ key })).toEqual([])
  expect(buffer.take({ fact: a.id }).map(({ envelope }) => envelope.id)).toEqual([b.id])
  expect([buffer.size, buffer.bytes]).toEqual([0, 0])
  expect(buffer.find(c)).toBeUndefined()
})
