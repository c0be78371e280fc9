import { expect, test } from 'vitest'
import { closedHome, flipsIn, seeded, trial } from './bit-rot.ts'
import type { Shape } from './bit-rot.ts'

test.each<Shape>(['log', 'tables'])(
  'a bit that flips in the files of a store (%s) is seen, and what it cost comes back from peers',
  async shape => {
    const closed = await closedHome(shape)
    const outcomes = new Set<string>()
    for (const flip of await flipsIn(closed.home, 16, seeded(1))) outcomes.add(await trial(closed, flip))
    expect([...outcomes].toSorted()).toEqual(['nothing lost', 'told and made good'])
  },
  120_000
)
