import { expect, test } from 'vitest'
import { REAL_PARTS } from './real-parts.ts'
import { simulate } from './simulate.ts'

/** Short ones: the long test runs those before them, and many more. */
const FIRST = 7
const SEEDS = 4

test(`${SEEDS} seeds break no invariant, one replays exactly, and another one does not`, async () => {
  const outcomes = []
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const outcome = await simulate({ seed, parts: REAL_PARTS })
    expect(outcome.violation, `npm run sim -- --seed ${seed} --trace`).toBeUndefined()
    outcomes.push(outcome)
  }
  const [other, one] = outcomes
  expect(await simulate({ seed: FIRST + 1, parts: REAL_PARTS })).toEqual(one)
  expect(other?.trace).not.toBe(one?.trace)
})
