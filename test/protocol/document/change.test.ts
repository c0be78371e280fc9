import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as A from '@automerge/automerge'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { scanChange } from '../../../protocol/document/change.ts'
import { DOCUMENT_LIMITS } from '../../../protocol/document/limits.ts'
import { Rng } from '../../simulation/rng.ts'
import { cpuMs } from '../../support/cpu-time.ts'
import { mutate } from '../../support/documents/mutate.ts'
import { codeOf } from '../../support/error-code.ts'
import { id, listOfNulls, PUT, rawChange, sleb, text, uleb } from '../../support/raw-change.ts'
import { describeWithShared } from '../../support/shared.ts'
import { asAutomergeSays, encodeOps, goodChange, lastChange, opBomb, scanMutant, stringBomb } from './change-mutants.ts'

const START_OP = 2_000
const actors = fc.constantFrom(...[0, 1, 0x7f, 0x80, 0xaa, 0xff].map(id))
const RESERVED = new Set(['', '__proto__', 'constructor', 'prototype'])

/** Few keys and values, so that runs are common, and any text, so that nothing is spelled otherwise than we think. */
const keys = fc
  .oneof(fc.constantFrom('title', 'keywords/web'), fc.string({ unit: 'grapheme', maxLength: 20 }))
  .filter(key => !key.split('/').some(segment => RESERVED.has(segment)) && text(key).length <= DOCUMENT_LIMITS.keyBytes)

const values = fc.oneof(
  fc.constantFrom('x', true as const, undefined, ''),
  fc.string({ unit: 'grapheme', maxLength: 200 })
)

const predecessors = fc.uniqueArray(
  fc
    .tuple(fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: START_OP - 1 })), actors)
    .map(([counter, actor]) => `${counter}@${actor}`),
  { maxLength: 6 }
)

const changes = fc.record({
  ops: fc.array(fc.record({ key: keys, value: values, pred: predecessors }), { minLength: 1, maxLength: 30 }),
  position: fc.record({
    actor: actors,
    seq: fc.integer({ min: 1, max: DOCUMENT_LIMITS.ops }),
    startOp: fc.integer({ min: START_OP, max: DOCUMENT_LIMITS.ops - 30 }),
    deps: fc.uniqueArray(fc.integer({ min: 0, max: 255 }).map(id), { maxLength: 5 })
  })
})

test('says of every flat change that Automerge writes exactly what Automerge says', () => {
  fc.assert(
    fc.property(changes, ({ ops, position }) => {
      const bytes = encodeOps(ops, position)
      const scanned = scanChange(bytes)
      expect(scanned).toEqual(asAutomergeSays(bytes))
      expect(scanned.ops).toEqual(ops.map(({ key, value }) => ({ key, value })))
      expect(scanned).toMatchObject({ ...position, deps: position.deps.toSorted() })
    }),
    { numRuns: 500 }
  )
})

test('takes the changes of a document that people edited at the same time', () => {
  type Flat = Record<string, A.ImmutableString | true>
  const put = (doc: A.Doc<Flat>, value: string) =>
    A.change(doc, { time: 0 }, draft => {
      draft['title'] = new A.ImmutableString(value)
      draft['keywords/web'] = true
      delete draft['description']
      draft['description'] = new A.ImmutableString(value)
    })
  const first = put(A.init<Flat>({ actor: id(0xdd) }), 'one')
  const others = [0xbb, 0xcc, 0xee].map(actor => put(A.clone(first, { actor: id(actor) }), `of ${actor}`))
  const merged = put(
    put(
      others.reduce((doc, other) => A.merge(doc, other), first),
      'two'
    ),
    'three'
  )
  const all = A.getAllChanges(A.load(A.save(merged)))
  expect(all).toHaveLength(6)
  for (const bytes of all) expect(scanChange(bytes)).toEqual(asAutomergeSays(bytes))
})

test('takes as much as the limits allow, and not one more', () => {
  const ops = (count: number) => Array.from({ length: count }, (_, i) => ({ key: `k${i}`, value: true as const }))
  const pred = Array.from({ length: DOCUMENT_LIMITS.predecessors + 1 }, (_, i) => `${i + 1}@${id(0xaa)}`)
  const replacing = (count: number) => encodeOps([{ key: 'a', pred: pred.slice(0, count) }], { startOp: START_OP })
  const deps = Array.from({ length: DOCUMENT_LIMITS.deps + 1 }, (_, i) => id(i))
  const at = (startOp: number) => encodeOps(ops(2), { startOp })
  const names = Array.from({ length: DOCUMENT_LIMITS.actorsPerChange + 1 }, (_, i) => i.toString(16).padStart(64, '0'))
  const naming = (count: number) =>
    encodeOps([{ key: 'a', pred: names.slice(0, count).map(name => `1@${name}`) }], { startOp: START_OP })
  const filled = (length: number) => encodeOps([{ key: 'a', value: 'x'.repeat(length) }])
  const room = DOCUMENT_LIMITS.changeBytes - filled(40_000).length + 40_000
  const pairs: readonly (readonly [Uint8Array, Uint8Array])[] = [
    [encodeOps(ops(DOCUMENT_LIMITS.edits)), encodeOps(ops(DOCUMENT_LIMITS.edits + 1))],
    [replacing(DOCUMENT_LIMITS.predecessors), replacing(DOCUMENT_LIMITS.predecessors + 1)],
    [encodeOps(ops(1), { deps: deps.slice(1) }), encodeOps(ops(1), { deps })],
    [at(DOCUMENT_LIMITS.ops - 1), at(DOCUMENT_LIMITS.ops)],
    [naming(DOCUMENT_LIMITS.actorsPerChange), naming(DOCUMENT_LIMITS.actorsPerChange + 1)],
    [filled(room), filled(room + 1)],
    ...['k', 'é'].map((letter): readonly [Uint8Array, Uint8Array] => {
      const key = letter.repeat(DOCUMENT_LIMITS.keyBytes / text(letter).length)
      return [encodeOps([{ key, value: true }]), encodeOps([{ key: `${key}k`, value: true }])]
    })
  ]
  for (const [most, more] of pairs) {
    expect(scanChange(most)).toEqual(asAutomergeSays(most))
    expect(codeOf(() => scanChange(more))).toBe('LIMIT_EXCEEDED')
  }
})

test('a million operations in a hundred bytes are refused before they are expanded', () => {
  expect(Buffer.from(listOfNulls(1_000))).toEqual(Buffer.from(nullsOfAutomerge(1_000)))
  const n = sleb(1_000_000)
  const flat = {
    0x15: [...n, 1, ...text('t')],
    0x34: uleb(1_000_000),
    0x42: [...n, 1],
    0x56: [...n, 2],
    0x70: [...n, 0]
  }
  for (const [bytes, code] of [
    [opBomb(), 'MALFORMED'],
    [rawChange({ columns: flat }), 'LIMIT_EXCEEDED']
  ] as const) {
    expect(bytes.length).toBeLessThan(130)
    expect(quickly(() => codeOf(() => scanChange(bytes)))).toBe(code)
  }
})

test('a change of nothing but strings is refused', () => {
  expect(quickly(() => codeOf(() => scanChange(stringBomb())))).toBe('MALFORMED')
})

test('what an operation replaces is not expanded either', () => {
  const most = sleb(2 ** 40)
  const columns = {
    ...PUT,
    0x70: [0x7f, ...uleb(2 ** 40)],
    0x71: [...most, 0],
    0x73: [...most, 1]
  }
  expect(quickly(() => codeOf(() => scanChange(rawChange({ startOp: 90_000, columns }))))).toBe('LIMIT_EXCEEDED')
})

describeWithShared('vectors/automerge', 'the bombs that were found', folder => {
  test.each(['op-bomb.bin', 'string-bomb.bin'])('%s is refused in no time', name => {
    const bytes = readFileSync(join(folder, name))
    expect(quickly(() => codeOf(() => scanChange(bytes)))).not.toBe('none')
  })
})

test.each([
  ['a list of nulls', opBomb()],
  ['a list of strings', stringBomb()],
  ['a good change', goodChange()]
])('of 1,000 mutations of %s none harms, and what passes means the same to Automerge', (name, bytes) => {
  const rng = new Rng(`change/${name}`)
  const answers = Array.from({ length: 1_000 }, () => scanMutant(mutate(bytes, rng)))
  expect(answers).toContain('refused')
  expect(answers.includes('taken')).toBe(name === 'a good change')
})

test('a good change cut short anywhere is refused', () => {
  const bytes = goodChange()
  for (let length = 0; length < bytes.length; length++)
    expect(codeOf(() => scanChange(bytes.subarray(0, length)))).toBe('MALFORMED')
})

function nullsOfAutomerge(count: number): Uint8Array {
  const doc = A.init<{ l: null[] }>({ actor: id(0xaa) })
  return lastChange(A.change(doc, { time: 0 }, draft => void (draft.l = Array.from({ length: count }, () => null))))
}

/** The answer of a call that may not take long. Expanding a bomb takes seconds. */
function quickly<T>(call: () => T): T {
  const answers: T[] = []
  expect(cpuMs(() => answers.push(call()))).toBeLessThan(500)
  return answers[0] as T
}
