import { describe, expect, test } from 'vitest'
import { isAffected, lowestFixed, unordered } from '../../protocol/advisory/match.ts'
import { comparePlace, ORDERS, placesIn, placesOf } from '../../protocol/advisory/place.ts'
import type { Order, Place } from '../../protocol/advisory/place.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Ecosystem } from '../../protocol/package-name.ts'
import { parseSemver } from '../../protocol/version.ts'

const placeIn = (text: string, ecosystem: Ecosystem, order: Order = 'native'): Place | undefined =>
  placesIn(text, ecosystem)?.[order]

/** Each line in the order of its ecosystem; what stands between commas is one version in several spellings. */
const LINES: readonly (readonly [Ecosystem, string])[] = [
  // semver 2.0.0, section 11
  [
    'npm',
    '1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0,1.0.0+b 1.0.1'
  ],
  ['cargo', '0.9.9 0.10.0-0 0.10.0-a 0.10.0'],
  // Versions of commits, before the one that they lead to, and of modules that know no modules.
  [
    'go',
    'v0.0.0-20190101000000-abcdefabcdef v0.0.0-20200101000000-000000000000 v0.0.0 1.2.3,v1.2.3 v1.2.4-0.20200101000000-abcdefabcdef v1.2.4 v2.0.0,v2.0.0+incompatible'
  ],
  // PEP 440, its summary of permitted suffixes
  [
    'pypi',
    '1.dev0 1.0a1,1.0.0-alpha.1,1.0alpha1 1.0a2,1.0.0-a2 1.0b1 1.0rc1,1.0c1,1.0.0-rc.1,1.0-pre1 1.0,1,1.0.0,v1.0 1.0+abc.5 1.0+abc.7,1.0+ABC-7 1.0+5 1.0.post1.dev3 1.0.post1,1.0-1,1.0.0-r1 1.0.post2 1.0.0.1 1.0.0.1.post1 1.0.1.dev3 1.0.1 1.1 1.10 2026.1.5,2026.01.05'
  ],
  // ComparableVersion
  [
    'maven',
    '1.0-alpha-1,1.0.0-alpha.1,1.0a1 1.0-beta1 1.0-M2,1.0-milestone-2 1.0-rc1,1.0.0-rc.1,1.0-CR1 1.0-SNAPSHOT 1.0,1,1.0.0,1.0.0.Final,1.0.0.RELEASE,1.0-ga 1.0-sp,1.0.0.SP 1.0.0.SP2 1.0-android 1.0-b 1.0-jre 1.0.0.v20161208,1.0-v20161208 1.0.0.v20170101 1.0-1 1.0-2 1.0.0.1 1.0.1 1.10 2.9.10 2.9.10.7 2.9.10.8 2.9.11'
  ]
]

describe('where versions lie', () => {
  test.each(LINES)('in the order of %s', (ecosystem, line) => {
    const groups = line.split(' ').map(group => group.split(','))
    for (const [i, group] of groups.entries())
      for (const text of group)
        for (const [j, others] of groups.entries())
          for (const other of others) {
            const [a, b] = [placeIn(text, ecosystem), placeIn(other, ecosystem)]
            if (a === undefined || b === undefined) throw new Error(`${text} or ${other} lies nowhere`)
            expect(`${text} ${Math.sign(comparePlace(a, b))} ${other}`).toBe(`${text} ${Math.sign(i - j)} ${other}`)
          }
  })

  test.each<readonly [Ecosystem, string]>([
    ['ggen', '1.0'],
    ['npm', '1'],
    ['npm', 'v1.0.0'],
    ['cargo', '1.0'],
    ['go', '1.0'],
    ['pypi', '1!1.0'],
    ['pypi', '1.0a1.dev1'],
    ['pypi', '2024x'],
    ['pypi', '1..0'],
    ['pypi', '1.2.3.4.5.6'],
    ['pypi', '99999999999999999999.0'],
    ['maven', 'constructor'],
    ['maven', '1.0-rc1-SNAPSHOT'],
    ['maven', '1.0-v99999999999999999999'],
    ['maven', '[1.0,2.0)']
  ])('nowhere, of %s: %s', (ecosystem, text) => {
    expect(placeIn(text, ecosystem)).toBeUndefined()
  })

  test('nowhere when it is too long to be one', () => {
    expect(placeIn(`1.0-1${'0'.repeat(LIMITS.names.versionChars)}`, 'maven')).toBeUndefined()
  })

  test('ours everywhere, also what its ecosystem does not read', () => {
    for (const ecosystem of ['ggen', 'npm', 'cargo', 'go', 'pypi', 'maven'] as const)
      for (const order of ORDERS) expect(placesOf(parseSemver('1.0.0-x.y.z'), ecosystem)[order].at).toBe('1.0.0-x.y.z')
  })
})

describe('a version of ours', () => {
  const within = (
    ecosystem: Ecosystem,
    events: readonly (readonly ['introduced' | 'fixed' | 'last_affected', string])[]
  ) => {
    const about = { versions: [], ranges: [{ type: 'ECOSYSTEM' as const, events }] }
    return {
      of: (versions: string) =>
        versions
          .split(' ')
          .filter(one => isAffected(parseSemver(one), about, ecosystem))
          .join(' '),
      fixed: (version: string) => lowestFixed(parseSemver(version), about, ecosystem),
      unordered: unordered(about, ecosystem).length
    }
  }

  test('is held by a range of PyPI as people write them', () => {
    const range = within('pypi', [
      ['introduced', '0'],
      ['fixed', '2.31'],
      ['introduced', '3.0rc1'],
      ['fixed', '3']
    ])
    expect(range.of('1.0.0 2.30.9 2.31.0-rc.1 2.31.0 3.0.0-beta.1 3.0.0-rc.1 3.0.0')).toBe(
      '1.0.0 2.30.9 2.31.0-rc.1 3.0.0-rc.1'
    )
    expect(range.fixed('1.0.0')).toBe('2.31.0')
    expect(range.unordered).toBe(0)
  })

  test('is held by a range of Maven with four numbers, of which none of ours has any', () => {
    const range = within('maven', [
      ['introduced', '2.9.0'],
      ['fixed', '2.9.10.8'],
      ['introduced', '2.10'],
      ['last_affected', '2.10.5.1']
    ])
    expect(range.of('2.8.9 2.9.0 2.9.10 2.9.11 2.10.0 2.10.5 2.10.6')).toBe('2.9.0 2.9.10 2.10.0 2.10.5')
    expect(range.fixed('2.9.10')).toBeUndefined()
  })

  test('is in no range that lies between two of ours', () => {
    expect(
      within('maven', [
        ['introduced', '1.0.0.1'],
        ['fixed', '1.0.0.5']
      ]).of('1.0.0 1.0.1')
    ).toBe('')
    expect(
      within('pypi', [
        ['introduced', '1.0.post1'],
        ['fixed', '1.0.post3']
      ]).of('1.0.0 1.0.1')
    ).toBe('')
  })

  test('is named in any spelling of its ecosystem', () => {
    const named = (ecosystem: Ecosystem, one: string) =>
      isAffected(parseSemver('1.0.0'), { versions: [one], ranges: [] }, ecosystem)
    expect(['1', '1.0', 'v1.0.0', '1.0+cpu'].filter(one => !named('pypi', one))).toEqual([])
    expect(named('maven', '1.0.RELEASE')).toBe(true)
    expect(['1', '1.0', 'v1.0.0'].filter(one => named('npm', one))).toEqual([])
    expect(named('pypi', '1.0.post1')).toBe(false)
  })

  /** What somebody may have meant is warned of: the first of these is affected by whatever is fixed in the second. */
  test.each<readonly [Ecosystem, string, string]>([
    ['maven', '1.0.0-preview', '1.0.0'],
    ['maven', '1.0.0-next.1', '1.0.0'],
    ['maven', '1.0.0-canary.4', '1.0.0'],
    ['maven', '1.0.0-dev.3', '1.0.0'],
    ['maven', '1.0.0-1', '1.0.0'],
    ['pypi', '1.0.0-1', '1.0.0'],
    ['pypi', '1.0.0-rev.1', '1.0.0'],
    ['maven', '1.5.0', '2.0.0-rc1-SNAPSHOT'],
    ['maven', '2.0.0-alpha.1', '2.0.0-RC1-SNAPSHOT'],
    ['maven', '1.5.0', '2.0.0+jre'],
    ['maven', '1.5.0', '2.0.0-alpha.1.2'],
    ['pypi', '1.5.0', '2.0.0-alpha.1.2'],
    ['maven', '9.4.0-v20161208', '9.4.0.v20170101'],
    ['maven', '1.0.0-sp.1', '1.0.0.SP2'],
    ['maven', '1.0.0-m.1', '1.0.0-M2'],
    ['maven', '1.0.0', '1.0-b'],
    ['maven', '1.0.0', '1.0-m-1'],
    ['maven', '1.0.0', '1.0-ga-2'],
    ['maven', '1.0.0', '1.0.0+jre'],
    ['pypi', '1.0.0', '1.0+security1'],
    ['pypi', '1.0.0-post.1.dev.1', '1.0.post1'],
    ['pypi', '1.5.0', '1!2.0'],
    ['maven', '1.5.0', '2.0.0.Final-redhat-00001'],
    ['npm', '1.5.0', '2.0']
  ])('of %s: %s is affected by what is fixed in %s', (ecosystem, version, fixed) => {
    const range = within(ecosystem, [
      ['introduced', '0'],
      ['fixed', fixed]
    ])
    expect(range.of(version)).toBe(version)
  })

  test.each<readonly [Ecosystem, string, string]>([
    ['maven', '9.4.0-v20161208', '9.4.0.v20161208'],
    ['maven', '1.0.0-m.2', '1.0.0-M2'],
    ['maven', '1.0.0-rc.10', '1.0-RC10'],
    ['maven', '32.0.0-jre', '32.0.0-android'],
    ['maven', '2.0.0', '2.0.0-rc1-SNAPSHOT'],
    ['pypi', '1.0.0-1', '1.0.post1'],
    ['pypi', '1.0.0-rc.1', '1.0.0rc1']
  ])('of %s: %s is safe from what is fixed in %s', (ecosystem, version, fixed) => {
    expect(
      within(ecosystem, [
        ['introduced', '0'],
        ['fixed', fixed]
      ]).of(version)
    ).toBe('')
  })

  test('is told to move to what has a word of its own', () => {
    const range = within('maven', [
      ['introduced', '0'],
      ['fixed', '32.0.0-android']
    ])
    expect(range.fixed('31.0.0-android')).toBe('32.0.0-android')
  })

  test('is held as far as a range may reach whose ends nobody can read', () => {
    const all = '0.1.0 1.0.0 1.9.0 2.0.0 2.5.0 3.0.0'
    const begins = within('pypi', [
      ['introduced', '2024x'],
      ['fixed', '1.5'],
      ['introduced', '2'],
      ['fixed', '2.5']
    ])
    expect(begins.of(all)).toBe('0.1.0 1.0.0 1.9.0 2.0.0')
    expect(begins.unordered).toBe(1)
    const ends = within('pypi', [
      ['introduced', '1'],
      ['fixed', '1!1.5'],
      ['introduced', '2'],
      ['last_affected', '2.5']
    ])
    expect(ends.of(all)).toBe('1.0.0 1.9.0 2.0.0 2.5.0')
    expect(
      within('pypi', [
        ['introduced', '1.5'],
        ['last_affected', '1!2']
      ]).of(all)
    ).toBe('1.9.0 2.0.0 2.5.0 3.0.0')
    expect(
      within('pypi', [
        ['introduced', '1!1'],
        ['fixed', '1!2']
      ]).of(all)
    ).toBe(all)
  })
})
