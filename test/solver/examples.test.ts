import { describe, expect, test } from 'vitest'
import { explanationIn, explanationOf, picksIn, solveIn } from './support.ts'

// The worked examples of PubGrub's description, with the root's needs as wishes.

test('without conflicts the highest fitting versions are picked', () => {
  const registry = { foo: { '1.0.0': ['bar ^1.0.0'] }, bar: { '1.0.0': [], '2.0.0': [] } }
  expect(picksIn(registry, ['foo ^1.0.0'])).toEqual(['bar@1.0.0', 'foo@1.0.0'])
})

test('two direct wishes that a version would set against each other: the first by name gets its highest possible one', () => {
  const registry = {
    foo: { '1.1.0': ['bar ^2.0.0'], '1.0.0': [] },
    bar: { '1.0.0': [], '1.1.0': [], '2.0.0': [] }
  }
  expect(picksIn(registry, ['foo ^1.0.0', 'bar ^1.0.0'])).toEqual(['bar@1.1.0', 'foo@1.0.0'])
})

test('a version that can never be picked is found out and given up', () => {
  const registry = { foo: { '2.0.0': ['bar ^1.0.0'], '1.0.0': [] }, bar: { '1.0.0': ['foo ^1.0.0'] } }
  expect(picksIn(registry, ['foo >=1.0.0'])).toEqual(['foo@1.0.0'])
})

test('two ranges that only together force a version are both blamed', () => {
  const registry = {
    foo: { '1.1.0': ['left ^1.0.0', 'right ^1.0.0'], '1.0.0': [] },
    left: { '1.0.0': ['shared >=1.0.0'] },
    right: { '1.0.0': ['shared <2.0.0'] },
    shared: { '2.0.0': [], '1.0.0': ['target ^1.0.0'] },
    target: { '2.0.0': [], '1.0.0': [] }
  }
  expect(picksIn(registry, ['foo ^1.0.0', 'target ^2.0.0'])).toEqual(['foo@1.0.0', 'target@2.0.0'])
})

describe('a failure is explained', () => {
  test('in a line when it is one chain', () => {
    const registry = {
      foo: { '1.0.0': ['bar ^2.0.0'] },
      bar: { '2.0.0': ['baz ^3.0.0'] },
      baz: { '1.0.0': [], '3.0.0': [] }
    }
    expect(explanationIn(registry, ['foo ^1.0.0', 'baz ^1.0.0'])).toEqual([
      '1. because foo 1.0.0 needs bar ^2.0.0 and bar 2.0.0 needs baz ^3.0.0, foo 1.0.0 needs baz ^3.0.0',
      '2. and because you want foo ^1.0.0 and you want baz ^1.0.0, there is no solution',
      'baz has 3.0.0, 1.0.0'
    ])
    expect(explanationOf(solveIn(registry, ['foo ^1.0.0', 'baz ^1.0.0'])).code).toBe('UNSOLVABLE')
  })

  test('in branches that cite each other by number', () => {
    const registry = {
      foo: { '1.0.0': ['a ^1.0.0', 'b ^1.0.0'], '1.1.0': ['x ^1.0.0', 'y ^1.0.0'] },
      a: { '1.0.0': ['b ^2.0.0'] },
      b: { '1.0.0': [], '2.0.0': [] },
      x: { '1.0.0': ['y ^2.0.0'] },
      y: { '1.0.0': [], '2.0.0': [] }
    }
    expect(explanationIn(registry, ['foo ^1.0.0'])).toEqual([
      '1. because a 1.0.0 needs b ^2.0.0 and foo 1.0.0 needs a ^1.0.0, foo 1.0.0 needs b ^2.0.0',
      '2. and because foo 1.0.0 needs b ^1.0.0, foo 1.0.0 cannot be used',
      '3. because x 1.0.0 needs y ^2.0.0 and foo 1.1.0 needs x ^1.0.0, foo 1.1.0 needs y ^2.0.0',
      '4. and because foo 1.1.0 needs y ^1.0.0, foo 1.1.0 cannot be used',
      '5. and because foo 1.0.0 cannot be used (2), no version of foo can be used',
      '6. and because you want foo ^1.0.0, there is no solution',
      'b has 2.0.0, 1.0.0',
      'y has 2.0.0, 1.0.0'
    ])
  })
})
