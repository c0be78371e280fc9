import { describe, expect, test } from 'vitest'
import {
  predicateTypeFrom,
  predicateTypesMeant,
  summarise,
  TYPE_NAMES,
  typeOf
} from '../../protocol/attest/predicates.ts'
import { parseStatement, STATEMENT_TYPE } from '../../protocol/attest/statement.ts'
import { packageIn, purlOf } from '../../protocol/attest/release-subjects.ts'
import { parsePackageName } from '../../protocol/package-name.ts'
import { parseSemver } from '../../protocol/version.ts'
import { utf8 } from '../../protocol/bytes.ts'
import { codeOf } from '../support/error-code.ts'

type Fields = Record<string, unknown>

const SLSA = {
  buildDefinition: {
    buildType: 'https://actions.github.io/buildtypes/workflow/v1',
    externalParameters: {},
    resolvedDependencies: [
      { uri: 'pkg:x/without-a-commit' },
      {
        uri: 'git+https://example.org/acme/tool@refs/tags/v1',
        digest: { gitCommit: 'c27d339ee6075c1f744c5d4b200f7901aad2c369' }
      }
    ]
  },
  runDetails: { builder: { id: 'https://example.org/builder' }, metadata: { finishedOn: '2026-01-02T03:04:05Z' } }
}

const AUDIT = {
  criteria: ['safe-to-run', 'safe-to-deploy', 'safe-to-run'],
  result: 'pass',
  kind: 'full',
  notes: ' read it \n'
}
const SCAN = {
  scanner: {
    uri: 'pkg:github/aquasecurity/trivy@1',
    db: { lastUpdate: '2026-01-01T00:00:00.5Z' },
    result: [{ id: 'CVE-2026-1', severity: [{ method: 'nvd', score: 'medium' }] }, { id: 'CVE-2026-2' }]
  },
  metadata: { scanStartedOn: '2026-01-01T00:00:00Z', scanFinishedOn: '2026-01-01T00:01:00+01:00' }
}
const TESTS = { result: 'WARNED', configuration: [], passedTests: ['a', 'b'], warnedTests: ['c'], failedTests: [] }
const VSA = {
  verifier: { id: 'https://example.org/verifier' },
  timeVerified: '2026-01-01T00:00:00Z',
  resourceUri: 'pkg:ggen/alpha@1.0.0',
  policy: { uri: 'https://example.org/policy' },
  verificationResult: 'PASSED',
  verifiedLevels: ['SLSA_BUILD_LEVEL_3']
}
const CYCLONEDX = {
  bomFormat: 'CycloneDX',
  specVersion: '1.6',
  metadata: { component: { name: 'alpha', licenses: [{ expression: 'MIT OR Apache-2.0' }] } },
  components: [
    { name: 'b', licenses: [{ license: { id: 'MIT' } }] },
    { name: 'c', licenses: [{ license: { name: 'Own' } }] }
  ]
}
const SPDX = {
  spdxVersion: 'SPDX-2.3',
  SPDXID: 'SPDXRef-DOCUMENT',
  packages: [
    { SPDXID: 'SPDXRef-a', licenseConcluded: 'NOASSERTION', licenseDeclared: 'MIT' },
    { SPDXID: 'SPDXRef-b', licenseConcluded: 'Apache-2.0' }
  ],
  relationships: [{ spdxElementId: 'SPDXRef-DOCUMENT', relationshipType: 'DESCRIBES', relatedSpdxElement: 'SPDXRef-a' }]
}

const GOOD: readonly (readonly [string, Fields, Fields])[] = [
  [
    'provenance',
    SLSA,
    {
      type: 'provenance',
      builder: 'https://example.org/builder',
      buildType: 'https://actions.github.io/buildtypes/workflow/v1',
      source: {
        uri: 'git+https://example.org/acme/tool@refs/tags/v1',
        revision: 'c27d339ee6075c1f744c5d4b200f7901aad2c369'
      },
      finished: Date.UTC(2026, 0, 2, 3, 4, 5)
    }
  ],
  [
    'source',
    { repository: 'https://example.org/acme/tool', revision: 'abc' },
    { type: 'source', source: { uri: 'https://example.org/acme/tool', revision: 'abc' }, path: null }
  ],
  [
    'reproducible',
    { result: 'reproduced', rebuilder: 'https://example.org/rebuilder', source: { uri: 'git+x:y', revision: 'abc' } },
    {
      type: 'reproducible',
      result: 'reproduced',
      rebuilder: 'https://example.org/rebuilder',
      source: { uri: 'git+x:y', revision: 'abc' }
    }
  ],
  [
    'audit',
    AUDIT,
    {
      type: 'audit',
      criteria: ['safe-to-run', 'safe-to-deploy'],
      result: 'pass',
      kind: 'full',
      from: null,
      notes: 'read it',
      report: null
    }
  ],
  [
    'audit',
    { criteria: ['safe-to-run'], result: 'fail', kind: 'delta', from: { version: '1.0.0', sha256: 'a'.repeat(64) } },
    {
      type: 'audit',
      criteria: ['safe-to-run'],
      result: 'fail',
      kind: 'delta',
      from: { version: '1.0.0', sha256: 'a'.repeat(64) },
      notes: null,
      report: null
    }
  ],
  [
    'licence',
    { concluded: 'MIT OR Apache-2.0', declared: 'MIT' },
    { type: 'licence', concluded: 'MIT OR Apache-2.0', declared: 'MIT', notes: null }
  ],
  [
    'vulnerabilities',
    SCAN,
    {
      type: 'vulnerabilities',
      scanner: 'pkg:github/aquasecurity/trivy@1',
      count: 2,
      found: [
        { id: 'CVE-2026-1', severity: 'medium' },
        { id: 'CVE-2026-2', severity: null }
      ],
      databaseTime: Date.UTC(2026, 0, 1) + 500,
      finished: Date.UTC(2026, 0, 1) + 60_000 - 3_600_000
    }
  ],
  [
    'cyclonedx',
    CYCLONEDX,
    { type: 'sbom', format: 'cyclonedx', version: '1.6', components: 2, licences: ['MIT OR Apache-2.0', 'MIT', 'Own'] }
  ],
  ['spdx', SPDX, { type: 'sbom', format: 'spdx', version: '2.3', components: 1, licences: ['MIT', 'Apache-2.0'] }],
  ['test', TESTS, { type: 'test', result: 'warned', passed: 2, warned: 1, failed: 0, url: null }],
  [
    'benchmark',
    { suite: 'parse', results: [{ name: 'small', value: 1.5, unit: 'ms' }] },
    { type: 'benchmark', suite: 'parse', results: [{ name: 'small', value: 1.5, unit: 'ms' }] }
  ],
  ['review', { score: 4, text: 'well\u202e made' }, { type: 'review', score: 4, text: 'well made' }],
  ['star', {}, { type: 'star' }],
  ['domain', { domain: 'example.org' }, { type: 'domain', domain: 'example.org' }],
  [
    'verification',
    VSA,
    {
      type: 'verification',
      verifier: 'https://example.org/verifier',
      result: 'passed',
      levels: ['SLSA_BUILD_LEVEL_3'],
      policy: 'https://example.org/policy',
      resource: 'pkg:ggen/alpha@1.0.0',
      verified: Date.UTC(2026, 0, 1)
    }
  ]
]

describe('a predicate', () => {
  test.each(GOOD)('%s is read', (name, predicate, summary) => {
    expect(summarise(predicateTypeFrom(name), predicate)).toEqual(summary)
  })

  test('of an older version, as other tools write it, is found by the name of its kind', () => {
    expect(predicateTypesMeant('vulns')).toContain('https://in-toto.io/attestation/vulns/v0.1')
    expect(predicateTypesMeant('cyclonedx')).toContain('https://cyclonedx.org/bom/v1.5')
    expect(predicateTypesMeant('cyclonedx')).not.toContain('https://spdx.dev/Document')
    expect(predicateTypesMeant('sbom')).toEqual([...predicateTypesMeant('cyclonedx'), ...predicateTypesMeant('spdx')])
    expect(predicateTypesMeant('https://cyclonedx.org/bom')).toEqual(['https://cyclonedx.org/bom'])
    for (const uri of predicateTypesMeant('sbom')) expect(typeOf(uri)).toBe('sbom')
  })

  test('every kind has a schema that was read above', () => {
    const read = new Set(GOOD.map(([name]) => typeOf(predicateTypeFrom(name))))
    expect(new Set([...TYPE_NAMES.values()].map(typeOf))).toEqual(read)
  })

  test.each<[string, string, Fields]>([
    ['no criteria', 'audit', { ...AUDIT, criteria: [] }],
    ['criteria that are none', 'audit', { ...AUDIT, criteria: ['Safe to run'] }],
    ['a result between', 'audit', { ...AUDIT, result: 'mostly' }],
    ['a delta from nowhere', 'audit', { ...AUDIT, kind: 'delta' }],
    ['a full one from somewhere', 'audit', { ...AUDIT, from: { version: '1.0.0', sha256: 'a'.repeat(64) } }],
    ['a delta from a version without its bytes', 'audit', { ...AUDIT, kind: 'delta', from: { version: '1.0.0' } }],
    ['a score of six', 'review', { score: 6 }],
    ['a score of 4.5', 'review', { score: 4.5 }],
    ['a score that is text', 'review', { score: '5' }],
    ['no score', 'review', {}],
    ['a scan without a list of results', 'vulns', { scanner: { uri: 'x:y' } }],
    ['a scan whose results have no id', 'vulns', { scanner: { uri: 'x:y', result: [{}] } }],
    ['a pass with tests that failed', 'test', { ...TESTS, result: 'PASSED', failedTests: ['d'] }],
    ['a licence that is a sentence', 'licence', { concluded: 'do what you want!' }],
    ['provenance without a builder', 'provenance', { ...SLSA, runDetails: {} }],
    ['a time that is none', 'vsa', { ...VSA, timeVerified: 'yesterday' }],
    ['a time beyond the calendar', 'vsa', { ...VSA, timeVerified: '2026-13-01T00:00:00Z' }],
    ['a verdict of its own', 'vsa', { ...VSA, verificationResult: 'MAYBE' }],
    ['a bill of another format', 'cyclonedx', SPDX],
    ['a bill of a later version', 'cyclonedx', { ...CYCLONEDX, specVersion: '9.9' }],
    ['a bill whose parts are a number', 'cyclonedx', { ...CYCLONEDX, components: 7 }],
    ['SPDX packages without ids', 'spdx', { ...SPDX, packages: [{}] }],
    ['a benchmark of nothing', 'benchmark', { suite: 'x' }],
    ['a benchmark without numbers', 'benchmark', { suite: 'x', results: [{ name: 'a', value: '1', unit: 's' }] }],
    ['a name without end', 'source', { repository: 'x'.repeat(2_000), revision: 'y' }]
  ])('with %s is malformed', (_, name, predicate) => {
    expect(codeOf(() => summarise(predicateTypeFrom(name), predicate))).toBe('MALFORMED')
  })

  test('of another kind is no error, and says nothing to us', () => {
    expect(summarise('https://example.org/other', { anything: 1 })).toBeUndefined()
    expect(predicateTypeFrom('https://example.org/other')).toBe('https://example.org/other')
    expect(codeOf(() => predicateTypeFrom('other'))).toBe('USAGE')
  })

  test('is asked for what is in it, and not for what every object has', () => {
    expect(codeOf(() => summarise(predicateTypeFrom('source'), { repository: 'x:y' }))).toBe('MALFORMED')
    const inherited = Object.create({ repository: 'x:y', revision: 'z' }) as Fields
    expect(codeOf(() => summarise(predicateTypeFrom('source'), inherited))).toBe('MALFORMED')
  })

  test('of many parts is told of in few', () => {
    const results = Array.from({ length: 1_000 }, (_, i) => ({ id: `CVE-${i}` }))
    const summary = summarise(predicateTypeFrom('vulns'), { scanner: { uri: 'x:y', result: results } })
    expect(summary).toMatchObject({ count: 1_000 })
    expect(summary).toHaveProperty('found.length', 64)
  })
})

describe('a statement', () => {
  const good = {
    _type: STATEMENT_TYPE,
    subject: [{ name: 'a', digest: { sha256: 'a'.repeat(64), gitCommit: 'what it likes' } }],
    predicateType: 'https://example.org/other',
    predicate: {}
  }
  const read = (value: unknown): string => codeOf(() => parseStatement(utf8(JSON.stringify(value))))

  test('is read with the fields that it may leave away', () => {
    expect(read(good)).toBe('none')
    expect(read({ ...good, predicate: undefined })).toBe('none')
    expect(read({ ...good, subject: [{ digest: { sha1: 'x' } }], later: true })).toBe('none')
  })

  test.each<[string, unknown]>([
    ['of another version', { ...good, _type: 'https://in-toto.io/Statement/v0.1' }],
    ['about nothing', { ...good, subject: [] }],
    ['about something without a digest', { ...good, subject: [{ name: 'a' }] }],
    ['about something with no digest in its digests', { ...good, subject: [{ name: 'a', digest: {} }] }],
    ['with half a sha256', { ...good, subject: [{ digest: { sha256: 'a'.repeat(32) } }] }],
    ['with a sha256 in capitals', { ...good, subject: [{ digest: { sha256: 'A'.repeat(64) } }] }],
    ['with a digest that is a number', { ...good, subject: [{ digest: { sha1: 1 } }] }],
    ['of no type', { ...good, predicateType: undefined }],
    ['of a type that is no URI', { ...good, predicateType: 'audit' }],
    ['of a type with a line feed', { ...good, predicateType: 'x:\n' }],
    ['whose predicate is a list', { ...good, predicate: [] }],
    ['that is a list', [good]]
  ])('%s is malformed', (_, value) => {
    expect(read(value)).toBe('MALFORMED')
  })

  test('about more than 1,024 things is refused', () => {
    expect(read({ ...good, subject: Array.from({ length: 1_024 }, () => good.subject[0]) })).toBe('none')
    expect(read({ ...good, subject: Array.from({ length: 1_025 }, () => good.subject[0]) })).toBe('LIMIT_EXCEEDED')
  })
})

test.each([
  ['ggen/alpha', 'pkg:ggen/alpha@1.0.0'],
  ['npm/@scope/x', 'pkg:npm/%40scope/x@1.0.0'],
  ['go/example.org/x', 'pkg:golang/example.org/x@1.0.0']
])('%s is called %s', (name, url) => {
  const parsed = parsePackageName(name)
  expect(purlOf(parsed, parseSemver('1.0.0'))).toBe(url)
  expect(packageIn(url)).toBe(parsed)
})

test.each(['alpha', 'pkg:', 'pkg:ggen/', 'pkg:ggen/Alpha', 'pkg:ggen/%', 'pkg:deb/x@1', 'ipfs://x', undefined])(
  '%s names no package',
  url => {
    expect(packageIn(url)).toBeUndefined()
  }
)
