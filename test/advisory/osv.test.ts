import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isAffected, lowestFixed, unordered } from '../../protocol/advisory/match.ts'
import { EVENT_KINDS, nameIn, parseOsv } from '../../protocol/advisory/osv.ts'
import type { EventKind, OsvRange } from '../../protocol/advisory/osv.ts'
import { baseScore, baseScoreV2, severityIn, severityOfScore } from '../../protocol/advisory/severity.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { parseSemver, SEMVER_ORDERING } from '../../protocol/version.ts'
import { codeOf } from '../support/error-code.ts'

const bytes = (value: unknown): Uint8Array => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))

const RECORD = {
  schema_version: '1.6.7',
  id: 'OSV-2026-1',
  modified: '2026-01-31T12:00:00Z',
  affected: [
    { package: { ecosystem: 'ggen', name: 'alpha' }, ranges: [{ type: 'SEMVER', events: [{ introduced: '0' }] }] }
  ]
}

const rangeOf = (text: string, type: OsvRange['type'] = 'SEMVER'): OsvRange => ({
  type,
  events: text.split(' ').map(part => {
    const [kind = '', at = ''] = part.split('=')
    const found = EVENT_KINDS.find(one => one.startsWith(kind))
    if (found === undefined) throw new Error(`no event ${kind}`)
    return [found, at] as const
  })
})

/** Tables after the evaluation section of the OSV schema. */
describe('a version', () => {
  test.each([
    // range, affected, not affected
    ['intro=0', '0.0.0-0 1.0.0 999.0.0', ''],
    ['intro=0 fixed=1.0.2', '0.0.1 1.0.0 1.0.1 1.0.2-rc.1', '1.0.2 1.0.3 2.0.0'],
    ['fixed=1.0.2 intro=1.0.0', '1.0.0 1.0.1', '0.9.9 1.0.0-rc.1 1.0.2'],
    ['intro=1.0.0 last=1.0.2', '1.0.0 1.0.2', '0.9.0 1.0.3-rc.1 1.0.3'],
    ['intro=1.0.0 last=1.0.0', '1.0.0', '0.9.9 1.0.1'],
    ['intro=1.0.0 fixed=1.0.5 intro=2.0.0 fixed=2.0.3', '1.0.4 2.0.0 2.0.2', '0.1.0 1.0.5 1.9.9 2.0.3'],
    ['intro=2.0.0 fixed=2.0.3 intro=1.0.0 fixed=1.0.5', '1.0.4 2.0.0 2.0.2', '0.1.0 1.0.5 1.9.9 2.0.3'],
    ['intro=1.0.0 fixed=1.0.5 intro=2.0.0', '1.0.0 2.0.0 3.0.0', '1.0.5 1.9.9'],
    ['intro=1.0.0 limit=2.0.0', '1.0.0 1.9.9', '0.9.9 2.0.0 3.0.0'],
    ['intro=1.0.0 limit=*', '1.0.0 9.0.0', '0.9.9'],
    ['intro=1.0.0 limit=1.5.0 limit=2.0.0', '1.4.0 1.9.9', '2.0.0'],
    ['intro=1.0.0 fixed=1.0.0', '1.0.0 1.0.1', '0.9.9'],
    ['intro=1.0.0+build.7 fixed=1.2.0+1', '1.0.0 1.1.0', '1.2.0'],
    // Where what nobody can order ends nobody knows, so it may hold everything.
    ['intro=1.0 fixed=2.0', '0.1.0 1.0.0 3.0.0', ''],
    ['intro=1.0 fixed=2.0.0', '0.1.0 1.0.0', '2.0.0'],
    ['intro=1.0.0 fixed=v2.0.0', '1.0.0 3.0.0', '0.1.0'],
    ['intro=1.0.0 limit=v2.0.0', '1.0.0 3.0.0', '0.1.0']
  ])('in %s', (text, affected, not) => {
    for (const type of ['SEMVER', 'ECOSYSTEM'] as const) {
      const about = { versions: [], ranges: [rangeOf(text, type)] }
      const within = (version: string): boolean => isAffected(parseSemver(version), about, 'ggen')
      expect(affected.split(' ').filter(one => one !== '' && !within(one))).toEqual([])
      expect(not.split(' ').filter(one => one !== '' && within(one))).toEqual([])
    }
  })

  test('is affected when it is named, whatever ranges say, and when any range holds it', () => {
    const about = {
      versions: ['1.0.0', '3.0.0+b'],
      ranges: [rangeOf('intro=2.0.0 fixed=2.0.1'), rangeOf('intro=5.0.0')]
    }
    const affected = ['1.0.0', '1.0.1', '2.0.0', '2.0.1', '3.0.0', '5.0.0'].filter(version =>
      isAffected(parseSemver(version), about, 'ggen')
    )
    expect(affected).toEqual(['1.0.0', '2.0.0', '3.0.0', '5.0.0'])
    expect(isAffected(parseSemver('1.0.0'), { versions: [], ranges: [] }, 'ggen')).toBe(false)
  })

  test('is never in a range of commits', () => {
    const about = { versions: [], ranges: [rangeOf('intro=0', 'GIT')] }
    expect(isAffected(parseSemver('1.0.0'), about, 'ggen')).toBe(false)
    expect(unordered(about, 'ggen')).toEqual([])
    expect(unordered({ versions: [], ranges: [rangeOf('intro=1.0')] }, 'ggen')).toHaveLength(1)
  })

  test('of Go is known with and without its v', () => {
    expect(
      isAffected(parseSemver('1.1.0'), { versions: [], ranges: [rangeOf('intro=v1.0.0 fixed=v1.2.0')] }, 'go')
    ).toBe(true)
  })

  test.each([
    ['1.0.0', 'intro=0 fixed=1.0.2', '1.0.2'],
    ['2.0.0', 'intro=1.0.0 fixed=1.0.5 intro=2.0.0 fixed=2.0.3', '2.0.3'],
    ['1.0.0', 'intro=1.0.0 fixed=2.0.3 intro=2.0.3 fixed=2.0.4', '2.0.4'],
    ['1.0.0', 'intro=0 last=1.0.2', undefined],
    ['1.0.0', 'intro=0', undefined]
  ])('%s in %s is fixed in %s', (version, text, fixed) => {
    expect(lowestFixed(parseSemver(version), { versions: [], ranges: [rangeOf(text)] }, 'ggen')).toBe(fixed)
  })

  test('in any range is what the pseudocode of the schema says, in whatever order the events stand', () => {
    const version = fc.tuple(fc.nat(3), fc.nat(3), fc.nat(2)).map(parts => parts.join('.'))
    const kinds = fc.constantFrom<EventKind[]>('introduced', 'fixed')
    const events = fc.uniqueArray(fc.tuple(kinds, version), { minLength: 1, maxLength: 8, selector: ([, at]) => at })
    fc.assert(
      fc.property(events, version, fc.nat(), (given, at, turn) => {
        const all = [...given.map(([kind, text]) => [kind, text] as const), ['introduced', '9.9.9'] as const]
        const turned = [...all.slice(turn % all.length), ...all.slice(0, turn % all.length)]
        const about = (list: typeof all) => ({ versions: [], ranges: [{ type: 'SEMVER' as const, events: list }] })
        const { compare } = SEMVER_ORDERING
        let vulnerable = false
        for (const [kind, text] of all.toSorted(([, a], [, b]) => compare(parseSemver(a), parseSemver(b))))
          if (compare(parseSemver(at), parseSemver(text)) >= 0) vulnerable = kind === 'introduced'
        expect(isAffected(parseSemver(at), about(all), 'ggen')).toBe(vulnerable)
        expect(isAffected(parseSemver(at), about(turned), 'ggen')).toBe(vulnerable)
      }),
      { numRuns: 300 }
    )
  })
})

describe('a record', () => {
  test('is read with what is said of packages that can be here', () => {
    const record = parseOsv(
      bytes({
        ...RECORD,
        summary: 'a  \u202efault\n of it',
        aliases: ['CVE-2026-0001'],
        database_specific: { severity: 'MODERATE' },
        affected: [
          ...RECORD.affected,
          { package: { ecosystem: 'PyPI', name: 'Zope.Interface' }, versions: ['1.0'] },
          { package: { ecosystem: 'Debian:12', name: 'zlib' }, versions: ['1'] },
          { ranges: [{ type: 'GIT', repo: 'https://x.test', events: [{ introduced: '0' }] }] }
        ]
      })
    )
    expect(record.affected.map(({ name }) => name)).toEqual(['ggen/alpha', 'pypi/zope-interface'])
    expect(record).toMatchObject({ summary: 'a fault of it', severity: 'medium', withdrawn: false })
  })

  test.each([
    ['no JSON', '{"id": '],
    ['no object', '[]'],
    ['a key twice', '{"id":"A-1","id":"A-2","modified":"2026-01-31T12:00:00Z"}'],
    ['nested 40 deep', `{"id":"A-1","modified":"2026-01-31T12:00:00Z","x":${'['.repeat(40)}${']'.repeat(40)}}`],
    ['without an id', { ...RECORD, id: undefined }],
    ['with an id that is a path', { ...RECORD, id: '../A-1' }],
    ['with an id in which the reading direction turns', { ...RECORD, id: 'OSV-\u202e1' }],
    ['without a time', { ...RECORD, modified: undefined }],
    ['with a time without its zone', { ...RECORD, modified: '2026-01-31T12:00:00' }],
    ['with a time that does not exist', { ...RECORD, modified: '2026-13-31T12:00:00Z' }],
    ['withdrawn by a yes', { ...RECORD, withdrawn: true }],
    ['affected as an object', { ...RECORD, affected: {} }],
    ['with versions that are numbers', { ...RECORD, affected: [{ versions: [1] }] }],
    [
      'with a range of no known type',
      { ...RECORD, affected: [{ ranges: [{ type: 'NPM', events: [{ introduced: '0' }] }] }] }
    ],
    [
      'with a range that begins nowhere',
      { ...RECORD, affected: [{ ranges: [{ type: 'SEMVER', events: [{ fixed: '1.0.0' }] }] }] }
    ],
    [
      'with a range that ends in two ways',
      {
        ...RECORD,
        affected: [
          {
            ranges: [{ type: 'SEMVER', events: [{ introduced: '0' }, { fixed: '1.0.0' }, { last_affected: '1.0.1' }] }]
          }
        ]
      }
    ],
    [
      'with an event that is two',
      { ...RECORD, affected: [{ ranges: [{ type: 'SEMVER', events: [{ introduced: '0', fixed: '1.0.0' }] }] }] }
    ],
    [
      'with too many versions',
      { ...RECORD, affected: [{ versions: Array.from({ length: LIMITS.advisory.versions + 1 }, () => '1') }] }
    ]
  ])('that is %s is refused', (_, record) => {
    expect(codeOf(() => parseOsv(bytes(record)))).toBe('MALFORMED')
  })

  test('that is too large is refused before it is read', () => {
    const large = bytes({ ...RECORD, details: 'x'.repeat(LIMITS.advisory.recordBytes) })
    expect(codeOf(() => parseOsv(large))).toBe('LIMIT_EXCEEDED')
    expect(codeOf(() => parseOsv(new Uint8Array(LIMITS.advisory.recordBytes + 1)))).toBe('LIMIT_EXCEEDED')
  })

  test('of any JSON is read or refused, and nothing else happens', () => {
    const values = fc.oneof(
      fc.json(),
      fc
        .record({ id: fc.string(), modified: fc.string(), affected: fc.jsonValue() })
        .map(value => JSON.stringify(value)),
      fc.jsonValue().map(affected => JSON.stringify({ ...RECORD, affected: [affected, { ranges: affected }] }))
    )
    fc.assert(
      fc.property(values, text => {
        try {
          parseOsv(bytes(text))
        } catch (error) {
          expect(error).toBeInstanceOf(RegistryError)
        }
      }),
      { numRuns: 500 }
    )
  })

  test('names packages as they are written here', () => {
    expect(nameIn('crates.io', 'serde')).toBe('cargo/serde')
    expect(nameIn('npm', '@scope/left-pad')).toBe('npm/@scope/left-pad')
    expect(nameIn('Maven', 'org.example:tool')).toBe('maven/org.example/tool')
    expect(nameIn('toString', 'x')).toBeUndefined()
    expect(nameIn('ggen', 'Not A Name')).toBeUndefined()
  })
})

describe('severity', () => {
  // Scores as first.org's calculator gives them.
  test.each([
    ['CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H', 9.8],
    ['CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H', 10],
    ['CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H', 7.5],
    ['CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N', 6.1],
    ['CVSS:3.0/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H', 7.8],
    ['CVSS:3.1/AV:L/AC:H/PR:L/UI:N/S:U/C:L/I:N/A:N', 2.5],
    ['CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N', 6.4],
    ['CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N', 0]
  ])('%s scores %d', (vector, score) => {
    expect(baseScore(vector)).toBe(score)
  })

  // Scores as the guide to CVSS v2 gives them, in its section 3.3.
  test.each([
    ['AV:N/AC:L/Au:N/C:N/I:N/A:C', 7.8],
    ['AV:N/AC:L/Au:N/C:C/I:C/A:C', 10],
    ['AV:L/AC:H/Au:N/C:C/I:C/A:C', 6.2],
    ['AV:N/AC:L/Au:N/C:N/I:N/A:N', 0]
  ])('%s scores %d', (vector, score) => {
    expect(baseScoreV2(vector)).toBe(score)
    expect(baseScore(vector)).toBeUndefined()
  })

  test('of the second version ends with high', () => {
    const rated = (score: string): string => severityIn({ severity: [{ type: 'CVSS_V2', score }] })
    expect(rated('AV:N/AC:L/Au:N/C:C/I:C/A:C')).toBe('high')
    expect(rated('AV:L/AC:H/Au:N/C:C/I:C/A:C')).toBe('medium')
    for (const bad of [
      'AV:N/AC:L/Au:N/C:C/I:C',
      'AV:N/AV:L/AC:L/Au:N/C:C/I:C/A:C',
      'AV:toString/AC:L/Au:N/C:C/I:C/A:C'
    ])
      expect(rated(bad)).toBe('unknown')
  })

  test('of what cannot be read is unknown, and of several the worst stands', () => {
    for (const vector of [
      '',
      'CVSS:3.1/AV:N',
      'CVSS:3.1/AV:N/AV:N',
      'CVSS:4.0/AV:N',
      'CVSS:3.1/AV:constructor/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N'
    ])
      expect(baseScore(vector)).toBeUndefined()
    expect(severityIn({ severity: [{ type: 'CVSS_V4', score: 'CVSS:4.0/AV:N' }] })).toBe('unknown')
    const low = { type: 'CVSS_V3', score: 'CVSS:3.1/AV:L/AC:H/PR:L/UI:N/S:U/C:L/I:N/A:N' }
    expect(severityIn({ severity: [low], database_specific: { severity: 'CRITICAL' } })).toBe('critical')
    expect(severityIn({ severity: [low, { type: 'CVSS_V3', score: 7 }] })).toBe('low')
    expect([3.9, 4, 6.9, 7, 8.9, 9].map(severityOfScore)).toEqual([
      'low',
      'medium',
      'medium',
      'high',
      'high',
      'critical'
    ])
  })
})
