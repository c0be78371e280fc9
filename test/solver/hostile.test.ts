import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { isRegistryError } from '../../protocol/errors.ts'
import { shortNameOf } from '../../protocol/package-name.ts'
import { explanationText } from '../../protocol/solver/explain.ts'
import { solve } from '../../protocol/solver/solve.ts'
import type { Outcome } from '../../protocol/solver/solve.ts'
import { codeOf } from '../support/error-code.ts'
import { drive, explanationOf, packageOf, solveIn, wish } from './support.ts'
import type { Registry } from './support.ts'

/** A registry without end: what a name needs is computed when it is asked for. */
function endless(needsOf: (name: string) => Registry[string], wishes: readonly string[]): Outcome {
  return drive(solve({ wishes: wishes.map(wish) }), name => packageOf(shortNameOf(name), needsOf(shortNameOf(name))))
}

const next = (name: string): string => `p${Number(name.slice(1)) + 1}`

describe('a registry made to hurt', () => {
  test('by a chain without end stops at the limit of packages', () => {
    expect(codeOf(() => endless(name => ({ '1.0.0': [next(name)] }), ['p0']))).toBe('LIMIT_EXCEEDED')
  })

  test('by fanning out without end stops at the limit of packages', () => {
    const fan = (name: string) => ({ '1.0.0': Array.from({ length: 256 }, (_, i) => `${name}-${i}`) })
    expect(codeOf(() => endless(fan, ['p']))).toBe('LIMIT_EXCEEDED')
  })

  test('by more packages than anybody installs stops at the limit of an install', () => {
    const registry = {
      app: { '1.0.0': Array.from({ length: LIMITS.install.packages }, (_, i) => `p${i}`) },
      ...Object.fromEntries(Array.from({ length: LIMITS.install.packages }, (_, i) => [`p${i}`, { '1.0.0': [] }]))
    }
    expect(codeOf(() => solveIn(registry, ['app']))).toBe('LIMIT_EXCEEDED')
  })

  test('by versions without end stops at the limit of versions', () => {
    const count = LIMITS.solver.versionsPerPackage + 1
    const versions = Object.fromEntries(Array.from({ length: count }, (_, i) => [`1.0.${i}`, []]))
    expect(codeOf(() => solveIn({ p: versions }, ['p']))).toBe('LIMIT_EXCEEDED')
  })

  test('by a chain as long as it may be, which fails at its end, is explained within the limit of lines', () => {
    const last = LIMITS.install.packages - 1
    const chain = (name: string) => ({ '1.0.0': [name === `p${last}` ? 'p0 ^2.0.0' : `${next(name)} ^1.0.0`] })
    const lines = explanationText(explanationOf(endless(chain, ['p0'])))
    expect(lines.length).toBeLessThanOrEqual(LIMITS.solver.lines + LIMITS.solver.versionsShown + 1)
    expect(lines.some(line => /… and \d+ more steps/.test(line))).toBe(true)
    expect(lines.some(line => line.endsWith('there is no solution'))).toBe(true)
  })

  test('by an optional dependency without end costs only that dependency', () => {
    const outcome = endless(
      name =>
        name === 'app'
          ? { '1.0.0': ['p0 * optional', 'lib'] }
          : name === 'lib'
            ? { '1.0.0': [] }
            : { '1.0.0': [next(name)] },
      ['app']
    )
    expect(outcome).toMatchObject({ type: 'solved', left: [{ name: 'p0', why: 'optional' }] })
    expect(outcome.type === 'solved' && outcome.picks).toHaveLength(2)
  })

  test('by pigeons that do not fit their holes ends, whatever the answer', () => {
    // Each of n pigeons needs one of n - 1 holes for itself: resolution proofs of this grow exponentially.
    const count = 9
    const pigeons = Array.from({ length: count }, (_, i) => `pigeon${i}`)
    const holes = Array.from({ length: count - 1 }, (_, j) => j)
    const registry = {
      ...Object.fromEntries(
        pigeons.map((name, i) => [name, Object.fromEntries(holes.map(j => [`1.0.${j}`, [`hole${j} =1.0.${i}`]]))])
      ),
      ...Object.fromEntries(holes.map(j => [`hole${j}`, Object.fromEntries(pigeons.map((_, i) => [`1.0.${i}`, []]))]))
    }
    let code: string
    try {
      code = explanationOf(solveIn(registry, pigeons)).code
    } catch (error) {
      code = isRegistryError(error) ? error.code : String(error)
    }
    expect(['LIMIT_EXCEEDED', 'UNSOLVABLE']).toContain(code)
  })

  test('a thousand times at random always ends, within the bounds', () => {
    const counts = new Map<string, number>()
    for (let seed = 1; seed <= 1_000; seed++) {
      const how = outcomeOf(seed)
      counts.set(how, (counts.get(how) ?? 0) + 1)
    }
    expect([...counts.keys()].filter(how => !['solved', 'failed', 'LIMIT_EXCEEDED'].includes(how))).toEqual([])
    // A generator that only makes one kind would show nothing.
    expect(counts.get('solved')).toBeGreaterThan(50)
    expect(counts.get('failed')).toBeGreaterThan(50)
  })
})

/** Deep or wide, with many versions or few, ranges tight or loose: all by the seed. */
function outcomeOf(seed: number): string {
  const below = randomFrom(seed)
  const names = Array.from({ length: 5 + below(40) }, (_, i) => `p${i}`)
  const perPackage = 1 + below(12)
  const perVersion = 1 + below(5)
  const loose = 1 + below(perPackage)
  const need = (): string => {
    const from = below(perPackage)
    return `p${below(names.length)} >=1.${from}.0 <1.${from + loose}.0`
  }
  const registry = Object.fromEntries(
    names.map(name => [
      name,
      Object.fromEntries(
        Array.from({ length: perPackage }, (_, i) => [`1.${i}.0`, Array.from({ length: below(perVersion + 1) }, need)])
      )
    ])
  )
  try {
    const outcome = solveIn(registry, names.slice(0, 1 + below(8)))
    if (outcome.type === 'failed') expect(explanationText(outcome.explanation).length).toBeGreaterThan(0)
    return outcome.type
  } catch (error) {
    return isRegistryError(error) ? error.code : String(error)
  }
}

/** mulberry32: the same numbers for the same seed. */
function randomFrom(seed: number): (limit: number) => number {
  let state = seed
  return limit => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % limit
  }
}
