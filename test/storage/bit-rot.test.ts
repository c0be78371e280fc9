import { expect, test } from 'vitest'
import { flipBits } from './bit-rot-trials.ts'
import type { Shape } from './bit-rot.ts'

test.each<Shape>(['log', 'tables'])(
  'a bit that flips in the files of a store (%s) is seen, and what it cost comes back from peers',
  async shape => {
    const outcomes = new Set(await flipBits(shape, 6, 1))
    expect([...outcomes].toSorted()).toEqual(expect.arrayContaining(['nothing lost', 'told and made good']))
  },
  120_000
)
