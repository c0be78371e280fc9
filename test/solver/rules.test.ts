import { describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { solve } from '../../protocol/solver/solve.ts'
import { codeOf } from '../support/error-code.ts'
import {
  drive,
  explanationIn,
  explanationOf,
  finderIn,
  lockOf,
  named,
  picksIn,
  picksOf,
  solveIn,
  wish
} from './support.ts'
import type { Project, Registry } from './support.ts'

interface Row {
  readonly name: string
  readonly registry: Registry
  readonly wishes: readonly string[]
  readonly project?: Project
  readonly picks: readonly string[]
}

const picked = (rows: readonly Row[]): void => {
  test.each(rows)('$name', ({ registry, wishes, project, picks }) => {
    expect(picksIn(registry, wishes, project)).toEqual(picks)
  })
}

describe('pre-releases', () => {
  const registry = { lib: { '1.0.0': [], '2.0.0-rc.1': [], '2.0.0-rc.2': [] }, app: { '1.0.0': ['lib >=1.0.0'] } }
  picked([
    { name: 'are passed over', registry, wishes: ['lib'], picks: ['lib@1.0.0'] },
    { name: 'are passed over by a range that names none', registry, wishes: ['lib >=1.0.0'], picks: ['lib@1.0.0'] },
    { name: 'are picked where a range names one', registry, wishes: ['lib >=2.0.0-rc.1'], picks: ['lib@2.0.0-rc.2'] },
    {
      name: 'that the person names are open to what others ask',
      registry,
      wishes: ['app', 'lib 2.0.0-rc.1'],
      picks: ['app@1.0.0', 'lib@2.0.0-rc.1']
    },
    {
      name: 'that a dependency names are not open to others',
      registry: { ...registry, other: { '1.0.0': ['lib >=2.0.0-rc.1'], '0.9.0': [] } },
      wishes: ['app', 'other'],
      picks: ['app@1.0.0', 'lib@1.0.0', 'other@0.9.0']
    }
  ])
})

describe('yanked versions', () => {
  const registry = { lib: { '1.0.0': [], '!1.1.0': [], '!1.2.0': [] } }
  picked([
    { name: 'are passed over', registry, wishes: ['lib'], picks: ['lib@1.0.0'] },
    {
      name: 'stay for whoever has just that one locked',
      registry,
      wishes: ['lib'],
      project: { locked: lockOf({ lib: '1.1.0' }) },
      picks: ['lib@1.1.0']
    },
    {
      name: 'go when their name is updated',
      registry,
      wishes: ['lib'],
      project: { locked: lockOf({ lib: '1.1.0' }), update: new Set([named('lib')]) },
      picks: ['lib@1.0.0']
    }
  ])

  test('are named where nothing else fits, with the reason', () => {
    const explanation = explanationOf(solveIn(registry, ['lib ^1.1.0']))
    expect(explanation.code).toBe('UNKNOWN_VERSION')
    expect(explanation.summary).toBe('you want lib ^1.1.0 (lib 1.2.0 was yanked: leaks keys)')
  })
})

describe('versions in conflict', () => {
  const registry = { lib: { '1.0.0': [], '=1.1.0': [] }, app: { '1.0.0': ['lib =1.1.0'] } }
  picked([
    { name: 'are never picked', registry, wishes: ['lib'], picks: ['lib@1.0.0'] },
    {
      name: 'are not picked from a lockfile either',
      registry,
      wishes: ['lib'],
      project: { locked: lockOf({ lib: '1.1.0' }) },
      picks: ['lib@1.0.0']
    }
  ])

  test.each([['lib 1.1.0'], ['app']])('are named where nothing else fits: %s', text => {
    const explanation = explanationOf(solveIn(registry, [text]))
    expect(explanation.code).toBe('VERSION_CONFLICT')
    expect(explanation.summary).toContain('lib 1.1.0 has more than one content')
  })
})

describe('locked versions', () => {
  const registry = {
    app: { '1.0.0': ['lib ^1.0.0'], '1.1.0': ['lib ^1.1.0'] },
    lib: { '1.0.0': [], '1.1.0': [], '1.2.0': [], '2.0.0': [] },
    tool: { '1.0.0': ['lib ^1.2.0'] }
  }
  const locked = lockOf({ app: '1.0.0', lib: '1.1.0' })
  picked([
    { name: 'stay', registry, wishes: ['app'], project: { locked }, picks: ['app@1.0.0', 'lib@1.1.0'] },
    {
      name: 'move when everything is updated',
      registry,
      wishes: ['app'],
      project: { locked, update: 'all' },
      picks: ['app@1.1.0', 'lib@1.2.0']
    },
    {
      name: 'move only where their own name is updated',
      registry,
      wishes: ['app'],
      project: { locked, update: new Set([named('app')]) },
      picks: ['app@1.1.0', 'lib@1.1.0']
    },
    {
      name: 'move when what is new needs it',
      registry,
      wishes: ['app', 'tool'],
      project: { locked },
      picks: ['app@1.0.0', 'lib@1.2.0', 'tool@1.0.0']
    },
    {
      name: 'of what was asked for directly stay, if only an older newcomer allows it',
      registry: { lib: registry.lib, anew: { '1.0.0': ['lib *'], '2.0.0': ['lib ^2.0.0'] } },
      wishes: ['anew', 'lib'],
      project: { locked },
      picks: ['anew@1.0.0', 'lib@1.1.0']
    },
    {
      name: 'that the registry lost are no wish at all',
      registry,
      wishes: ['lib ^1.0.0'],
      project: { locked: lockOf({ lib: '1.0.5' }) },
      picks: ['lib@1.2.0']
    }
  ])
})

describe('optional dependencies', () => {
  const left = (registry: Registry, wishes: readonly string[]) => {
    const outcome = solveIn(registry, wishes)
    return outcome.type === 'solved' ? outcome.left : []
  }
  picked([
    {
      name: 'are installed with what they need',
      registry: { app: { '1.0.0': ['extra * optional'] }, extra: { '1.0.0': ['deep *'] }, deep: { '1.0.0': [] } },
      wishes: ['app'],
      picks: ['app@1.0.0', 'deep@1.0.0', 'extra@1.0.0']
    },
    {
      name: 'bring optional dependencies of their own',
      registry: { app: { '1.0.0': ['a * optional'] }, a: { '1.0.0': ['b * optional'] }, b: { '1.0.0': ['app *'] } },
      wishes: ['app'],
      picks: ['a@1.0.0', 'app@1.0.0', 'b@1.0.0']
    },
    {
      name: 'of one version are not taken for what another one requires',
      registry: { app: { '1.0.0': ['extra ^2.0.0'], '2.0.0': ['extra ^2.0.0 optional'], '3.0.0': ['extra ^2.0.0'] } },
      wishes: ['app'],
      picks: ['app@2.0.0']
    },
    {
      name: 'never lower what is required',
      registry: {
        app: { '2.0.0': ['extra ^2.0.0 optional', 'lib *'], '1.0.0': [] },
        extra: { '2.0.0': ['lib ^1.0.0'] },
        lib: { '1.0.0': [], '2.0.0': [] }
      },
      wishes: ['app'],
      picks: ['app@2.0.0', 'lib@2.0.0']
    },
    {
      name: 'take a lower version where a higher one does not go with the rest',
      registry: {
        app: { '1.0.0': ['extra * optional', 'lib ^1.0.0'] },
        extra: { '2.0.0': ['lib ^2.0.0'], '1.0.0': ['lib *'] },
        lib: { '1.0.0': [], '2.0.0': [] }
      },
      wishes: ['app'],
      picks: ['app@1.0.0', 'extra@1.0.0', 'lib@1.0.0']
    }
  ])

  test.each([
    ['which the registry does not hold', {}, 'app@1.0.0 wants extra ^2.0.0 (the registry has no package extra)'],
    ['of which nothing fits', { extra: { '1.0.0': [] } }, 'app@1.0.0 wants extra ^2.0.0 (no version of extra fits)'],
    [
      'that do not go with the rest',
      { extra: { '2.0.0': ['lib ^9.0.0'] } },
      'extra 2.0.0 needs lib ^9.0.0 (no version of lib fits)'
    ],
    [
      'that need another version of what is there',
      { extra: { '2.0.0': ['lib =1.0.0'] } },
      'extra 2.0.0 needs lib =1.0.0 (another version of it is picked for others), and app@1.0.0 wants extra ^2.0.0'
    ]
  ])('%s are left out, and said so', (_, more, reason) => {
    const registry = {
      app: { '1.0.0': ['extra ^2.0.0 optional', 'lib *'] },
      lib: { '1.0.0': [], '2.0.0': [] },
      ...more
    }
    expect(picksIn(registry, ['app'])).toEqual(['app@1.0.0', 'lib@2.0.0'])
    expect(left(registry, ['app'])).toEqual([
      { name: 'extra', range: '^2.0.0', why: 'optional', by: 'app@1.0.0', reason }
    ])
  })

  test('of a package that is there in another version are said to be left out', () => {
    const registry = { app: { '1.0.0': ['lib =1.0.0 optional', 'lib >=1.0.0'] }, lib: { '1.0.0': [], '2.0.0': [] } }
    expect(left(registry, ['app'])[0]?.reason).toBe('lib 2.0.0 is picked for others')
  })

  test('are tried only so often', () => {
    const many = Array.from({ length: LIMITS.solver.optionalTries + 5 }, (_, i) => `o${i}`)
    const registry = {
      app: { '1.0.0': many.map(name => `${name} * optional`) },
      ...Object.fromEntries(many.map(name => [name, { '1.0.0': [] }]))
    }
    expect(left(registry, ['app'])).toHaveLength(5)
  })
})

describe('overrides', () => {
  const registry = {
    app: { '1.0.0': ['lib ^2.0.0', 'mid *'] },
    mid: { '1.0.0': ['lib ^3.0.0'] },
    lib: { '1.0.0': [], '2.0.0': [], '3.0.0': [] }
  }
  const overrides = new Map([[named('lib'), '=1.0.0']])

  test('replace what the whole tree asks of a name, and are reported with what they replaced', () => {
    const outcome = solveIn(registry, ['app', 'lib ^2.0.0'], { overrides })
    expect(picksOf(outcome).toSorted()).toEqual(['app@1.0.0', 'lib@1.0.0', 'mid@1.0.0'])
    expect(outcome.type === 'solved' && outcome.overridden).toEqual([
      {
        name: named('lib'),
        range: '=1.0.0',
        instead: [
          { range: '^2.0.0', by: 'you' },
          { range: '^3.0.0', by: 'mid@1.0.0' },
          { range: '^2.0.0', by: 'app@1.0.0' }
        ]
      }
    ])
  })

  test('that nothing asked for are not reported and install nothing', () => {
    const outcome = solveIn({ ...registry, solo: { '1.0.0': [] } }, ['solo'], { overrides })
    expect(outcome).toEqual({
      type: 'solved',
      picks: [{ name: named('solo'), version: '1.0.0' }],
      left: [],
      overridden: []
    })
  })

  test('that no version fits are blamed', () => {
    const impossible = new Map([[named('lib'), '=9.0.0']])
    expect(explanationIn(registry, ['mid'], { overrides: impossible })[0]).toContain(
      "mid 1.0.0 needs lib ^3.0.0 (the project's override: =9.0.0) (no version of lib fits)"
    )
  })
})

test('external dependencies are reported with who needs them', () => {
  const outcome = solveIn({ app: { '1.0.0': ['cmake >=3 external', 'lib *'] }, lib: { '1.0.0': [] } }, ['app'])
  expect(outcome.type === 'solved' && outcome.left).toEqual([
    { name: 'cmake', range: '>=3', why: 'external', by: 'app@1.0.0' }
  ])
})

describe('what is missing', () => {
  test.each([
    ['a package that nobody has', {}, 'UNKNOWN_PACKAGE', 'you want app (the registry has no package app)'],
    [
      'a version that nobody has',
      { app: { '1.0.0': [] } },
      'UNKNOWN_VERSION',
      'you want app ^2.0.0 (no version of app fits)'
    ],
    [
      'a dependency that nobody has',
      { app: { '1.0.0': ['lib *'] } },
      'MISSING_DEPENDENCY',
      'app 1.0.0 needs lib (the registry has no package lib)'
    ],
    [
      'a dependency in a version that nobody has, two levels down',
      { app: { '1.0.0': ['mid *'] }, mid: { '1.0.0': ['lib ^2.0.0'] }, lib: { '1.0.0': [] } },
      'MISSING_DEPENDENCY',
      'mid 1.0.0 needs lib ^2.0.0 (no version of lib fits)'
    ]
  ])('%s', (_, registry: Registry, code, summary) => {
    const explanation = explanationOf(solveIn(registry, [code === 'UNKNOWN_VERSION' ? 'app ^2.0.0' : 'app']))
    expect(explanation).toMatchObject({ code, summary })
  })

  test('is named once, with the versions that there are', () => {
    const registry = { app: { '1.0.0': ['lib ^2.0.0'] }, lib: { '1.0.0': [], '!1.1.0': [], '=1.2.0': [] } }
    expect(explanationIn(registry, ['app'])).toEqual([
      '1. because app 1.0.0 needs lib ^2.0.0 (no version of lib fits) and you want app, there is no solution',
      'lib has 1.2.0 (in conflict), 1.1.0 (yanked: leaks keys), 1.0.0'
    ])
  })
})

test('packages that need each other are picked once each', () => {
  const registry = { a: { '1.0.0': ['b *'] }, b: { '1.0.0': ['c *'] }, c: { '1.0.0': ['a ^1.0.0'] } }
  expect(picksOf(solveIn(registry, ['a']))).toEqual(['c@1.0.0', 'b@1.0.0', 'a@1.0.0'])
})

test('a circle that excludes itself is found out', () => {
  const registry = { a: { '1.0.0': ['b *'], '2.0.0': [] }, b: { '1.0.0': ['a ^2.0.0'] } }
  expect(explanationOf(solveIn(registry, ['a ^1.0.0'])).code).toBe('UNSOLVABLE')
})

test('two ranges of one wished name both hold', () => {
  const registry = { a: { '1.0.0': [], '1.1.0': [], '1.2.0': [] } }
  expect(picksIn(registry, ['a >=1.1.0', 'a <1.2.0'])).toEqual(['a@1.1.0'])
})

test('look-ups that can be made together are asked for together', () => {
  const leaves = Array.from({ length: 50 }, (_, i) => `leaf${i}`)
  const registry = {
    a: { '1.0.0': leaves },
    b: { '1.0.0': ['only-b *'] },
    'only-b': { '1.0.0': [] },
    ...Object.fromEntries(leaves.map(name => [name, { '1.0.0': [] }]))
  }
  const rounds: number[] = []
  drive(solve({ wishes: ['a', 'b'].map(wish) }), finderIn(registry), names => rounds.push(names.length))
  expect(rounds).toEqual([2, 51])
})

test('a range that is none is refused', () => {
  expect(codeOf(() => solveIn({ a: { '1.0.0': [] } }, ['a newest']))).toBe('INVALID_VERSION')
})
