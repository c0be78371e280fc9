import * as A from '@automerge/automerge'
import { describe, expect, test } from 'vitest'
import { scanChange } from '../../../protocol/document/change.ts'
import { DOCUMENT_LIMITS } from '../../../protocol/document/limits.ts'
import { codeOf } from '../../support/error-code.ts'
import { chunk, contentsOf, deflated, id, PUT, rawChange, sleb, text, uleb } from '../../support/raw-change.ts'
import { encode, encodeOps, goodChange, lastChange, type PlainOp } from './change-mutants.ts'

/** What is wrong, what the refusal says, and the bytes. */
type Refusal = readonly [claim: string, says: string, bytes: Uint8Array]

function refusals(title: string, code: string, cases: readonly Refusal[]): void {
  describe(title, () => {
    test.each(cases)('refuses %s', (_, says, bytes) => {
      expect(() => scanChange(bytes)).toThrow(says)
      expect(codeOf(() => scanChange(bytes))).toBe(code)
    })
  })
}

const ONE: PlainOp = { key: 't', value: 'x' }
const [B, C] = [id(0xbb), id(0xcc)]
const put = (columns: Readonly<Record<number, readonly number[]>>) => rawChange({ columns: { ...PUT, ...columns } })

/** Two puts, where a column may be spelled otherwise. */
const two = (columns: Readonly<Record<number, readonly number[]>>) =>
  rawChange({
    startOp: 9,
    columns: {
      0x15: [0x7e, 1, ...text('a'), 1, ...text('b')],
      0x34: [2],
      0x42: [2, 1],
      0x56: [2, 2],
      0x70: [2, 0],
      ...columns
    }
  })

/** Four puts of one key, with these actions. */
const four = (actions: readonly number[]) =>
  rawChange({ columns: { 0x15: [4, 1, ...text('a')], 0x34: [4], 0x42: actions, 0x56: [4, 2], 0x70: [4, 0] } })

/** One put that replaces values. */
const replacing = (
  count: number,
  actors: readonly number[],
  steps: readonly number[],
  others: readonly string[] = []
) =>
  rawChange({
    startOp: 9,
    others,
    columns: { ...PUT, 0x70: [0x7f, ...uleb(count)], 0x71: actors, 0x73: steps }
  })

const changed = (change: (doc: Record<string, unknown>) => void) =>
  lastChange(A.change(A.init<Record<string, unknown>>({ actor: id(0xaa) }), { time: 0 }, change))

/** The second change of a document. */
function changedLater(first: (doc: Record<string, unknown>) => void, change: (doc: Record<string, unknown>) => void) {
  const doc = A.change(A.init<Record<string, unknown>>({ actor: id(0xaa) }), { time: 0 }, first)
  return lastChange(A.change(doc, { time: 0 }, change))
}

test('the writer of raw changes writes what Automerge writes, so that each refusal has one cause', () => {
  expect(Buffer.from(rawChange())).toEqual(Buffer.from(encodeOps([ONE])))
  const pred = [`2@${B}`, `3@${id(0xaa)}`, `3@${B}`]
  expect(Buffer.from(replacing(3, [0x7d, 1, 0, 1], [0x7d, 2, 1, 0], [B]))).toEqual(
    Buffer.from(encodeOps([{ ...ONE, pred }], { startOp: 9 }))
  )
  const plain = ['a', 'b'].map((key): PlainOp => ({ key, value: true }))
  expect(Buffer.from(two({}))).toEqual(Buffer.from(encodeOps(plain, { startOp: 9 })))
  expect(A.decodeChange(deflated(goodChange()))).toEqual(A.decodeChange(goodChange()))
})

const NOT_FLAT = 'a column that no flat document has'
const NO_VALUE = 'neither a text nor true'

refusals('what is no flat document', 'MALFORMED', [
  ['a nested map', 'neither a put', changed(doc => void (doc['m'] = {}))],
  ['what is in a nested map', NOT_FLAT, changed(doc => void (doc['m'] = { a: true }))],
  [
    'a put into a nested map',
    NOT_FLAT,
    changedLater(
      doc => void (doc['m'] = {}),
      doc => void (map(doc)['a'] = true)
    )
  ],
  ['a list', 'neither a put', changed(doc => void (doc['l'] = []))],
  ['a text that is edited letter by letter', 'more columns', changed(doc => void (doc['t'] = 'text'))],
  ['a mark', 'more columns', changedLater(doc => void (doc['t'] = 'text'), mark)],
  ['a counter', NO_VALUE, changed(doc => void (doc['c'] = new A.Counter(1)))],
  [
    'an increment',
    'neither a put',
    encode({ ops: [{ action: 'inc', obj: '_root', key: 'c', value: 1, pred: [`1@${B}`] }], startOp: 2 })
  ],
  ['an integer', NO_VALUE, changed(doc => void (doc['n'] = 7))],
  ['a float', NO_VALUE, changed(doc => void (doc['n'] = 1.5))],
  ['a timestamp', NO_VALUE, changed(doc => void (doc['d'] = new Date(0)))],
  ['bytes', NO_VALUE, changed(doc => void (doc['b'] = Uint8Array.of(1)))],
  ['null', NO_VALUE, changed(doc => void (doc['n'] = null))],
  ['false', NO_VALUE, changed(doc => void (doc['f'] = false))],
  ['true that has a length', NO_VALUE, put({ 0x56: [0x7f, 0x12] })],
  ['a kind of value that there is not', NO_VALUE, put({ 0x56: [0x7f, 0x1f] })],
  ['a delete of a value', 'a delete has a value', put({ 0x42: [0x7f, 3] })],
  ['an insert', 'inserts into a list', put({ 0x34: [0, 1] })],
  ['an action that there is not', 'neither a put', put({ 0x42: [0x7f, 9] })],
  ['a change that does nothing', 'does nothing', encodeOps([])]
])

refusals('what is no uncompressed change', 'MALFORMED', [
  ['nothing', 'cut short', new Uint8Array()],
  ['other bytes', 'are no change', new Uint8Array(100)],
  ['a compressed change', 'no uncompressed change', deflated(goodChange())],
  ['a whole document', 'no uncompressed change', A.save(A.from({ a: true }))],
  ['a chunk of an unknown type', 'no uncompressed change', chunk(3, contentsOf(goodChange()))],
  ['a wrong checksum', 'checksum', goodChange().with(4, (goodChange()[4] ?? 0) ^ 1)],
  ['bytes behind the change', 'length', Uint8Array.from([...goodChange(), 0])],
  ['two changes', 'length', Uint8Array.from([...goodChange(), ...goodChange()])],
  ['a deflated column', 'compressed', rawChange({ order: [0x1d] })],
  ['a column that there is not', NOT_FLAT, put({ 0x77: [1] })],
  ['the columns of an object', NOT_FLAT, rawChange({ columns: { 0x01: [1, 0], 0x02: [1, 0], ...PUT } })],
  ['a column twice', 'not distinct', rawChange({ order: [0x15, 0x15] })],
  ['columns that are not sorted', 'not sorted', rawChange({ order: [0x34, 0x15, 0x42, 0x56, 0x57, 0x70] })],
  ['a million columns', 'more columns', chunk(1, millionColumns())],
  ['a column that is named and empty', 'empty', put({ 0x71: [] })],
  ['extra bytes', 'extra bytes', rawChange({ extra: [1] })]
])

refusals('a head that nobody here writes', 'MALFORMED', [
  ['a time', 'a time', encode({ ops: [], time: 1 })],
  ['a time before 1970', 'a time', encode({ ops: [], time: -1 })],
  ['a message', 'a message', encode({ ops: [], message: 'hello' })],
  ['sequence 0', 'before the first', encodeOps([ONE], { seq: 0 })],
  ['a first operation 0', 'before the first', rawChange({ startOp: 0 })],
  ['an actor of 16 bytes', 'not 32 bytes', encodeOps([ONE], { actor: 'aa'.repeat(16) })],
  ['an empty actor', 'not 32 bytes', encodeOps([ONE], { actor: '' })],
  ['another actor of 33 bytes', 'not 32 bytes', rawChange({ others: ['bb'.repeat(33)] })],
  ['deps that are not sorted', 'not sorted', rawChange({ deps: [id(2), id(1)] })],
  ['a dep twice', 'not distinct', encodeOps([ONE], { deps: [id(1), id(1)] })],
  ['other actors that are not sorted', 'not sorted', replacing(2, [0x7e, 2, 1], [0x7e, 1, 0], [C, B])],
  ['another actor twice', 'not distinct', replacing(2, [0x7e, 1, 2], [0x7e, 1, 1], [B, B])],
  ['the own actor among the others', 'its own actor', replacing(1, [0x7f, 1], [0x7f, 1], [id(0xaa)])],
  ['an actor that nothing is about', 'none of its operations', rawChange({ others: [B] })],
  ['a number in more bytes than it needs', 'than it needs', rawChange({ seq: [0x81, 0] })],
  ['a number beyond 2^53', 'beyond 2^53', rawChange({ seq: uleb(2 ** 53) })],
  ['a number without an end', 'beyond 2^53', rawChange({ seq: Array.from({ length: 20 }, () => 0xff) })]
])

const beyond = 'a document has at most'
refusals('a position that poisons a document', 'LIMIT_EXCEEDED', [
  ...[2 ** 31, 2 ** 32 - 2, 2 ** 32 - 1, 2 ** 53 - 1, DOCUMENT_LIMITS.ops + 1].map((startOp): Refusal => [
    `a first operation ${startOp}`,
    beyond,
    encodeOps([ONE], { startOp })
  ]),
  ['a sequence that no document reaches', beyond, encodeOps([ONE], { seq: 2 ** 53 - 1 })],
  ['operations that go on beyond the last', beyond, encodeOps([ONE, ONE], { startOp: DOCUMENT_LIMITS.ops })]
])

refusals('too much', 'LIMIT_EXCEEDED', [
  ['a long key', 'a key is longer', encodeOps([{ key: 'k'.repeat(257), value: true }])],
  ['a long change', 'a change is longer', encodeOps([{ key: 'k', value: 'x'.repeat(DOCUMENT_LIMITS.changeBytes) }])],
  ['deps without end', 'hashes or actors', chunk(1, Uint8Array.from(uleb(2 ** 50)))],
  ['a long key of which nothing follows', 'a key is longer', put({ 0x15: [0x7f, ...uleb(2 ** 50)] })]
])

refusals('keys', 'MALFORMED', [
  ...[
    '__proto__',
    'constructor',
    'prototype',
    'links/__proto__',
    '__proto__/a',
    'a/constructor/b',
    'tags/prototype'
  ].map((key): Refusal => [key, 'reserved', encodeOps([ONE, { key, value: true }])]),
  ['a deleted __proto__', 'reserved', encodeOps([{ key: '__proto__' }])],
  ['an empty key', 'no text', encodeOps([{ key: '', value: true }])],
  ['a key that is not valid utf-8', 'no text', put({ 0x15: [0x7f, 1, 0xff] })],
  ['a value that is not valid utf-8', 'utf-8', put({ 0x57: [0xff] })],
  ['a surrogate in utf-8', 'no text', put({ 0x15: [0x7f, 3, 0xed, 0xa0, 0x80] })],
  ['an operation without a key', 'a gap', put({ 0x15: [0, 1] })]
])

const SPELLING = 'one spelling'
refusals('columns in another spelling', 'MALFORMED', [
  ['a run of one', SPELLING, put({ 0x42: [1, 1] })],
  ['a run that goes on as a run', SPELLING, four([2, 1, 2, 1])],
  ['a run that goes on as a literal', SPELLING, four([3, 1, 0x7f, 1])],
  ['a literal that goes on as a run', SPELLING, four([0x7f, 1, 3, 1])],
  ['literals that are a run', SPELLING, two({ 0x42: [0x7e, 1, 1] })],
  ['literals behind literals', SPELLING, two({ 0x15: [0x7f, 1, ...text('a'), 0x7f, 1, ...text('b')] })],
  ['a run of nothing', 'a gap', put({ 0x42: [0, 0, 0x7f, 1] })],
  ['a null', 'a gap', put({ 0x42: [0, 1] })],
  ['a count in more bytes than it needs', 'than it needs', put({ 0x42: [0xff, 0x7f, 1] })],
  ['a positive count in more bytes than it needs', 'than it needs', two({ 0x42: [0x82, 0x00, 1] })],
  ['a count beyond 2^53', 'beyond 2^53', two({ 0x42: [...sleb(2 ** 53), 1] })],
  ['a count below -2^53', 'beyond 2^53', put({ 0x42: [...sleb(-(2 ** 53)), 1] })],
  ['more literals than there are', 'cut short', two({ 0x15: [0x7d, 1, ...text('a'), 1, ...text('b')] })],
  ['fewer actions than keys', 'cut short', two({ 0x42: [0x7f, 1] })],
  ['more actions than keys', 'equally long', two({ 0x42: [3, 1] })],
  ['more values than keys', 'equally long', two({ 0x56: [3, 2] })],
  ['more text than the values have', 'equally long', put({ 0x57: text('xy') })],
  ['less text than the values have', 'cut short', put({ 0x56: [0x7f, 0x26] })],
  ['texts where there are none', 'cut short', two({ 0x56: [2, 0x16] })],
  ['a text of 2^40 bytes', 'cut short', put({ 0x56: [0x7f, ...uleb(2 ** 40 * 16 + 6)] })],
  ['fewer operations that do not insert', 'inserts', two({ 0x34: [1] })],
  ['more operations that do not insert', 'inserts', two({ 0x34: [3] })],
  ['no word of inserts', 'inserts', withoutInserts()]
])

refusals('what operations replace', 'MALFORMED', [
  ['an actor that is not there', 'not there', replacing(1, [0x7f, 1], [0x7f, 1])],
  ['an actor at 2^50', 'not there', replacing(1, [0x7f, ...uleb(2 ** 50)], [0x7f, 1])],
  ['a value that comes later', 'before it', encodeOps([{ ...ONE, pred: [`9@${B}`] }], { startOp: 9 })],
  ['a value at 0', 'before it', replacing(1, [0x7f, 0], [0x7f, 0])],
  ['a value before 0', 'before it', replacing(1, [0x7f, 0], [0x7f, 0x7f])],
  ['a value twice', 'not distinct', encodeOps([{ ...ONE, pred: [`3@${B}`, `3@${B}`] }], { startOp: 9 })],
  ['values that are not sorted by counter', 'not sorted', replacing(2, [2, 0], [0x7e, 3, 0x7f])],
  ['values that are not sorted by actor', 'not sorted', replacing(2, [0x7e, 1, 0], [0x7e, 3, 0], [B])],
  ['more actors than values', 'equally long', replacing(1, [2, 0], [0x7f, 3])],
  ['more counters than values', 'equally long', replacing(1, [0x7f, 0], [2, 3])],
  ['more counts than operations', 'equally long', put({ 0x70: [2, 0] })],
  ['fewer counters than values', 'cut short', replacing(2, [2, 0], [0x7f, 3])]
])

test('an operation may replace what an earlier one of its own change wrote', () => {
  const ops: readonly PlainOp[] = [ONE, { ...ONE, value: 'y', pred: [`9@${id(0xaa)}`] }]
  expect(scanChange(encodeOps(ops, { startOp: 9 })).ops).toHaveLength(2)
})

function map(doc: Record<string, unknown>): Record<string, unknown> {
  return doc['m'] as Record<string, unknown>
}

function mark(doc: Record<string, unknown>): void {
  A.mark(doc, ['t'], { start: 0, end: 2, expand: 'none' }, 'bold', true)
}

function withoutInserts(): Uint8Array {
  return rawChange({ order: [0x15, 0x42, 0x56, 0x57, 0x70] })
}

/** The head of a change, and then that it has a million columns. */
function millionColumns(): Uint8Array {
  const head = contentsOf(rawChange({ order: [] })).slice(0, -1)
  return Uint8Array.from([...head, ...uleb(1_000_000)])
}
