import { expect, test } from 'vitest'
import { PartialSolution } from '../../protocol/solver/partial-solution.ts'
import type { Incompatibility, Term } from '../../protocol/solver/incompatibility.ts'
import { complement, setOf } from '../../protocol/solver/version-set.ts'
import { named } from './support.ts'

const VERSIONS = 4
const term = (name: string, ...versions: readonly number[]): Term => ({ name: named(name), set: setOf(versions) })
const not = ({ name, set }: Term): Term => ({ name, set: complement(set, VERSIONS) })
const because = (...terms: readonly Term[]): Incompatibility => ({
  terms,
  cause: { type: 'wish', by: 'you', asked: { name: named('p'), range: '*', instead: undefined, unmet: undefined } }
})

test('a term that two steps fulfil only together goes back to the earlier of them', () => {
  const solution = new PartialSolution(() => VERSIONS)
  solution.derive(not(term('shared', 1, 2, 3)), because())
  solution.decide(named('left'), 1)
  solution.derive(not(term('shared', 1, 2)), because())
  solution.decide(named('right'), 1)
  solution.derive(not(term('shared', 2, 3, 4)), because())
  expect(solution.satisfierOf(because(term('shared', 2)))).toMatchObject({ level: 2, previousLevel: 1 })
})

test('going back takes decisions, what followed from them, and what waits for a version with it', () => {
  const solution = new PartialSolution(() => VERSIONS)
  solution.derive(not(term('a', 1, 2)), because())
  solution.decide(named('a'), 2)
  solution.derive(not(term('b', 3)), because())
  expect([...solution.undecided]).toEqual([named('b')])
  solution.backtrack(0)
  expect([...solution.undecided]).toEqual([named('a')])
  expect([...solution.decided]).toEqual([])
  expect(solution.sumOf(named('a'))).toEqual(setOf([1, 2]))
  expect(solution.sumOf(named('b'))).toEqual(setOf([0, 1, 2, 3, 4]))
})

test('an incompatibility with one open term forces it, and with two says nothing', () => {
  const solution = new PartialSolution(() => VERSIONS)
  const both = because(term('a', 1, 2), term('b', 1))
  expect(solution.standingOf(both)).toBeUndefined()
  solution.derive(not(term('a', 2)), because())
  expect(solution.standingOf(both)).toEqual({ type: 'open', term: term('b', 1) })
  solution.decide(named('b'), 1)
  expect(solution.standingOf(both)).toEqual({ type: 'conflict' })
})
