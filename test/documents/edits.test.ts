import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { editFault, isTag, keyOf, pathOf } from '../../protocol/document/edits.ts'
import type { DocumentValue, Edit } from '../../protocol/document/edits.ts'
import type { Subject } from '../../protocol/fact.ts'
import { SEMVER_ORDERING } from '../../protocol/version.ts'
import { person, subject } from '../support/facts.ts'

const KEY = person('somebody').did
const PACKAGE: Subject = subject('tool')
const REGISTRY: Subject = 'registry'

/** `field/name/name` and a value; null: a delete. The name behind the last `/` that splits may hold more of them. */
type Case = readonly [path: readonly string[], value: DocumentValue | null]

function editOf([path, value]: Case): Edit {
  return value === null ? { op: 'delete', path } : { op: 'put', path, value }
}

const fault = (about: Subject, ...edit: Case): string | undefined => editFault(about, editOf(edit))

const LINES: readonly (readonly [what: string, value: DocumentValue])[] = [
  ['nothing', true],
  ['an empty text', ''],
  ['a text that is not trimmed', ' a'],
  ['several lines', 'a\nb'],
  ['a tab', 'a\tb'],
  ['a control', 'a\u0007b'],
  ['an escape', 'a\u001b[31mb'],
  ['a nul', 'a\u0000b'],
  ['a bidi override', 'a\u202eb'],
  ['a bidi isolate', 'a\u2066b'],
  ['a lone surrogate', 'a\ud800b'],
  ['another spelling than NFC', 'e\u0301']
]

describe('a package', () => {
  test.each<Case>([
    [['title'], 'Tool'],
    [['title'], 'é'.repeat(200)],
    [['description'], 'one line\nand\tanother'],
    [['description'], 'x'.repeat(4096)],
    [['keywords', 'web'], true],
    [['keywords', 'Web Frameworks / HTTP'], true],
    [['keywords', '日本語'], true],
    [['categories', 'web-frameworks'], true],
    [['links', 'homepage'], 'https://example.org/a?b=c#d'],
    [['links', 'home.page'], 'http://[::1]:8080/'],
    [['tags', 'next'], '2.0.0-rc.1'],
    [['tags', 'lts-1'], '1.2.3'],
    [['tags', 'vnext'], '1.2.3'],
    [['deprecated', '<2'], 'use 2.0.0'],
    [['deprecated', '^1.0.0 || ~2.1'], 'broken'],
    [['deprecated', '*'], 'gone'],
    [['maintainers', KEY], 'Ann'],
    [['title'], null],
    [['keywords', 'web'], null],
    [['tags', 'next'], null],
    [['maintainers', KEY], null]
  ])('takes %j = %j', (path, value) => {
    expect(fault(PACKAGE, path, value)).toBeUndefined()
  })

  test.each<Case>([
    [[], 'x'],
    [['nothing'], 'x'],
    [['Title'], 'x'],
    [['constructor'], 'x'],
    [['__proto__'], 'x'],
    [['toString'], 'x'],
    [['hasOwnProperty', 'a'], true],
    [['bundles', 'a'], 'of a catalogue'],
    [['title', 'a'], 'x'],
    [['keywords'], true],
    [['keywords', 'a', 'b'], true],
    [['title'], 'x'.repeat(201)],
    [['description'], 'x'.repeat(4097)],
    [['description'], 'a\u202eb'],
    [['description'], 'a\r\nb'],
    [['keywords', ''], true],
    [['keywords', 'x'.repeat(65)], true],
    [['keywords', 'a\nb'], true],
    [['keywords', 'a\u200fb'], true],
    [['keywords', 'web'], 'a text'],
    [['keywords', '__proto__'], true],
    [['keywords', 'constructor'], true],
    [['keywords', 'prototype'], true],
    [['keywords', 'a/__proto__'], true],
    [['keywords', 'constructor/a'], true],
    [['categories', 'Web'], true],
    [['categories', 'a--b'], true],
    [['categories', '-a'], true],
    [['categories', 'x'.repeat(65)], true],
    [['categories', 'a/b'], true],
    [['categories', 'web'], 'a text'],
    [['links', 'home page'], 'https://example.org/'],
    [['links', 'a'], true],
    [['links', 'a'], 'javascript:alert(1)'],
    [['links', 'a'], 'JavaScript://example.org/%0aalert(1)'],
    [['links', 'a'], 'data:text/html,<script>'],
    [['links', 'a'], 'file:///etc/passwd'],
    [['links', 'a'], 'ftp://example.org/'],
    [['links', 'a'], '//example.org/'],
    [['links', 'a'], '/relative'],
    [['links', 'a'], 'example.org'],
    [['links', 'a'], 'https://user@example.org/'],
    [['links', 'a'], 'https://user:secret@example.org/'],
    [['links', 'a'], 'https://:secret@example.org/'],
    [['links', 'a'], 'https://example.org/a b'],
    [['links', 'a'], 'https://example.org/\u202egpj'],
    [['links', 'a'], ' https://example.org/'],
    [['links', 'a'], 'https://'],
    [['links', 'a'], 'https://exämple.org/'],
    [['links', 'a'], 'https://example.org/ü'],
    [['links', 'a'], 'https://-example.org/'],
    [['links', 'a'], 'https://example..org/'],
    [['links', 'a'], 'https://example.org:123456/'],
    [['links', 'a'], 'https://example.org?q'],
    [['links', 'a'], `https://example.org/${'a'.repeat(2048)}`],
    [['tags', 'next'], true],
    [['tags', 'next'], '1.2'],
    [['tags', 'next'], 'v1.2.3'],
    [['tags', 'next'], '1.2.3+build'],
    [['tags', 'next'], ' 1.2.3'],
    [['tags', 'next'], '^1.2.3'],
    [['tags', 'next'], `1.2.3-${'a'.repeat(128)}`],
    [['tags', '1.2.3'], '1.2.3'],
    [['deprecated', 'not a range'], 'x'],
    [['deprecated', '<2\n'], 'x'],
    [['deprecated', ''], 'x'],
    [['deprecated', '>'.repeat(257)], 'x'],
    [['deprecated', '<2'], true],
    [['deprecated', '<2'], 'x'.repeat(501)],
    [['maintainers', 'ann'], 'Ann'],
    [['maintainers', `${KEY}x`], 'Ann'],
    [['maintainers', KEY.toUpperCase()], 'Ann'],
    [['maintainers', 'did:key:z6Mk'], 'Ann'],
    [['maintainers', KEY], true],
    // A delete names what could be there, and nothing else.
    [['nothing'], null],
    [['keywords', ''], null],
    [['tags', '1'], null]
  ])('refuses %j = %j', (path, value) => {
    expect(fault(PACKAGE, path, value)).toEqual(expect.any(String))
  })

  test.each(LINES)('has no title and no keyword with %s', (_, value) => {
    expect(fault(PACKAGE, ['title'], value)).toEqual(expect.any(String))
    expect(fault(PACKAGE, ['maintainers', KEY], value)).toEqual(expect.any(String))
    if (value !== true) expect(fault(PACKAGE, ['keywords', value], true)).toEqual(expect.any(String))
  })
})

describe('a catalogue', () => {
  test.each<Case>([
    [['categories', 'web'], true],
    [['categories', 'web'], 'what runs in a browser'],
    [['bundles', 'starter'], 'To begin with'],
    [['members', 'starter', 'ggen/core-vocabulary'], '*'],
    [['members', 'starter', 'npm/@scope/left-pad'], '^1.0.0'],
    [['scores', 'starter'], '0'],
    [['scores', 'starter'], '9'],
    [['scores', 'starter'], '80'],
    [['scores', 'starter'], '100'],
    [['announcements', '2026-01-02-ab12'], 'two\nlines'],
    [['members', 'starter', 'ggen/core-vocabulary'], null],
    [['bundles', 'starter'], null]
  ])('takes %j = %j', (path, value) => {
    expect(fault(REGISTRY, path, value)).toBeUndefined()
  })

  test.each<Case>([
    [['title'], 'x'],
    [['tags', 'next'], '1.0.0'],
    [['constructor', 'a'], true],
    [['categories', 'Web'], true],
    [['categories', 'web'], 'two\nlines'],
    [['categories', 'web'], ''],
    [['categories', 'web'], 'x'.repeat(501)],
    [['bundles', 'a/b'], 'x'],
    [['bundles', 'constructor'], 'x'],
    [['bundles', 'prototype'], 'x'],
    [['bundles', 'starter'], true],
    [['bundles', 'starter'], 'x'.repeat(201)],
    [['members', 'starter'], '*'],
    [['members', 'starter', 'core'], '*'],
    [['members', 'starter', 'ggen/Core'], '*'],
    [['members', 'starter', 'ggen/../x'], '*'],
    [['members', 'starter', 'other/core'], '*'],
    [['members', 'starter', 'ggen/core'], true],
    [['members', 'starter', 'ggen/core'], ''],
    [['members', 'starter', 'ggen/core'], 'next'],
    [['members', 'starter', `ggen/${'a'.repeat(215)}`], '*'],
    // 64 for the bundle and 214 for the package are each allowed, and together too long for a key.
    [['members', 'b'.repeat(64), `ggen/${'a'.repeat(200)}`], '*'],
    [['scores', 'starter'], true],
    [['scores', 'starter'], '101'],
    [['scores', 'starter'], '-1'],
    [['scores', 'starter'], '07'],
    [['scores', 'starter'], '8.5'],
    [['scores', 'starter'], '1e2'],
    [['announcements', 'one'], 'a\u202eb'],
    [['announcements', 'one'], 'x'.repeat(4097)],
    [['announcements', 'one/two'], 'x']
  ])('refuses %j = %j', (path, value) => {
    expect(fault(REGISTRY, path, value)).toEqual(expect.any(String))
  })
})

test('a key has at most 256 bytes, not characters', () => {
  const member = (bundle: number): Case => [['members', 'b'.repeat(bundle), `ggen/${'a'.repeat(180)}`], '*']
  expect(keyOf(member(62)[0])).toHaveLength(256)
  expect(fault(REGISTRY, ...member(62))).toBeUndefined()
  expect(fault(REGISTRY, ...member(63))).toContain('256 bytes')
  // 64 characters of four bytes and `keywords/`.
  expect(fault(PACKAGE, ['keywords', '𝒳'.repeat(32)], true)).toBeUndefined()
  expect(fault(PACKAGE, ['deprecated', `<2 ${'|| <2 '.repeat(42)}`.trim()], 'x')).toContain('256 bytes')
})

describe('a tag', () => {
  test.each(['next', 'a', 'beta2', 'lts-18', 'a-1-b', 'release', 'vnext', 'xanadu', 'a'.repeat(64)])('is %s', tag => {
    expect(isTag(tag)).toBe(true)
  })

  test.each([
    '',
    '1',
    'v',
    'x',
    'v1',
    'vv1',
    'vv',
    'x1',
    'xx',
    'vx',
    'v1-2',
    '-a',
    'a-',
    'a--b',
    'a.b',
    'A',
    'é',
    '*',
    '^1',
    'a b'
  ])('is not %j', tag => {
    expect(isTag(tag)).toBe(false)
  })

  test('is told from other texts at once, however they are made', () => {
    for (const text of [`${'a'.repeat(63)}!`, `${'a-'.repeat(31)}!`, `${'a1'.repeat(31)}-`]) {
      expect(isTag(text)).toBe(false)
      expect(fault(PACKAGE, ['tags', text], '1.0.0')).toEqual(expect.any(String))
    }
  })

  test('never reads as a range or a version', () => {
    const spelling = fc.string({ unit: fc.constantFrom('v', 'x', 'a', '1', '0', '-', 'X'), minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(spelling, text => {
        fc.pre(isTag(text))
        expect(() => SEMVER_ORDERING.parseRange(text)).toThrow('not a version range')
        expect(() => SEMVER_ORDERING.parseVersion(text)).toThrow('not a version')
      })
    )
  })
})

const segment = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.constantFrom('web', 'starter', 'a/b', '/', 'next', '<2', KEY, 'ggen/core', 'npm/@a/b', '__proto__', 'constructor')
)
const FIELDS =
  'title description keywords categories links tags deprecated maintainers bundles members scores announcements'
const field = fc.constantFrom(...FIELDS.split(' '), '__proto__', 'constructor', '')
const value = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.constantFrom<DocumentValue[]>(true, '*', '1.0.0', 'https://example.org/', '50')
)

test('a path that is taken is that of its key, and no other', () => {
  const paths = fc.tuple(field, fc.array(segment, { maxLength: 3 })).map(([name, names]) => [name, ...names])
  const about = fc.constantFrom(PACKAGE, REGISTRY)
  fc.assert(
    fc.property(about, paths, value, (of, path, put) => {
      fc.pre(fault(of, path, put) === undefined)
      expect(pathOf(of, keyOf(path))).toEqual(path)
    })
  )
})

test('any key has a path that is spelled like it', () => {
  fc.assert(
    fc.property(fc.constantFrom(PACKAGE, REGISTRY), fc.tuple(field, segment), (of, [name, rest]) => {
      expect(keyOf(pathOf(of, `${name}/${rest}`))).toBe(`${name}/${rest}`)
    })
  )
})

test('what is wrong is said in words, without what a terminal would obey', () => {
  const said = fault(PACKAGE, ['tags', '\u001b[2J\u202e'], '1.0.0') ?? ''
  expect(said).not.toContain('\u001b')
  expect(fault(PACKAGE, ['title'], 'x\n'.repeat(4000).trim())?.length).toBeLessThan(200)
  expect(fault(PACKAGE, ['nothing'], 'x')).toBe(
    '"nothing" is not a field of a package: use title, description, keywords, categories, links, tags, deprecated, maintainers'
  )
})
