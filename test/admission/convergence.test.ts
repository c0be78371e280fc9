import fc from 'fast-check'
import { expect, test } from 'vitest'
import { memoryKeyValue } from '../../storage/memory-key-value.ts'
import type { FactWriter } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'
import type { TestGate } from '../support/gate.ts'
import { moves, play } from '../support/random-registry.ts'

type Dice = (sides: number) => number

/** Offers facts in batches of any size, and now and then opens the store again. */
async function offer(node: TestGate, facts: FactWriter, { bytes, dice }: { bytes: readonly Uint8Array[]; dice: Dice }) {
  let now = node
  for (let from = 0; from < bytes.length;) {
    const size = 1 + dice(6)
    await now.gate.admitMany(bytes.slice(from, from + size), { peer: 'p' })
    from += size
    if (dice(7) === 0) now = await openGate(facts.registry, node.kv)
  }
  return now
}

async function stateOf(node: TestGate): Promise<readonly string[]> {
  return [...(await node.ids()), await node.digest()]
}

function shuffled<T>(all: readonly T[], dice: Dice): readonly T[] {
  return all
    .map(value => ({ value, key: dice(1_000_000) }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ value }) => value)
}

/** Two nodes that each know a part, in any order, tell each other their sets until nothing is new. */
async function reconciled(facts: FactWriter, dice: Dice): Promise<readonly [TestGate, TestGate]> {
  const bytesOf = new Map<string, Uint8Array>(facts.all.map(({ id, bytes }) => [id, bytes]))
  const part = async (): Promise<TestGate> => {
    const mine = shuffled(facts.all, dice).filter(fact => fact === facts.genesis || dice(3) > 0)
    const node = await openGate(facts.registry, memoryKeyValue())
    return offer(node, facts, { bytes: [...mine, ...mine].map(({ bytes }) => bytes), dice })
  }
  const tell = async (from: TestGate, to: TestGate): Promise<TestGate> => {
    const has = new Set(await to.ids())
    const bytes = (await from.ids()).filter(id => !has.has(id)).flatMap(id => bytesOf.get(id) ?? [])
    return offer(to, facts, { bytes, dice })
  }
  let [one, other] = [await part(), await part()]
  for (let before = ''; ;) {
    other = await tell(one, other)
    one = await tell(other, one)
    const now = `${(await stateOf(one)).join()} ${(await stateOf(other)).join()}`
    if (now === before) return [one, other]
    before = now
  }
}

test('two nodes that tell each other their sets end in one set and one view, whoever tried what', async () => {
  await fc.assert(
    fc.asyncProperty(
      moves(24),
      fc.integer({ min: 1, max: 2 }),
      fc.infiniteStream(fc.nat()),
      async (list, threshold, dice) => {
        const facts = play(list, threshold)
        const [one, other] = await reconciled(facts, sides => Number(dice.next().value) % sides)
        expect(await stateOf(one)).toEqual(await stateOf(other))
        // A newcomer who gets the set and nothing else, and a refold from nothing, say the same.
        const ids = new Set(await one.ids())
        const third = await openGate(facts.registry)
        const set = facts.all.filter(({ id }) => ids.has(id)).map(({ bytes }) => bytes)
        for (let round = 0; round < 4; round += 1) await third.gate.admitMany(set, { peer: 'p' })
        expect(await stateOf(third)).toEqual(await stateOf(one))
        expect(one.store.head(facts.registry).count).toBe(ids.size)
      }
    ),
    { numRuns: 40 }
  )
})
