import { expect, test } from 'vitest'
import { closedHome, flipsIn, seeded, trial } from './bit-rot.ts'
import type { Shape } from './bit-rot.ts'

test.each<Shape>(['log', 'tables'])(
  '200 flipped bits in the files of a store (%s), none of them silent',
  async shape => {
    const closed = await closedHome(shape)
    const flips = await flipsIn(closed.home, 200, seeded(2))
    const outcomes: string[] = []
    for (const flip of flips) outcomes.push(await trial(closed, flip))
    expect(outcomes).toHaveLength(flips.length)
    expect(outcomes).toContain('told and made good')
  },
  1_800_000
)
