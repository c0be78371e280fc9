import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Candidates } from '../../protocol/solver/catalogue.ts'
import * as sets from '../../protocol/solver/version-set.ts'
import type { VersionSet } from '../../protocol/solver/version-set.ts'
import { SEMVER_ORDERING } from '../../protocol/version.ts'
import { packageOf } from './support.ts'

const VERSIONS = 12
const members = fc.subarray(Array.from({ length: VERSIONS + 1 }, (_, i) => i))
const listOf = (set: VersionSet): readonly number[] => [...sets.indicesOf(set)]

describe('a set of versions', () => {
  test('holds what it was made of, in one spelling', () => {
    fc.assert(
      fc.property(members, list => {
        const set = sets.setOf(list)
        expect(listOf(set)).toEqual(list)
        expect(set.every((at, i) => i === 0 || at > (set[i - 1] ?? at))).toBe(true)
        expect(sets.count(set)).toBe(list.length)
        expect(sets.highest(set)).toBe(list.at(-1))
        for (let i = 0; i <= VERSIONS; i++) expect(sets.includes(set, i)).toBe(list.includes(i))
      })
    )
  })

  test('meets, joins and turns round as sets do', () => {
    fc.assert(
      fc.property(members, members, (a, b) => {
        const [x, y] = [sets.setOf(a), sets.setOf(b)]
        expect(sets.intersect(x, y)).toEqual(sets.setOf(a.filter(i => b.includes(i))))
        expect(sets.union(x, y)).toEqual(sets.setOf([...new Set([...a, ...b])].toSorted((i, j) => i - j)))
        expect(sets.complement(sets.complement(x, VERSIONS), VERSIONS)).toEqual(x)
        expect(sets.intersect(x, sets.complement(x, VERSIONS))).toEqual(sets.NOTHING)
        expect(sets.union(x, sets.complement(x, VERSIONS))).toEqual(sets.everything(VERSIONS))
        expect(sets.complement(sets.union(x, y), VERSIONS)).toEqual(
          sets.intersect(sets.complement(x, VERSIONS), sets.complement(y, VERSIONS))
        )
      })
    )
  })

  test('lies within and apart as sets do', () => {
    fc.assert(
      fc.property(members, members, (a, b) => {
        const [x, y] = [sets.setOf(a), sets.setOf(b)]
        expect(sets.isSubset(x, y)).toBe(a.every(i => b.includes(i)))
        expect(sets.isDisjoint(x, y)).toBe(!a.some(i => b.includes(i)))
        expect(sets.isEqual(x, y)).toBe(a.join() === b.join())
        expect(sets.isSubset(sets.intersect(x, y), x)).toBe(true)
      })
    )
  })
})

const POOL = ['0.1.0', '1.0.0-rc.1', '1.0.0', '1.1.0', '1.2.0-beta', '1.2.0', '2.0.0', '2.1.0-rc.1', '2.1.0', '3.0.0']
const RANGES = [
  '*',
  '^1.0.0',
  '~1.1.0',
  '>=1.0.0-rc.1',
  '<2.0.0',
  '1.x || >=2.1.0',
  '=2.0.0',
  '1.0.0 - 2.0.0',
  '^9.0.0'
]
const pools = fc.subarray(POOL, { minLength: 1 })

const candidatesOf = (versions: readonly string[], ownRanges: readonly string[] = []): Candidates =>
  new Candidates(packageOf('p', Object.fromEntries(versions.map(version => [version, []]))), {
    locked: undefined,
    ownRanges
  })

describe('a range', () => {
  test('means the versions that it allows, each by itself', () => {
    fc.assert(
      fc.property(pools, fc.constantFrom(...RANGES), (versions, range) => {
        const candidates = candidatesOf(versions)
        const test = SEMVER_ORDERING.parseRange(range)
        const meant = listOf(candidates.setOf(range)).map(index => candidates.at(index).version)
        expect(meant).toEqual(versions.filter(version => test(SEMVER_ORDERING.parseVersion(version))))
      })
    )
  })

  test('that is printed for a set means just that set again', () => {
    fc.assert(
      fc.property(pools, fc.infiniteStream(fc.boolean()), (versions, coins) => {
        const list = versions.flatMap((_, i) => (coins.next().value === true ? [i + 1] : []))
        fc.pre(list.length > 0 && list.length <= 6)
        const set = sets.setOf(list)
        const printed = candidatesOf(versions).print(set)
        expect(candidatesOf(versions).setOf(printed)).toEqual(set)
      })
    )
  })

  test('is printed in the words of whoever asked for it', () => {
    const candidates = candidatesOf(['1.0.0', '1.1.0', '2.0.0'])
    const set = candidates.setOf('1.x')
    expect(candidates.print(set)).toBe('1.x')
    expect(candidates.print(sets.setOf([2, 3]))).toBe('>=1.1.0')
    expect(candidates.print(sets.only(2))).toBe('=1.1.0')
    expect(candidatesOf(['1.0.0', '1.1.0', '2.0.0', '3.0.0']).print(sets.setOf([2, 3]))).toBe('>=1.1.0 <3.0.0')
    expect(candidatesOf(['1.0.0', '1.1.0', '2.0.0']).print(sets.setOf([1, 2]))).toBe('<2.0.0')
  })

  test('of many pieces is cut short', () => {
    const versions = Array.from({ length: 40 }, (_, i) => `${i}.0.0`)
    const odd = versions.flatMap((_, i) => (i % 2 === 0 ? [i + 1] : []))
    expect(candidatesOf(versions).print(sets.setOf(odd))).toMatch(/ and 14 more$/)
  })

  test('of somebody else meets the pre-releases that the person named', () => {
    const versions = ['1.0.0', '2.0.0-rc.1', '2.0.0-rc.2']
    expect(listOf(candidatesOf(versions).setOf('>=1.0.0'))).toEqual([1])
    expect(listOf(candidatesOf(versions, ['2.0.0-rc.1']).setOf('>=1.0.0'))).toEqual([1, 2])
    expect(listOf(candidatesOf(versions, ['2.0.0-rc.1']).setOf('^1.0.0'))).toEqual([1])
  })
})
