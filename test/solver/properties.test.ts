import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Budget } from '../../protocol/solver/budget.ts'
import { nameOfNode } from '../../protocol/solver/node-name.ts'
import { leavesOf } from '../../protocol/solver/proof.ts'
import { Search } from '../../protocol/solver/search.ts'
import { Shelf } from '../../protocol/solver/shelf.ts'
import { solve } from '../../protocol/solver/solve.ts'
import { indicesOf } from '../../protocol/solver/version-set.ts'
import { shortNameOf } from '../../protocol/package-name.ts'
import { SEMVER_ORDERING } from '../../protocol/version.ts'
import { holdsIn, solutionsOf, statementsOf } from './brute-force.ts'
import type { Statement } from './brute-force.ts'
import { drive, explanationOf, finderIn, packageOf, picksOf, solveIn, wish } from './support.ts'
import type { Registry } from './support.ts'

const NAMES = ['a', 'b', 'c', 'd', 'e']
const VERSIONS = ['1.0.0', '1.1.0', '2.0.0', '3.0.0-rc.1']
const RANGES = ['*', '^1.0.0', '^2.0.0', '>=1.1.0', '<2.0.0', '=1.0.0', '>=3.0.0-rc.1', '^9.0.0']

const need = fc
  .tuple(fc.constantFrom(...NAMES, 'ghost'), fc.constantFrom(...RANGES))
  .map(([name, range]) => `${name} ${range}`)
const needs = fc.uniqueArray(need, { maxLength: 3, selector: text => text.split(' ')[0] })
const versions = fc.dictionary(fc.constantFrom(...VERSIONS), needs, { maxKeys: 3 })
const sparse: fc.Arbitrary<Registry> = fc.dictionary(fc.constantFrom(...NAMES), versions, { maxKeys: 5 })
// Everything is there and everything needs something: long searches, and about as many failures as solutions.
const entangled = fc
  .uniqueArray(
    fc
      .tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.constantFrom('^1.0.0', '^2.0.0', '>=1.1.0', '<2.0.0', '=1.0.0'))
      .map(([name, range]) => `${name} ${range}`),
    { minLength: 1, maxLength: 3, selector: text => text.split(' ')[0] }
  )
  .map(list => list.toSorted())
const dense: fc.Arbitrary<Registry> = fc
  .array(entangled, { minLength: 12, maxLength: 12 })
  .map(lists =>
    Object.fromEntries(
      ['a', 'b', 'c', 'd'].map((name, i) => [
        name,
        Object.fromEntries(['1.0.0', '1.1.0', '2.0.0'].map((version, j) => [version, lists[i * 3 + j] ?? []]))
      ])
    )
  )
const registries = fc.oneof(sparse, dense)
const wishes = fc.uniqueArray(need, { minLength: 1, maxLength: 3, selector: text => text.split(' ')[0] })

const RUNS = { numRuns: 500 }

const pairOf = (text: string): readonly [string, string] => {
  const [name = '', version = ''] = text.split('@')
  return [name, version]
}

test('finds a solution exactly where there is one, and it is one', () => {
  fc.assert(
    fc.property(registries, wishes, (registry, wanted) => {
      const statements = statementsOf(registry, wanted)
      const outcome = solveIn(registry, wanted)
      expect(outcome.type).toBe(solutionsOf(registry, statements).length > 0 ? 'solved' : 'failed')
      if (outcome.type === 'failed') return
      const choice = new Map(picksOf(outcome).map(pairOf))
      expect(statements.filter(one => !holdsIn(one, choice))).toEqual([])
    }),
    RUNS
  )
})

test('picks nothing that nobody needs', () => {
  fc.assert(
    fc.property(registries, wishes, (registry, wanted) => {
      const outcome = solveIn(registry, wanted)
      if (outcome.type === 'failed') return
      const choice = new Map(picksOf(outcome).map(pairOf))
      const reached = new Set(wanted.map(text => text.split(' ')[0] ?? ''))
      for (const name of reached) {
        for (const text of registry[name]?.[choice.get(name) ?? ''] ?? []) reached.add(text.split(' ')[0] ?? '')
      }
      expect([...choice.keys()].toSorted()).toEqual([...reached].toSorted())
    }),
    RUNS
  )
})

test('no solution gives the direct wishes, taken by name one after the other, higher versions', () => {
  fc.assert(
    fc.property(registries, wishes, (registry, wanted) => {
      const outcome = solveIn(registry, wanted)
      if (outcome.type === 'failed') return
      const choice = new Map(picksOf(outcome).map(pairOf))
      let solutions = solutionsOf(registry, statementsOf(registry, wanted))
      for (const name of wanted.map(text => text.split(' ')[0] ?? '').toSorted()) {
        const possible = solutions.flatMap(one => one.get(name) ?? [])
        const best = possible.toSorted((a, b) =>
          SEMVER_ORDERING.compare(SEMVER_ORDERING.parseVersion(b), SEMVER_ORDERING.parseVersion(a))
        )[0]
        expect(choice.get(name)).toBe(best)
        solutions = solutions.filter(one => one.get(name) === best)
      }
    }),
    RUNS
  )
})

test('an explanation rests only on what the registry says, and that alone allows no solution', () => {
  fc.assert(
    fc.property(registries, wishes, (registry, wanted) => {
      const own = wanted.map(wish).map(({ name, range }) => [name, [range]] as const)
      const shelf = new Shelf({ kept: new Map(), overrides: new Map(), ownRanges: new Map(own) })
      const budget = new Budget({ limit: 1e6, perTurn: 1e6 })
      const init = { wishes: wanted.map(wish), shelf, budget, kept: new Map(), held: new Map() }
      const found = drive(new Search(init).run(), finderIn(registry))
      if (found.type === 'solved') return
      const said = statementsOf(registry, wanted)
      const cited = leavesOf(found.proof).map(({ cause }): Statement => {
        if (cause.type === 'derived') throw new Error('a leaf is nothing that follows')
        const name = shortNameOf(nameOfNode(cause.asked.name))
        const target = shelf.get(cause.asked.name)
        const allowed = target === undefined ? [] : [...indicesOf(target.setOf(cause.asked.range))]
        const from = cause.type === 'needs' ? cause.from : undefined
        return {
          from: from && {
            name: shortNameOf(nameOfNode(from.name)),
            versions: [...indicesOf(from.set)].map(index => shelf.get(from.name)?.at(index).version ?? '')
          },
          name,
          allowed: allowed.map(index => target?.at(index).version ?? '')
        }
      })
      for (const one of cited) {
        for (const version of one.from?.versions ?? [undefined]) {
          const isSaid = said.some(
            other =>
              other.name === one.name &&
              other.from?.name === one.from?.name &&
              (version === undefined || other.from?.versions.includes(version)) &&
              other.allowed.toSorted().join() === one.allowed.toSorted().join()
          )
          expect(isSaid).toBe(true)
        }
      }
      expect(solutionsOf(registry, cited)).toEqual([])
    }),
    RUNS
  )
})

test('each line of an explanation cites only lines before it', () => {
  fc.assert(
    fc.property(registries, wishes, (registry, wanted) => {
      const outcome = solveIn(registry, wanted)
      if (outcome.type === 'solved') return
      const { lines, facts } = explanationOf(outcome)
      expect(facts.length).toBeGreaterThan(0)
      expect(lines.map(({ number }) => number)).toEqual(lines.map((_, i) => i + 1))
      for (const { number, cites } of lines) expect(cites.every(cited => cited < number)).toBe(true)
      if (lines.length > 0) expect(lines.at(-1)?.text).toContain('there is no solution')
      // Every step but the last leads somewhere.
      const cited = new Set(lines.flatMap(({ cites }) => cites))
      expect(lines.slice(0, -1).filter(({ number }) => !cited.has(number))).toEqual([])
    }),
    RUNS
  )
})

test('the order in which anything is given changes nothing', () => {
  const shuffles = fc.infiniteStream(fc.integer({ min: 0, max: 1_000_000 }))
  fc.assert(
    fc.property(registries, wishes, shuffles, (registry, wanted, stream) => {
      const shuffled = <T>(list: readonly T[]): readonly T[] =>
        list
          .map(item => [stream.next().value ?? 0, item] as const)
          .toSorted(([a], [b]) => a - b)
          .map(([, item]) => item)
      const other = drive(solve({ wishes: shuffled(wanted).map(wish) }), name => {
        const known = registry[shortNameOf(name)]
        if (known === undefined) return undefined
        const found = packageOf(shortNameOf(name), known)
        const entries = found.versions.map(entry => ({ ...entry, needs: shuffled(entry.needs) }))
        return { ...found, versions: shuffled(entries) }
      })
      const outcome = solveIn(registry, wanted)
      if (outcome.type === 'failed') expect(other).toEqual(outcome)
      else expect(new Set(picksOf(other))).toEqual(new Set(picksOf(outcome)))
    }),
    RUNS
  )
})
