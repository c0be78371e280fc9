import { expect, test } from 'vitest'
import { flipBits } from './bit-rot-trials.ts'
import type { Shape } from './bit-rot.ts'

test.each<Shape>(['log', 'tables'])(
  '75 flipped bits in the files of a store (%s), none of them silent',
  async shape => {
    const outcomes = await flipBits(shape, 75, 2)
    expect(outcomes.length).toBeGreaterThanOrEqual(75)
    expect(outcomes).toContain('told and made good')
  },
  900_000
)
