import { sha256 } from '@noble/hashes/sha2.js'
import { describe, expect, test } from 'vitest'
import { parseSecret } from '../../attestation/keys.ts'
import { signFact, verifyFact } from '../../attestation/sign-fact.ts'
import { AutomergeDocument } from '../../node/documents/automerge.ts'
import { toHex } from '../../protocol/bytes.ts'
import { decodeCbor, encodeCbor } from '../../protocol/cbor.ts'
import { parseRegistryId } from '../../protocol/cid.ts'
import { scanChange } from '../../protocol/document/change.ts'
import { COLUMN } from '../../protocol/document/columns.ts'
import { actorOf } from '../../protocol/document/payload.ts'
import { encodeEnvelope, parseEnvelope } from '../../protocol/fact.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { encodePayload, parsePayload } from '../../protocol/payload.ts'
import { subject } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'
import type { TestGate } from '../support/gate.ts'
import { specExample } from '../support/spec-example.ts'

const { document, text, bytes } = specExample('metadata')

const registry = parseRegistryId(text('genesis id'))
const alpha = subject('alpha')
const THREE = ['genesis', 'claim', 'first', 'second', 'third']
const ALL = [...THREE, 'rollover', 'late']
const EDITS = ['first', 'second', 'third', 'late']

const envelope = (name: string): Uint8Array => encodeEnvelope(bytes(`${name} body`), bytes(`${name} signature`))
const changeIn = (name: string) => {
  const payload = parsePayload(parseEnvelope(envelope(name)).body)
  if (payload.type !== 'metadata' || payload.value.change === null) throw new TypeError(`${name} is no edit`)
  return payload.value.change
}

async function nodeWith(names: readonly string[]): Promise<TestGate> {
  const node = await openGate(registry)
  const verdicts = await node.gate.admitMany(names.map(envelope), { peer: 'p' })
  expect(verdicts.map(({ verdict }) => verdict)).toEqual(names.map(() => 'accept'))
  await node.documents.settled(registry)
  return node
}

test.each(ALL)('the fact %s has the id and the signature that the document says', name => {
  const secret = parseSecret(bytes(name === 'third' || name === 'late' ? 'ann secret' : 'root secret'))
  const fact = parseEnvelope(envelope(name))
  expect(fact.id).toBe(text(`${name} id`))
  expect(verifyFact(fact)).toBe(true)
  expect(toHex(signFact(fact.body, secret))).toBe(toHex(fact.bytes))
  expect(toHex(encodePayload(parsePayload(fact.body)))).toBe(toHex(fact.body.payload))
})

test.each(EDITS)('the change of %s has the actor and the hash that the document says', name => {
  const change = changeIn(name)
  expect(toHex(change.bytes)).toBe(text(`${name} change`))
  expect(change.actor).toBe(text(`${name} actor`))
  expect(actorOf(parseEnvelope(envelope(name)).body)).toBe(text(`${name} actor`))
  expect(toHex(sha256(bytes(`${name} change`).subarray(8)))).toBe(text(`${name} hash`))
})

test.each([
  ['of three', THREE],
  ['of all', ALL]
])('the facts %s make the document, the state and the digest that the document says', async (label, names) => {
  // In any order, the first two before the others: their keys are named there.
  for (const order of [names, [...names.slice(0, 2), ...names.slice(2).toSorted()]]) {
    const node = await openGate(registry)
    await node.gate.admitMany(order.map(envelope), { peer: 'p' })
    await node.gate.admitMany(names.map(envelope), { peer: 'p' })
    expect((await node.documents.current(registry, alpha))?.heads.join(' ')).toBe(text(`heads ${label}`))
    const sealed = await node.records.state(registry, alpha)
    expect(sealed === undefined ? '' : toHex(sealed)).toBe(text(`state hash ${label}`) + text(`state ${label}`))
    expect(toHex(sha256(bytes(`state ${label}`)))).toBe(text(`state hash ${label}`))
    expect(await node.digest()).toBe(text(`digest ${label}`))
  }
})

test('what the document says of each fact is so', async () => {
  const node = await nodeWith(ALL)
  const standings = await node.documents.standings(registry, alpha)
  const statuses = ALL.slice(2).map(name => standings.get(parseEnvelope(envelope(name)).id)?.status)
  expect(statuses).toEqual(['folded', 'folded', 'folded', 'rollover', 'derived'])
})

describe('the rollover', () => {
  const hash = (what: unknown): string => toHex(sha256(encodeCbor(what)))

  test('makes a base of the actors and puts of section 5', () => {
    const rollover = text('rollover id')
    const document = new AutomergeDocument()
    const actor = hash(['base', rollover])
    let deps: readonly string[] = []
    for (const [layer, value] of ['Two', 'Three'].entries()) {
      const ops = [{ key: 'title', value, pred: [] }]
      const made = document.encode({ actor, seq: layer + 1, startOp: layer + 1, deps, ops })
      expect(toHex(made.bytes)).toBe(text(`base ${layer} change`))
      deps = [made.hash]
    }
    document.free()
  })

  test('and the edit that came beside it is derived on top of that', () => {
    const derived = scanChange(bytes('late derived change'))
    expect(derived.actor).toBe(hash(['derived', text('late actor')]))
    expect(derived.deps).toEqual([scanChange(bytes('base 1 change')).hash])
    expect(derived).toMatchObject({ seq: 1, startOp: 3, ops: changeIn('late').ops })
    expect(derived.hash).toBe(text('heads of all'))
  })
})

test('`made` and the shape of a state are those of section 8', () => {
  const state = decodeCbor(bytes('state of three'), 6) as Readonly<Record<string, unknown>>
  expect(Object.keys(state)).toEqual(['made', 'epoch', 'heads', 'content'])
  const ids = ['first', 'second', 'third'].map(name => text(`${name} id`)).toSorted()
  expect(state['made']).toBe(toHex(sha256(encodeCbor(ids.map(id => [id, true])))))
  expect(state['content']).toEqual([
    {
      key: 'title',
      values: [
        { value: 'Three', fact: text('third id') },
        { value: 'Two', fact: text('second id') }
      ]
    }
  ])
})

test('the document names the columns and the limits as they are', () => {
  for (const kind of Object.values(COLUMN)) expect(document).toContain(`| 0x${kind.toString(16)} |`)
  const { changeBytes, ops, actors, bytes: documentBytes, edits, deps, actorsPerChange, predecessors } = LIMITS.document
  const { keyBytes, segments, after, stands, roomForPuts, roomForDeletes, epochs } = LIMITS.document
  const english = (number: number): string => number.toLocaleString('en')
  const parts = ({ all, one }: Readonly<Record<'all' | 'one', number>>): string =>
    `| ${all * 100} % for all, ${one * 100} % for one author |`
  for (const words of [
    `| ${english(changeBytes)} bytes, ${edits} operations, ${deps} deps, ${actorsPerChange} other actors, ${english(predecessors)} predecessors of one operation |`,
    `| ${keyBytes} bytes, ${segments} segments |`,
    `| ${after} in \`after\` |`,
    `| ${stands} hashes, of ${stands * 4} candidates |`,
    `| ${english(ops)} operations, ${english(documentBytes)} bytes of changes, ${english(actors)} actors |`,
    `| of that, facts that put something ${parts(roomForPuts)}`,
    `| of that, all facts ${parts(roomForDeletes)}`,
    `| rollovers of a document that are followed | ${epochs} |`
  ])
    expect(document).toContain(words)
})
