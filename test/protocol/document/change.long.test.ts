import { expect, test } from 'vitest'
import { Rng } from '../../simulation/rng.ts'
import { mutate } from '../../support/documents/mutate.ts'
import { goodChange, opBomb, scanMutant, stringBomb } from './change-mutants.ts'

test('100,000 mutations of changes, and of mutations that passed', () => {
  const rng = new Rng('change/long')
  const stock = [opBomb(), stringBomb(), goodChange(), goodChange(), goodChange()]
  const counts = { refused: 0, taken: 0 }
  for (let i = 0; i < 100_000; i++) {
    const bytes = mutate(stock[rng.int(stock.length)] ?? goodChange(), rng)
    const answer = scanMutant(bytes)
    counts[answer] += 1
    // What passed is a step on the way to stranger things that pass.
    if (answer === 'taken') stock[3 + rng.int(200)] ??= bytes
  }
  expect(counts.taken).toBeGreaterThan(1_000)
  expect(counts.refused).toBeGreaterThan(1_000)
})
