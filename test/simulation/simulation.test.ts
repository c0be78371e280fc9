import { expect, test } from 'vitest'
import { REAL_PARTS } from './real-parts.ts'
import { simulate } from './simulate.ts'

/** Short ones: the long test runs those before them, and many more. */
const FIRST = 7
const SEEDS = 4

test(`${SEEDS} seeds break no invariant`, { timeout: 120_000 }, async () => {
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const outcome = await simulate({ seed, parts: REAL_PARTS })
    expect(outcome.violation, `npm run sim -- --seed ${seed} --trace`).toBeUndefined()
  }
})

test('a seed replays exactly, and another one does not', async () => {
  const [one, again, other] = [
    await simulate({ seed: 8, parts: REAL_PARTS }),
    await simulate({ seed: 8, parts: REAL_PARTS }),
    await simulate({ seed: 7, parts: REAL_PARTS })
  ]
  expect(again).toEqual(one)
  expect(other.trace).not.toBe(one.trace)
})
