import { describe, expect, test } from 'vitest'
import { AutomergeDocument } from '../../node/documents/automerge.ts'
import type { PlainChange } from '../../protocol/document/backend.ts'
import { decodeCbor, encodeCbor } from '../../protocol/cbor.ts'
import type { ScannedChange } from '../../protocol/document/change.ts'
import type { Edit } from '../../protocol/document/edits.ts'
import { actorOf } from '../../protocol/document/payload.ts'
import type { Metadata } from '../../protocol/document/payload.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parsePayload } from '../../protocol/payload.ts'
import { drop, Editors, put } from '../support/documents/editors.ts'
import { FactWriter, make, person, subject } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { hex } from '../support/documents/world.ts'
import { openGate } from '../support/gate.ts'
import type { TestGate } from '../support/gate.ts'

const [alice, bob, carol, mallory] = [person('alice'), person('bob'), person('carol'), person('mallory')]

interface Team {
  readonly facts: FactWriter
  readonly editors: Editors
  readonly gate: TestGate
  readonly admit: (made: Made) => Promise<string>
}

/** A package of alice and bob in a registry of carol. Mallory publishes for it, so what she says counts. */
async function team(): Promise<Team> {
  const facts = new FactWriter(carol)
  const claim = facts.claim('tool', { keys: [alice.did, bob.did].toSorted() })
  const grant = facts.packageGrant('tool', mallory.did, 'publisher', { by: alice, authPrev: claim.id })
  const editors = new Editors(facts, subject('tool'), { registry: facts.genesis.id, package: grant.id })
  const gate = await openGate(facts.registry)
  for (const { bytes } of facts.all) await gate.gate.admit(bytes, { peer: 'p' })
  const admit = async ({ bytes }: Made): Promise<string> => {
    const admission = await gate.gate.admit(bytes, { peer: 'p' })
    return 'reason' in admission ? `${admission.verdict} ${admission.reason}` : admission.verdict
  }
  return { facts, editors, gate, admit }
}

const TITLE: readonly Edit[] = [put('title', 'Lie')]

/** A metadata fact of mallory, whatever it says. */
function lie(
  { facts, editors }: Team,
  change: Partial<PlainChange> = {},
  over: Partial<Metadata> & { readonly by?: Person } = {}
): Made {
  const { by = mallory, ...value } = over
  const edits = value.edits ?? TITLE
  const actor = actorOf({ author: by.did, registry: facts.registry, subject: editors.subject, chain: by.chain })
  const ops = edits.map(edit => ({
    key: edit.path.join('/'),
    value: edit.op === 'put' ? edit.value : undefined,
    pred: []
  }))
  const { bytes } = new AutomergeDocument().encode({ actor, seq: 1, startOp: 1, deps: [], ops, ...change })
  const read = { hash: '', actor, seq: 1, startOp: 1, deps: [], ops: [] }
  const metadata = { authority: editors.authority, epoch: null, after: [], edits, change: { ...read, bytes }, ...value }
  return facts.write(by, editors.subject, { type: 'metadata', value: metadata })
}

const op = (key: string, value: string | true | undefined) => ({ key, value, pred: [] })

describe('at the gate', () => {
  const actorOfAlice = (facts: FactWriter) =>
    actorOf({ author: alice.did, registry: facts.registry, subject: subject('tool'), chain: alice.chain })

  test.each<[string, (team: Team) => Made]>([
    ['another key than the edits', at => lie(at, { ops: [op('description', 'Lie')] })],
    ['another value than the edits', at => lie(at, { ops: [op('title', 'Truth')] })],
    ['a delete where the edits put', at => lie(at, { ops: [op('title', undefined)] })],
    ['true where the edits put a text', at => lie(at, { ops: [op('title', true)] })],
    ['more than the edits', at => lie(at, { ops: [op('title', 'Lie'), op('description', 'Lie')] })],
    [
      'less than the edits',
      at => lie(at, { ops: [op('title', 'Lie')] }, { edits: [put('title', 'Lie'), put('description', 'Lie')] })
    ],
    [
      'the edits in another order',
      at =>
        lie(
          at,
          { ops: [op('description', 'b'), op('title', 'a')] },
          { edits: [put('title', 'a'), put('description', 'b')] }
        )
    ]
  ])('a change that says %s is refused', async (_title, of) => {
    const at = await team()
    expect(await at.admit(of(at))).toBe('reject malformed')
  })

  test('a change by the actor of somebody else is refused', async () => {
    const at = await team()
    expect(await at.admit(lie(at, { actor: actorOfAlice(at.facts) }))).toBe('reject malformed')
    expect(await at.admit(lie(at, { actor: 'f'.repeat(64) }))).toBe('reject malformed')
  })

  test('an edit replayed in another package, registry or chain is refused', async () => {
    const at = await team()
    const { body } = await at.editors.edit(mallory, [put('title', 'One')])
    const other = new FactWriter(bob)
    for (const over of [
      { subject: subject('other') },
      { subject: 'registry' as const },
      { registry: other.registry },
      { chain: person('other').chain }
    ]) {
      const replayed = make({ ...body, seq: 0, prev: null, ...over }, mallory)
      const gate = over.registry === undefined ? at.gate : await openGate(other.registry)
      const authors = over.registry === undefined ? [] : [other.genesis, other.grant(mallory.did, 'publisher')]
      for (const { bytes } of authors) await gate.gate.admit(bytes, { peer: 'p' })
      expect(await gate.gate.admit(replayed.bytes, { peer: 'p' })).toMatchObject({
        verdict: 'reject',
        reason: 'malformed'
      })
    }
  })

  test.each(['__proto__', 'constructor', 'prototype'])('an edit of %s is refused', async name => {
    for (const path of [name, `keywords/${name}`, `links/${name}`, `keywords/a/${name}`]) {
      const at = await team()
      expect(await at.admit(lie(at, {}, { edits: [put(path, 'x')] }))).toBe('reject malformed')
      expect(await at.admit(lie(at, {}, { edits: [drop(path)] }))).toBe('reject malformed')
    }
  })

  test.each<[string, readonly Edit[]]>([
    ['one key twice', [put('title', 'a'), put('title', 'b')]],
    ['257 edits', Array.from({ length: LIMITS.document.edits + 1 }, (_, i) => put(`keywords/${i}`))],
    ['a key of 257 bytes', [put(`deprecated/${range(246)}`, 'use another')]],
    ['a title of 201 characters', [put('title', 'x'.repeat(201))]],
    ['a description of 4,097 characters', [put('description', 'x'.repeat(4_097))]],
    ['a field that is none', [put('readme', 'x')]]
  ])('%s are too much', async (_title, edits) => {
    const at = await team()
    expect(await at.admit(lie(at, {}, { edits }))).toBe('reject malformed')
  })

  test('16,000 edits are refused before they are read', async () => {
    const at = await team()
    const { body } = lie(at)
    const edits = Array.from({ length: 16_000 }, () => null)
    const many = make({ ...body, payload: encodeCbor({ ...(decodeCbor(body.payload, 8) as object), edits }) }, mallory)
    expect(await at.admit(many)).toBe('reject malformed')
  })

  test('what is just within the limits is taken, and is in the document', async () => {
    const at = await team()
    expect(await at.admit(lie(at))).toBe('accept')
    const words = Array.from({ length: LIMITS.document.edits - 3 }, (_, i) => put(`keywords/w${i}`))
    const most = [
      put('title', 'x'.repeat(200)),
      put('description', 'ü'.repeat(4_096)),
      put(`deprecated/${range(245)}`, 'old')
    ]
    const made = await at.editors.edit(mallory, [...most, ...words])
    expect(await at.admit(made)).toBe('accept')
    const { statuses, content } = await at.editors.document()
    expect(statuses[made.id]).toBe('native')
    expect(Object.keys(content)).toHaveLength(LIMITS.document.edits)
  })

  test.each<[string, (at: Team) => Partial<Metadata>]>([
    ['what it follows not in order', () => ({ after: strangers(2).toReversed() })],
    ['one fact followed twice', () => ({ after: [...strangers(1), ...strangers(1)] })],
    ['65 facts that it follows', () => ({ after: strangers(LIMITS.document.after + 1) })],
    ['no edits', () => ({ edits: [] })],
    ['a rollover of nothing', () => ({ edits: [], change: null })],
    ['a rollover with edits', () => ({ after: strangers(1), change: null })]
  ])('%s is refused', async (_title, over) => {
    const at = await team()
    const { change, ...rest } = over(at)
    const made = lie(at, { ops: [op('title', 'Lie')] }, change === null ? { ...rest, change } : rest)
    expect(await at.admit(made)).toBe('reject malformed')
  })
})

describe('what the gate takes, and is a lie', () => {
  /** A title of alice, and a change of mallory that follows it and says something about it that is not so. */
  async function afterTitle(of: (first: Made, at: Team) => Made): Promise<{ at: Team; first: Made; lied: Made }> {
    const at = await team()
    const first = await at.editors.edit(alice, [put('title', 'One'), put('keywords/a')])
    expect(await at.admit(first)).toBe('accept')
    const lied = of(first, at)
    expect(await at.admit(lied)).toBe('accept')
    return { at, first, lied }
  }

  /** Honest people go on as if nothing had been said, and a document that was saved is the one that is read. */
  async function goesOn(at: Team): Promise<void> {
    for (const made of at.facts.all) await at.admit(made)
    const last = await at.editors.edit(bob, [put('title', 'Two'), put('keywords/b')])
    expect(await at.admit(last)).toBe('accept')
    const own = await at.editors.edit(alice, [put('keywords/c'), drop('keywords/b')])
    expect(await at.admit(own)).toBe('accept')
    const { statuses, content } = await at.editors.document()
    expect([statuses[last.id], statuses[own.id]]).toEqual(['native', 'native'])
    expect(content).toMatchObject({ title: ['Two'], 'keywords/a': [true], 'keywords/c': [true] })
    const kept = at.facts.all.filter(({ body }) => body.author !== mallory.did)
    const without = await at.editors.document(kept)
    expect(without.content).toEqual({ title: ['Two'], 'keywords/a': [true], 'keywords/c': [true] })
  }

  /** The deps, sequence, first operation and predecessors that mallory should have said after alice's title. */
  function right(first: Made): Omit<PlainChange, 'actor'> {
    const { hash, actor } = changeOf(first)
    return { seq: 1, startOp: 3, deps: [hash], ops: [{ ...op('title', 'Lie'), pred: [`1@${actor}`] }] }
  }

  test('is not what fits: that is native', async () => {
    const { at, lied } = await afterTitle((first, team) => lie(team, right(first), { after: [first.id] }))
    const { statuses, content } = await at.editors.document()
    expect([statuses[lied.id], content['title']]).toEqual(['native', ['Lie']])
    await goesOn(at)
  })

  test.each<[string, (change: Omit<PlainChange, 'actor'>) => Partial<PlainChange>]>([
    ['its sequence', change => ({ ...change, seq: 7 })],
    ['its first operation', change => ({ ...change, startOp: 4 })],
    ['its first operation, as far as it goes', change => ({ ...change, startOp: LIMITS.document.ops })],
    ['what it replaces, which is something', change => ({ ...change, ops: [op('title', 'Lie')] })],
    [
      'what it replaces, which is not there',
      change => ({ ...change, ops: [{ ...op('title', 'Lie'), pred: [`1@${hex('nobody')}`] }] })
    ],
    [
      'what it replaces, which is at another key',
      change => ({
        ...change,
        ops: change.ops.map(one => ({ ...one, pred: one.pred.map(it => it.replace('1@', '2@')) }))
      })
    ]
  ])('a change that lies about %s says nothing', async (_title, of) => {
    const { at, first, lied } = await afterTitle((first, team) => lie(team, of(right(first)), { after: [first.id] }))
    const { statuses, content } = await at.editors.document()
    expect([statuses[first.id], statuses[lied.id]]).toEqual(['native', 'change-disagrees'])
    expect(content['title']).toEqual(['One'])
    await goesOn(at)
  })

  test.each<[string, Partial<PlainChange>]>([
    ['none', { deps: [] }],
    ['one that nobody made', { deps: [hex('nothing')] }],
    ['64 that nobody made', { deps: Array.from({ length: 64 }, (_, i) => hex(`${i}`)).toSorted() }]
  ])('of a change that says it follows %s, the edits are taken and not the change', async (_title, of) => {
    const { at, lied } = await afterTitle((first, team) => lie(team, { ...right(first), ...of }, { after: [first.id] }))
    const { statuses, content } = await at.editors.document()
    expect([statuses[lied.id], content['title']]).toEqual(['derived', ['Lie']])
    await goesOn(at)
  })

  test.each<[string, (at: Team) => Partial<Metadata>]>([
    ['facts of another kind', ({ facts }) => ({ after: [facts.genesis.id] })],
    ['64 facts that never come', () => ({ after: strangers(64) })],
    ['an epoch that never began', () => ({ epoch: strangers(1)[0] ?? null })]
  ])('an edit that follows %s is beside all that is there, and replaces nothing', async (_title, of) => {
    const { at, lied } = await afterTitle((first, team) => lie(team, right(first), of(team)))
    const { statuses, content } = await at.editors.document()
    expect(statuses[lied.id]).toBe('derived')
    expect(content['title']?.toSorted()).toEqual(['Lie', 'One'])
    await goesOn(at)
  })

  test('two changes of one actor and sequence wait both, and who saw one of them is unharmed', async () => {
    const at = await team()
    const first = await at.editors.edit(alice, [put('title', 'One'), put('keywords/a')])
    const before = [...at.facts.all]
    const one = await at.editors.edit(mallory, [put('title', 'Left'), put('keywords/m')])
    const saw = await at.editors.edit(bob, [put('keywords/x')])
    const two = await at.editors.edit(mallory, [put('title', 'Right')], before, { seq: 0, prev: null })
    for (const made of [first, one, saw, two]) expect(await at.admit(made)).toBe('accept')
    const { statuses, content } = await at.editors.document()
    expect([statuses[one.id], statuses[two.id], statuses[saw.id]]).toEqual(['aside', 'aside', 'derived'])
    expect(content).toEqual({ title: ['One'], 'keywords/a': [true], 'keywords/x': [true] })
    await at.editors.edit(bob, [drop('keywords/x')])
    await goesOn(at)
  })

  test('of two changes of one actor and sequence the one that an owner keeps is native, in any order', async () => {
    const at = await team()
    const first = await at.editors.edit(alice, [put('title', 'One'), put('keywords/a')])
    const before = [...at.facts.all]
    const over = await at.editors.edit(mallory, [put('title', 'Left')])
    const behind = await at.editors.edit(mallory, [put('keywords/m')])
    const keep = await at.editors.edit(mallory, [put('title', 'Right')], before, { seq: 0, prev: null })
    const { package: authPrev } = at.editors.authority
    at.facts.resolve(keep, [over], { by: alice, authPrev })
    const next = await at.editors.edit(mallory, [put('keywords/n')])
    const { statuses, content } = await at.editors.document()
    const of = [first, over, behind, keep, next].map(({ id }) => statuses[id])
    expect(of).toEqual(['native', 'aside', 'aside', 'native', 'native'])
    expect(content).toEqual({ title: ['Right'], 'keywords/a': [true], 'keywords/n': [true] })
    const { state } = await at.editors.document()
    const turned = await at.editors.document(at.facts.all.toReversed())
    expect(turned.state).toEqual(state)
    await goesOn(at)
  })

  test('one change in two facts is applied once, and its edits twice', async () => {
    const at = await team()
    const first = await at.editors.edit(alice, [put('title', 'One'), put('keywords/a')])
    const one = lie(at, right(first), { after: [first.id] })
    const two = lie(at, right(first), { after: [first.id] })
    for (const made of [first, one, two]) expect(await at.admit(made)).toBe('accept')
    const { statuses, content } = await at.editors.document()
    expect([statuses[one.id], statuses[two.id]]).toEqual(['native', 'derived'])
    expect(content['title']).toEqual(['Lie'])
    await goesOn(at)
  })

  test('a rollover by one who does not own the package folds nothing', async () => {
    const { at, lied } = await afterTitle((first, { editors }) => editors.rollover(mallory, [first]))
    const { statuses, state } = await at.editors.document()
    expect([statuses[lied.id], state.epoch]).toEqual(['aside', null])
    await goesOn(at)
  })

  test('a rollover of what never comes folds nothing', async () => {
    const at = await team()
    const first = await at.editors.edit(alice, [put('title', 'One'), put('keywords/a')])
    const nothing = at.editors.rollover(alice, [at.facts.genesis])
    const { statuses, state, content } = await at.editors.document()
    expect([statuses[nothing.id], state.epoch, statuses[first.id]]).toEqual(['no-effect', null, 'native'])
    expect(content['title']).toEqual(['One'])
    await goesOn(at)
  })

  test('a rollover of what does not count begins with nothing, and all comes again', async () => {
    const at = await team()
    const first = await at.editors.edit(alice, [put('title', 'One'), put('keywords/a')])
    const aside = at.editors.rollover(mallory, [first])
    const rollover = at.editors.rollover(bob, [aside])
    const { statuses, state, content } = await at.editors.document()
    expect(state.epoch).toBe(rollover.id)
    expect(statuses[first.id]).toBe('folded')
    expect(content).toEqual({ title: ['One'], 'keywords/a': [true] })
    await goesOn(at)
  })

  function changeOf({ body }: Made): ScannedChange {
    const payload = parsePayload(body)
    if (payload.type !== 'metadata' || payload.value.change === null) throw new Error('no edit')
    return payload.value.change
  }
})

/** Ids of facts that nobody has, in order. */
function strangers(count: number) {
  const nonces = Array.from({ length: count }, (_, i) => new Uint8Array(16).fill(i + 1))
  return nonces.map(nonce => new FactWriter(carol, { nonce }).genesis.id).toSorted()
}

/** A range of so many characters. */
function range(chars: number): string {
  const some = '1.0.0 || '.repeat(40)
  const cut = some.slice(0, Math.floor((chars - 5) / 9) * 9) + '1.0.0'
  return cut.replace('1.0.0', `1.0.0-${'x'.repeat(chars)}`.slice(0, 5 + chars - cut.length))
}
