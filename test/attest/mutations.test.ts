import { expect, test } from 'vitest'
import { mutate } from './mutations.ts'

test('of 2,000 mutated envelopes none is accepted, and none does anything but be refused', () => {
  const { refused, same, accepted } = mutate(2_000, 'envelopes', () => 0)
  expect(accepted).toBe(0)
  expect(refused + same).toBe(2_000)
  // Both roads are taken: changes of what is not signed stay what they are.
  expect(refused).toBeGreaterThan(1_500)
  expect(same).toBeGreaterThan(10)
})
