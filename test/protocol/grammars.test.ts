import { base32 } from 'multiformats/bases/base32'
import { base58btc } from 'multiformats/bases/base58'
import { expect, test } from 'vitest'
import { parseContentId, parseFactId } from '../../protocol/cid.ts'
import { formatPrincipal, parsePrincipal, publicKeyOf } from '../../protocol/did.ts'
import type { Principal } from '../../protocol/did.ts'
import { parsePackageName } from '../../protocol/package-name.ts'
import { parseReference } from '../../protocol/reference.ts'
import { covers, parseRevokedScope, parseScope } from '../../protocol/role.ts'
import { parseSemver, SEMVER_ORDERING } from '../../protocol/version.ts'
import { codeOf } from '../support/error-code.ts'
import { contentIdOf, FactWriter, person, subject } from '../support/facts.ts'
import { vectors } from '../support/vectors.ts'

test.each(vectors('package-name-valid.txt'))('takes the package name %s', name => {
  expect(parsePackageName(name)).toBe(name)
})

test.each(vectors('package-name-invalid.txt'))('refuses the package name %s', name => {
  expect(codeOf(() => parsePackageName(name))).toBe('INVALID_NAME')
})

test.each(vectors('version-valid.txt'))('takes the version %s', version => {
  expect(parseSemver(version)).toBe(version)
})

test.each(vectors('version-invalid.txt'))('refuses the version %s', version => {
  expect(codeOf(() => parseSemver(version))).toBe('INVALID_VERSION')
})

test.each(vectors('scope-valid.txt'))('takes the scope %s', scope => {
  expect(parseScope(scope)).toBe(scope)
})

test.each(vectors('revoked-scope-valid.txt'))('takes the scope %s of a revocation', scope => {
  expect(parseRevokedScope(scope)).toBe(scope)
})

test.each(vectors('revoked-scope-invalid.txt'))('refuses the scope %s of a revocation', scope => {
  expect(codeOf(() => parseRevokedScope(scope))).toBe('MALFORMED')
})

test.each(vectors('scope-invalid.txt'))('refuses the scope %s', scope => {
  expect(codeOf(() => parseScope(scope))).toBe('MALFORMED')
})

test.each(vectors('reference-valid.txt'))('reads the reference %s', line => {
  const [input = '', alias, name, range] = line.split('\t')
  const read = parseReference(input)
  expect([read.alias ?? '-', read.name, read.range ?? '-']).toEqual([alias, name, range])
})

test.each(vectors('reference-invalid.txt'))('refuses the reference %s', input => {
  expect(['INVALID_REFERENCE', 'INVALID_NAME']).toContain(codeOf(() => parseReference(input)))
})

test('an empty text is no name, version, scope, reference, id or key', () => {
  for (const parse of [
    parsePackageName,
    parseSemver,
    parseScope,
    parseRevokedScope,
    parseReference,
    parseFactId,
    parsePrincipal
  ]) {
    expect(codeOf(() => parse(''))).not.toBe('none')
  }
})

test('a scope is a prefix and never a pattern', () => {
  const cases = [
    ['*', 'acme-tool', true],
    ['ggen/*', 'acme-tool', true],
    ['npm/*', 'acme-tool', false],
    ['ggen/acme-*', 'acme-tool', true],
    ['ggen/acme-*', 'acme', false],
    ['ggen/acme', 'acme-tool', false],
    ['ggen/acme', 'acme', true],
    ['ggen/a.me*', 'acme', false]
  ] as const
  for (const [scope, name, is] of cases) expect(covers(parseScope(scope), subject(name)), `${scope} ${name}`).toBe(is)
})

test('versions are ordered by number, and a pre-release comes before its release', () => {
  const sorted = ['1.0.0-alpha', '1.0.0-alpha.1', '1.0.0-rc.2', '1.0.0-rc.10', '1.0.0', '1.2.0', '1.10.0', '2.0.0']
  const shuffled = sorted.toReversed().map(parseSemver)
  expect(shuffled.toSorted((a, b) => SEMVER_ORDERING.compare(a, b))).toEqual(sorted)
})

test('a range that is longer than its limit is refused before it is parsed', () => {
  expect(codeOf(() => SEMVER_ORDERING.parseRange('1 || '.repeat(100)))).toBe('INVALID_VERSION')
  expect(codeOf(() => SEMVER_ORDERING.parseRange('latest'))).toBe('INVALID_VERSION')
})

const factId = new FactWriter(person('root')).genesis.id
const contentId = contentIdOf('x')

test('ids are of the kind that is asked for', () => {
  expect(parseFactId(factId)).toBe(factId)
  expect(parseContentId(contentId)).toBe(contentId)
  expect(codeOf(() => parseFactId(contentId))).toBe('MALFORMED')
  expect(codeOf(() => parseContentId(factId))).toBe('MALFORMED')
})

test('an id has one spelling', () => {
  const bytes = base32.decode(factId)
  const spellings = [
    factId.toUpperCase(),
    ` ${factId}`,
    `${factId}a`,
    factId.slice(0, -1),
    base58btc.encode(bytes),
    `/ipfs/${factId}`
  ]
  for (const text of spellings)
    expect(
      codeOf(() => parseFactId(text)),
      text
    ).toBe('MALFORMED')
  const changed = (at: number, to: number): string => base32.encode(bytes.map((byte, i) => (i === at ? to : byte)))
  // Another version, hash function or length of the digest.
  for (const text of [changed(0, 2), changed(2, 0x13), changed(3, 31)]) {
    expect(
      codeOf(() => parseFactId(text)),
      text
    ).toBe('MALFORMED')
  }
})

test('a key has one spelling', () => {
  const { did } = person('ann')
  expect(formatPrincipal(publicKeyOf(did))).toBe(did)
  const bytes = base58btc.decode(did.slice('did:key:'.length))
  const other = (edit: (bytes: number[]) => number[]): string =>
    `did:key:${base58btc.encode(Uint8Array.from(edit([...bytes])))}`
  const bad = [
    did.toUpperCase(),
    did.slice(8),
    `${did}#${did.slice(8)}`,
    ` ${did}`,
    did.replace('z6Mk', 'z6Mm'),
    `did:key:z1${did.slice(9)}`,
    other(([, ...rest]) => [0xec, ...rest]),
    other(all => all.slice(0, -1)),
    other(all => [...all, 0]),
    `did:key:${base32.encode(bytes)}`
  ]
  for (const text of bad)
    expect(
      codeOf(() => parsePrincipal(text)),
      text
    ).toBe('MALFORMED')
  expect(codeOf(() => publicKeyOf('did:key:z6Mk' as Principal))).toBe('MALFORMED')
  expect(codeOf(() => formatPrincipal(new Uint8Array(31)))).toBe('MALFORMED')
})
