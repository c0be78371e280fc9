import fc from 'fast-check'
import { expect, test } from 'vitest'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import { FactWriter, person, subject } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { drop, Editors, put } from '../support/documents/editors.ts'
import { openGate } from '../support/gate.ts'
import type { TestGate } from '../support/gate.ts'

const people = ['root', 'ann', 'bob', 'eve'].map(name => person(name))
const tool = subject('tool')

/** One thing that somebody does: edits what some of the facts before say, forks a position, loses every role, or rolls over. */
const move = fc.record({
  kind: fc.constantFrom('edit', 'edit', 'edit', 'delete', 'fork', 'catalogue', 'rollover', 'revoke'),
  who: fc.nat(3),
  key: fc.constantFrom('title', 'description', 'keywords/a', 'keywords/b'),
  unseen: fc.nat(255),
  keeps: fc.nat(2)
})

type Move = typeof move extends fc.Arbitrary<infer T> ? T : never

/** Ann and Bob own the package, Eve may publish it until her roles are taken away, perhaps with what she said last. */
async function story(moves: readonly Move[]): Promise<FactWriter> {
  const [root = person('root'), ann = root, bob = root, eve = root] = people
  const facts = new FactWriter(root)
  facts.grant(eve.did, 'publisher')
  facts.grant(ann.did, 'curator')
  const claim = facts.claim('tool', { keys: [ann.did, bob.did].toSorted() })
  const editors = new Editors(facts, tool, facts.cite(claim))
  const catalogue = new Editors(facts, 'registry', { registry: facts.genesis.id, package: facts.genesis.id })
  for (const [i, step] of moves.entries()) {
    const by = people[step.who] ?? root
    const own = facts.all.filter(({ body }) => body.subject === tool && body.type === 'metadata')
    const others = own.filter((_, at) => ((step.unseen >> (at % 8)) & 1) === 0)
    const seen = [...facts.all.filter(({ body }) => body.type !== 'metadata'), ...others]
    try {
      await play({ facts, editors, catalogue, own, seen, by, root, eve }, step, i)
    } catch (error) {
      // To delete what is not there is no edit.
      if (!(error instanceof TypeError)) throw error
    }
  }
  return facts
}

interface Scene {
  readonly facts: FactWriter
  readonly editors: Editors
  readonly catalogue: Editors
  readonly own: readonly Made[]
  readonly seen: readonly Made[]
  readonly by: Person
  readonly root: Person
  readonly eve: Person
}

async function play(
  { facts, editors, catalogue, own, seen, by, root, eve }: Scene,
  step: Move,
  i: number
): Promise<void> {
  const value = step.key.startsWith('keywords/') ? true : `text ${i}`
  switch (step.kind) {
    case 'edit':
      await editors.edit(by, [put(step.key, value)], seen)
      return
    case 'delete':
      await editors.edit(by, [drop(step.key)], seen)
      return
    case 'catalogue':
      await catalogue.edit(step.who === 1 ? by : root, [put('categories/web', `text ${i}`)])
      return
    case 'rollover':
      if (own.length > 0) editors.rollover(by, own.slice(-2))
      return
    case 'fork': {
      const last = own.findLast(({ body }) => body.author === by.did)
      if (last === undefined) return
      const { seq, prev } = last.body
      await editors.edit(by, [put('title', `other ${i}`)], seen, { seq, prev })
      return
    }
    case 'revoke': {
      const said = facts.all.filter(({ body }) => body.author === eve.did)
      facts.revoke(eve.did, { heads: said.slice(0, said.length - step.keeps) })
    }
  }
}

type Dice = (sides: number) => number

/** Offers all facts twice, in any order and in batches of any size; now and then the node starts again. */
async function admitted(facts: FactWriter, order: readonly Made[], dice: Dice): Promise<readonly unknown[]> {
  let node: TestGate = await openGate(facts.registry, memoryKeyValue())
  const bytes = [facts.genesis, ...order, ...order].map(made => made.bytes)
  for (let from = 0; from < bytes.length;) {
    const size = 1 + dice(6)
    await node.gate.admitMany(bytes.slice(from, from + size), { peer: 'p' })
    from += size
    if (dice(3) === 0) await node.documents.current(facts.registry, tool)
    if (dice(9) === 0) node = await openGate(facts.registry, node.kv)
  }
  // What waited in memory when a node started again is gone until somebody offers it once more.
  for (let known = -1; known < (await node.ids()).length;) {
    known = (await node.ids()).length
    await node.gate.admitMany(bytes, { peer: 'p' })
  }
  const [words, catalogue] = [
    await node.documents.current(facts.registry, tool),
    await node.documents.current(facts.registry, 'registry')
  ]
  const standings = [...(await node.documents.standings(facts.registry, tool))].toSorted(([a], [b]) => (a < b ? -1 : 1))
  expect(node.failures).toEqual([])
  return [await node.ids(), words, catalogue, standings, await node.digest()]
}

test('whatever people edit, fork, fold and lose, nodes that were told in any order say the same', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(move, { minLength: 3, maxLength: 14 }),
      fc.infiniteStream(fc.nat(1_000_000)),
      async (moves, stream) => {
        const dice: Dice = sides => Number(stream.next().value) % sides
        const facts = await story(moves)
        const shuffled = facts.all
          .map(made => ({ made, at: dice(1_000_000) }))
          .toSorted((a, b) => a.at - b.at)
          .map(({ made }) => made)
        const inOrder = await admitted(facts, facts.all, () => 1)
        expect(await admitted(facts, shuffled, dice)).toEqual(inOrder)
      }
    ),
    { numRuns: 40 }
  )
})
