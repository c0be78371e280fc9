import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Engine } from '../../node/documents/engine.ts'
import { fingerprintOf } from '../../protocol/document/counted.ts'
import type { MetadataFact, UpdateResult } from '../../protocol/document/document.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import type { Made } from '../support/facts.ts'
import { drop, Editors, put } from '../support/documents/editors.ts'

const people = ['root', 'ann', 'bob'].map(name => person(name))

/** What somebody does: who, which key, what of the facts before is seen (a bit each), and whether it counts. */
const step = fc.record({
  who: fc.nat(2),
  key: fc.constantFrom('title', 'keywords/a', 'keywords/b', 'description'),
  kind: fc.constantFrom('put', 'put', 'put', 'drop', 'rollover'),
  unseen: fc.nat(255),
  counts: fc.constantFrom(true, true, true, false)
})

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** Facts of people who saw some of each other's, and some of whom do not count. */
async function historyOf(steps: readonly Step[]): Promise<readonly MetadataFact[]> {
  const [root] = people
  if (root === undefined) throw new TypeError('nobody is there')
  const facts = new FactWriter(root)
  const claim = facts.claim('tool', { keys: people.map(({ did }) => did).toSorted() })
  const editors = new Editors(facts, subject('tool'), facts.cite(claim))
  const made: Made[] = []
  const aside = new Set<string>()
  for (const [i, { who, key, kind, unseen, counts }] of steps.entries()) {
    const by = people[who] ?? root
    const seen = [...facts.all.slice(0, 2), ...made.filter((_, at) => ((unseen >> (at % 8)) & 1) === 0)]
    const value = key.startsWith('keywords/') ? true : `text ${i}`
    try {
      if (kind === 'rollover' && seen.length > 2) {
        const epoch = (await editors.document(seen)).state.epoch
        made.push(
          editors.rollover(
            by,
            seen.slice(-2).filter(one => one.id !== claim.id),
            made.find(({ id }) => id === epoch) ?? null
          )
        )
      } else {
        made.push(await editors.edit(by, [kind === 'drop' ? drop(key) : put(key, value)], seen))
      }
    } catch (error) {
      // To delete what is not there is no edit.
      if (!(error instanceof TypeError)) throw error
      continue
    }
    const last = made.at(-1)
    if (!counts && last !== undefined) aside.add(last.id)
  }
  return editors.edits().map(fact => (aside.has(fact.id) ? { ...fact, counts: false } : fact))
}

/** As a node does it: what comes is added, and where that is not enough all of it is made again. */
function arriving(facts: readonly MetadataFact[], sizes: readonly number[]): UpdateResult {
  const engine = new Engine()
  let known: readonly MetadataFact[] = []
  let result: UpdateResult = engine.update({ key: 'd', made: fingerprintOf([]), from: undefined, facts: [] })
  for (let at = 0, turn = 0; at < facts.length; turn++) {
    const news = facts.slice(at, at + (sizes[turn % sizes.length] ?? 1))
    at += news.length
    const from = fingerprintOf(known)
    known = [...known, ...news]
    const made = fingerprintOf(known)
    const saved = result.kind === 'updated' ? result.saved : undefined
    // Every other time from what was saved, as after a restart.
    if (turn % 2 === 1) engine.dropAll()
    result = engine.update({ key: 'd', made, from, saved, facts: news })
    if (result.kind !== 'updated') result = engine.update({ key: 'd', made, from: undefined, facts: known })
  }
  engine.dropAll()
  return result
}

test('a document is that of its facts, in whatever order and in whatever pieces they come', async () => {
  const run = fc.record({
    steps: fc.array(step, { minLength: 2, maxLength: 12 }),
    sizes: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 }),
    order: fc.array(fc.nat(1000), { minLength: 12, maxLength: 12 })
  })
  await fc.assert(
    fc.asyncProperty(run, async ({ steps, sizes, order }) => {
      const facts = await historyOf(steps)
      const shuffled = facts
        .map((fact, i) => ({ fact, at: order[i] ?? 0 }))
        .toSorted((a, b) => a.at - b.at)
        .map(({ fact }) => fact)
      const whole = arriving(facts, [facts.length + 1])
      const parts = arriving(shuffled, sizes)
      if (whole.kind !== 'updated' || parts.kind !== 'updated') throw new TypeError('a document was not made')
      expect(parts.state).toEqual(whole.state)
    }),
    { numRuns: 60 }
  )
})

async function threePeople() {
  const [root, ann, bob] = [person('root'), person('ann'), person('bob')]
  const facts = new FactWriter(root)
  const claim = facts.claim('tool', { keys: people.map(({ did }) => did).toSorted() })
  return { root, ann, bob, facts, editors: new Editors(facts, subject('tool'), facts.cite(claim)) }
}

/** Whether facts that come one by one, in every order that is given, come to what all of them come to. */
function expectSame(editors: Editors, orders: readonly (readonly Made[])[]): void {
  const byId = new Map(editors.edits().map(fact => [fact.id, fact]))
  const whole = arriving([...byId.values()], [byId.size + 1])
  for (const order of orders) {
    const result = arriving(
      order.flatMap(({ id }) => byId.get(id) ?? []),
      [1]
    )
    expect(result.kind === 'updated' && result.state).toEqual(whole.kind === 'updated' && whole.state)
  }
}

test('of two rollovers of one epoch the same one wins, whichever comes first', async () => {
  const { root, ann, editors } = await threePeople()
  const said = await editors.edit(root, [put('title', 'One')])
  const one = editors.rollover(root, [said])
  const other = editors.rollover(ann, [said])
  expectSame(editors, [
    [said, one, other],
    [said, other, one]
  ])
})

test('what a folded edit follows belongs into the base, also when it comes after the rollover', async () => {
  const { root, ann, bob, editors } = await threePeople()
  const before = await editors.edit(bob, [put('title', 'One'), put('keywords/a')])
  const said = await editors.edit(ann, [put('title', 'Two')])
  const rollover = editors.rollover(root, [said])
  expectSame(editors, [
    [before, said, rollover],
    [said, rollover, before],
    [rollover, said, before]
  ])
})
