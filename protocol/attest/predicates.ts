import { RegistryError } from '../errors.ts'
import { parseDomain } from '../publisher/domain.ts'
import {
  exactIn,
  listIn,
  maybeExactIn,
  maybeObjectIn,
  maybeTextIn,
  maybeTimeIn,
  numberIn,
  objectIn,
  objectsIn
} from './predicate-fields.ts'
import { fieldOf, oneOf, some, textIn, textsIn, wrong } from './predicate-fields.ts'
import { summariseCycloneDx, summariseSpdx } from './sbom-summary.ts'
import { isJsonObject } from './strict-json.ts'
import type { JsonObject } from './strict-json.ts'
import type {
  AuditSummary,
  BenchmarkSummary,
  LicenceSummary,
  ProvenanceSummary,
  ReproducibleSummary,
  ReviewSummary,
  Source,
  SourceSummary,
  Summary,
  TestSummary,
  VerificationSummary,
  VulnerabilitiesSummary
} from './summary.ts'
import { quoted } from '../strange-text.ts'

/** The name of a kind of statement, as commands and rules write it. */
export type KnownType = Summary['type']

interface PredicateSchema {
  readonly type: KnownType
  /** The first is what we write; the others are read as well. */
  readonly uris: readonly [string, ...string[]]
  readonly summarise: (predicate: JsonObject) => Summary
}

export const AUDIT_TYPE = 'urn:ggen:attestation:audit:1'

/** Each schema is described in docs/spec/attestation.md section 4. `urn:ggen:…` are our own, where nobody had one. */
const SCHEMAS: readonly PredicateSchema[] = [
  { type: 'provenance', uris: ['https://slsa.dev/provenance/v1'], summarise: provenance },
  { type: 'source', uris: ['urn:ggen:attestation:source:1'], summarise: source },
  { type: 'reproducible', uris: ['urn:ggen:attestation:reproducible-build:1'], summarise: reproducible },
  { type: 'audit', uris: [AUDIT_TYPE], summarise: audit },
  { type: 'licence', uris: ['urn:ggen:attestation:licence:1'], summarise: licence },
  {
    type: 'vulnerabilities',
    uris: ['https://in-toto.io/attestation/vulns/v0.2', 'https://in-toto.io/attestation/vulns/v0.1'],
    summarise: vulnerabilities
  },
  {
    type: 'sbom',
    uris: [
      'https://cyclonedx.org/bom',
      'https://cyclonedx.org/bom/v1.6',
      'https://cyclonedx.org/bom/v1.5',
      'https://cyclonedx.org/bom/v1.4'
    ],
    summarise: summariseCycloneDx
  },
  {
    type: 'sbom',
    uris: ['https://spdx.dev/Document', 'https://spdx.dev/Document/v2.3', 'https://spdx.dev/Document/v2.2'],
    summarise: summariseSpdx
  },
  { type: 'test', uris: ['https://in-toto.io/attestation/test-result/v0.1'], summarise: test },
  { type: 'benchmark', uris: ['urn:ggen:attestation:benchmark:1'], summarise: benchmark },
  { type: 'review', uris: ['urn:ggen:attestation:review:1'], summarise: review },
  { type: 'star', uris: ['urn:ggen:attestation:star:1'], summarise: () => ({ type: 'star' }) },
  {
    type: 'domain',
    uris: ['urn:ggen:attestation:domain:1'],
    summarise: of => ({ type: 'domain', domain: parseDomain(exactIn(of, 'domain')) })
  },
  { type: 'verification', uris: ['https://slsa.dev/verification_summary/v1'], summarise: verification }
]

const BY_URI = new Map(SCHEMAS.flatMap(schema => schema.uris.map(uri => [uri, schema] as const)))

/** What `--type` takes, beside any URI: names, and the two formats of a bill of materials. */
export const TYPE_NAMES: ReadonlyMap<string, string> = new Map([
  ...SCHEMAS.filter(({ type }) => type !== 'sbom').map(({ type, uris }) => [type, uris[0]] as const),
  ['sbom', 'https://cyclonedx.org/bom'],
  ['cyclonedx', 'https://cyclonedx.org/bom'],
  ['spdx', 'https://spdx.dev/Document'],
  ['license', 'urn:ggen:attestation:licence:1'],
  ['vulns', 'https://in-toto.io/attestation/vulns/v0.2'],
  ['vsa', 'https://slsa.dev/verification_summary/v1']
])

/** Undefined for a type that we have no schema of. */
export function typeOf(predicateType: string): KnownType | undefined {
  return BY_URI.get(predicateType)?.type
}

/**
 * What a predicate says; undefined for a type that we have no schema of, which is kept and shown and never trusted.
 * @throws RegistryError MALFORMED when it does not fit the schema of its type
 */
export function summarise(predicateType: string, predicate: JsonObject): Summary | undefined {
  return BY_URI.get(predicateType)?.summarise(predicate)
}

function provenance(predicate: JsonObject): ProvenanceSummary {
  const definition = objectIn(predicate, 'buildDefinition')
  const run = objectIn(predicate, 'runDetails')
  const metadata = maybeObjectIn(run, 'metadata')
  return {
    type: 'provenance',
    builder: exactIn(objectIn(run, 'builder'), 'id'),
    buildType: exactIn(definition, 'buildType'),
    source: builtFrom(objectsIn(definition, 'resolvedDependencies')),
    finished: metadata === undefined ? null : maybeTimeIn(metadata, 'finishedOn')
  }
}

/** The first thing with a commit that it was built from. */
function builtFrom(dependencies: readonly JsonObject[]): Source | null {
  for (const dependency of dependencies) {
    const digest = maybeObjectIn(dependency, 'digest')
    const commit = digest === undefined ? null : (maybeExactIn(digest, 'gitCommit') ?? maybeExactIn(digest, 'sha1'))
    const uri = maybeExactIn(dependency, 'uri')
    if (uri !== null && commit !== null) return { uri, revision: commit }
  }
  return null
}

function source(predicate: JsonObject): SourceSummary {
  const repository = exactIn(predicate, 'repository')
  return {
    type: 'source',
    source: { uri: repository, revision: exactIn(predicate, 'revision') },
    path: maybeExactIn(predicate, 'path')
  }
}

function reproducible(predicate: JsonObject): ReproducibleSummary {
  const from = maybeObjectIn(predicate, 'source')
  return {
    type: 'reproducible',
    result: oneOf(predicate, 'result', ['reproduced', 'different']),
    rebuilder: exactIn(predicate, 'rebuilder'),
    source: from === undefined ? null : { uri: exactIn(from, 'uri'), revision: maybeExactIn(from, 'revision') }
  }
}

const CRITERION = /^[a-z0-9]+(?:[.-][a-z0-9]+)*$/
const SHA256 = /^[0-9a-f]{64}$/

function audit(predicate: JsonObject): AuditSummary {
  const criteria = textsIn(predicate, 'criteria')
  if (criteria.length === 0 || !criteria.every(name => CRITERION.test(name))) throw wrong('criteria', 'a list of names')
  if (some(criteria).length < criteria.length) throw wrong('criteria', 'a shorter list')
  const kind = oneOf(predicate, 'kind', ['full', 'delta'])
  const from = maybeObjectIn(predicate, 'from')
  // Attack: a delta that does not say from which bytes would make a whole out of whatever was audited before.
  if ((kind === 'delta') !== (from !== undefined)) throw wrong('from', 'given for a delta and only there')
  return {
    type: 'audit',
    criteria: [...new Set(criteria)],
    result: oneOf(predicate, 'result', ['pass', 'fail']),
    kind,
    from: from === undefined ? null : { version: exactIn(from, 'version'), sha256: sha256In(from) },
    notes: maybeTextIn(predicate, 'notes'),
    report: maybeExactIn(predicate, 'report')
  }
}

function sha256In(of: JsonObject): string {
  const sha256 = exactIn(of, 'sha256')
  if (!SHA256.test(sha256)) throw wrong('sha256', '64 hexadecimal digits')
  return sha256
}

const SPDX_CHARS = /^[A-Za-z0-9.+()\x20:-]+$/

function licence(predicate: JsonObject): LicenceSummary {
  const concluded = exactIn(predicate, 'concluded')
  const declared = maybeExactIn(predicate, 'declared')
  for (const text of [concluded, declared ?? concluded])
    if (!SPDX_CHARS.test(text)) throw wrong('licence', 'an SPDX expression')
  return { type: 'licence', concluded, declared, notes: maybeTextIn(predicate, 'notes') }
}

function vulnerabilities(predicate: JsonObject): VulnerabilitiesSummary {
  const scanner = objectIn(predicate, 'scanner')
  const database = maybeObjectIn(scanner, 'db')
  const metadata = maybeObjectIn(predicate, 'metadata')
  // Attack: a list that is missing is not an empty one.
  listIn(scanner, 'result')
  const result = objectsIn(scanner, 'result')
  const found = result.map(one => ({ id: exactIn(one, 'id'), severity: severityOf(one) }))
  return {
    type: 'vulnerabilities',
    scanner: exactIn(scanner, 'uri'),
    count: found.length,
    found: some(found),
    databaseTime: database === undefined ? null : maybeTimeIn(database, 'lastUpdate'),
    finished: metadata === undefined ? null : maybeTimeIn(metadata, 'scanFinishedOn')
  }
}

/** Of several methods, the first one's score. */
function severityOf(one: JsonObject): string | null {
  const severity = fieldOf(one, 'severity')
  const first: unknown = Array.isArray(severity) ? severity[0] : severity
  return isJsonObject(first) ? maybeTextIn(first, 'score') : null
}

const RESULTS = { PASSED: 'passed', WARNED: 'warned', FAILED: 'failed' } as const

function test(predicate: JsonObject): TestSummary {
  const failed = textsIn(predicate, 'failedTests').length
  const result = RESULTS[oneOf(predicate, 'result', ['PASSED', 'WARNED', 'FAILED'])]
  // Attack: a pass over a list of what failed.
  if (failed > 0 && result !== 'failed') throw wrong('result', 'FAILED where tests failed')
  return {
    type: 'test',
    result,
    passed: textsIn(predicate, 'passedTests').length,
    warned: textsIn(predicate, 'warnedTests').length,
    failed,
    url: maybeExactIn(predicate, 'url')
  }
}

function benchmark(predicate: JsonObject): BenchmarkSummary {
  listIn(predicate, 'results')
  const results = objectsIn(predicate, 'results').map(one => ({
    name: textIn(one, 'name'),
    value: numberIn(one, 'value', -Number.MAX_VALUE, Number.MAX_VALUE),
    unit: textIn(one, 'unit')
  }))
  return { type: 'benchmark', suite: textIn(predicate, 'suite'), results: some(results) }
}

function review(predicate: JsonObject): ReviewSummary {
  const score = numberIn(predicate, 'score', 1, 5)
  if (!Number.isInteger(score)) throw wrong('score', 'a whole number from 1 to 5')
  return { type: 'review', score, text: maybeTextIn(predicate, 'text') }
}

function verification(predicate: JsonObject): VerificationSummary {
  const policy = maybeObjectIn(predicate, 'policy')
  return {
    type: 'verification',
    verifier: exactIn(objectIn(predicate, 'verifier'), 'id'),
    result: oneOf(predicate, 'verificationResult', ['PASSED', 'FAILED']) === 'PASSED' ? 'passed' : 'failed',
    levels: some(textsIn(predicate, 'verifiedLevels')),
    policy: policy === undefined ? null : maybeExactIn(policy, 'uri'),
    resource: exactIn(predicate, 'resourceUri'),
    verified: maybeTimeIn(predicate, 'timeVerified')
  }
}

/** The URI that somebody means by the name of a type, or by a URI. @throws RegistryError USAGE */
export function predicateTypeFrom(text: string): string {
  const known = TYPE_NAMES.get(text)
  if (known !== undefined) return known
  if (/^[a-z][a-z0-9+.-]*:[\x21-\x7e]+$/i.test(text)) return text
  throw new RegistryError('USAGE', `${quoted(text)} is not a type of statement`, {
    next: `use ${[...TYPE_NAMES.keys()].join(', ')} or the URI of another one`
  })
}

/**
 * Every URI that somebody may mean who asks for a kind: other tools write older versions of some, and a bill of materials has two
 * formats. A URI means itself.
 * @throws RegistryError USAGE
 */
export function predicateTypesMeant(text: string): readonly string[] {
  const uri = predicateTypeFrom(text)
  if (uri === text) return [uri]
  const isMeant = ({ type, uris }: PredicateSchema): boolean => uris[0] === uri || (text === 'sbom' && type === 'sbom')
  return SCHEMAS.filter(isMeant).flatMap(({ uris }) => uris)
}
