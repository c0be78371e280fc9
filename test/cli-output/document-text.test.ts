import { describe, expect, test } from 'vitest'
import { bundleLines, referenceOf } from '../../bin/commands/bundle.ts'
import { announcementLines, categoryLines } from '../../bin/commands/catalogue.ts'
import {
  conflictLines,
  editedLines,
  settleCatalogue,
  settlePackage,
  timeText
} from '../../bin/commands/document-text.ts'
import { installLines } from '../../bin/commands/install.ts'
import { historyLines, shownLines } from '../../bin/commands/show.ts'
import type { ShownPackage } from '../../node/services/api.ts'
import type { DocumentEdited, HistoryEntry, SaidValue, ShownDocument } from '../../node/services/documents/methods.ts'
import type { FactStatus } from '../../protocol/document/document.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { parsePackageName } from '../../protocol/package-name.ts'
import { parseSemver } from '../../protocol/version.ts'
import { person } from '../support/facts.ts'

const FACT = `bafyrei${'a'.repeat(52)}` as FactId
const [ann, bob] = [person('ann').did, person('bob').did]
const TIME = Date.UTC(2026, 0, 2, 3, 4, 5)
const registry = `bafyrei${'b'.repeat(52)}` as RegistryId
/** Clears the screen, turns text round, and hides it. */
const HOSTILE = 'a\u001b[2J\u202eb\u200bc\nd'

const said = (value: string, by = ann): SaidValue => ({ value, by, time: TIME, fact: FACT })

const edited = (given: Partial<DocumentEdited>): DocumentEdited => ({
  registry,
  alias: 'acme',
  fact: FACT,
  changed: [],
  settled: [],
  notes: [],
  file: null,
  ...given
})

const none: ShownDocument = {
  title: null,
  description: null,
  keywords: [],
  categories: [],
  links: {},
  tags: [],
  deprecated: [],
  maintainers: [],
  conflicts: [],
  edits: 1,
  heads: []
}

const shown = (document: ShownDocument | null): ShownPackage => ({
  name: parsePackageName('ggen/lib'),
  registry,
  alias: 'acme',
  owners: [ann],
  manifest: null,
  publishers: [],
  versions: ['1.0.0', '2.0.0-rc.1', '2.0.0'].map(version => ({
    version: parseSemver(version),
    state: 'ok',
    contents: [
      {
        cid: 'bafy' as ShownPackage['versions'][number]['contents'][number]['cid'],
        size: 1,
        by: ann,
        fact: FACT,
        time: TIME,
        marks: [],
        digests: { sha256: '', sha512: '', archiveBytes: 1 }
      }
    ],
    reasons: []
  })),
  setAside: [],
  observations: [],
  document,
  others: []
})

describe('what an edit did', () => {
  test('each change says what was and what is', () => {
    const lines = editedLines(
      'lib',
      edited({
        changed: [
          { path: ['title'], from: ['A', 'B'], to: 'C' },
          { path: ['tags', 'next'], from: ['1.0.0'], to: null },
          { path: ['links', 'homepage'], from: [], to: 'https://a.org' },
          { path: ['keywords', 'web'], from: [], to: true }
        ],
        settled: [['title']],
        notes: ['nobody published 2.0.0 yet'],
        file: '/x.facts'
      })
    )
    expect(lines).toEqual([
      '      Edited lib in acme',
      `             ${FACT}`,
      '             + keyword web',
      '             + link homepage "https://a.org"',
      '             - tag next',
      '             ~ title "A" | "B" -> "C"',
      '     Settled title',
      '        Note nobody published 2.0.0 yet',
      '       Wrote /x.facts'
    ])
  })

  test('an edit that changes nothing says so', () => {
    expect(editedLines('lib', edited({ fact: null }))).toEqual(['   Unchanged lib  it says that already'])
  })
})

describe('conflicts', () => {
  test('show each value, who said it and when, and how to settle it', () => {
    const conflict = { path: ['title'], values: [said('A'), said('B', bob)] }
    expect(conflictLines([conflict], settlePackage('acme:lib'))).toEqual([
      '    Conflict title  2 values, the first is shown elsewhere',
      '             "A"',
      `               by ${ann} at 2026-01-02T03:04:05.000Z`,
      `               ${FACT}`,
      '             "B"',
      `               by ${bob} at 2026-01-02T03:04:05.000Z`,
      `               ${FACT}`,
      '        Next ggen-node edit acme:lib --title TEXT settles it'
    ])
  })

  test.each([
    [['title'], '--title TEXT'],
    [['description'], '--description TEXT'],
    [['links', 'homepage'], '--link homepage=URL'],
    [['tags', 'next'], '--tag next=VERSION'],
    [['deprecated', '<2'], "--deprecate '<2' TEXT"],
    [['maintainers', ann], `--maintainer ${ann}=NAME`],
    [['keywords', 'web'], "--keyword '+web'"]
  ])('%j of a package is settled by its own option', (path, option) => {
    expect(settlePackage('lib')(path)).toBe(`ggen-node edit lib ${option}`)
  })

  test.each([
    [['bundles', 'starter'], 'bundle create starter --title TEXT'],
    [['scores', 'starter'], 'bundle create starter --title TEXT --min-score N'],
    [['members', 'starter', 'ggen/lib'], 'bundle add starter lib@RANGE'],
    [['categories', 'web'], 'category add web --description TEXT'],
    [['announcements', 'a1'], 'announce remove a1']
  ])('%j of a catalogue is settled by its own command', (path, command) => {
    expect(settleCatalogue(path)).toBe(`ggen-node ${command}`)
  })
})

describe('a package', () => {
  test('shows its document, and flags versions that are advised against', () => {
    const document: ShownDocument = {
      ...none,
      title: 'Library',
      keywords: ['web'],
      categories: ['tools'],
      links: { homepage: 'https://a.org' },
      tags: [
        { tag: 'next', version: '2.0.0-rc.1', state: 'ok' },
        { tag: 'old', version: '0.1.0', state: 'unknown-version' }
      ],
      deprecated: [{ range: '<2', text: 'use 2.x' }],
      maintainers: [{ key: bob, name: 'Bob' }],
      conflicts: [{ path: ['title'], values: [said('Library'), said('Other', bob)] }]
    }
    expect(shownLines(shown(document))).toEqual([
      'Package     ggen/lib in acme',
      'Title       Library',
      'Keywords    web',
      `Owner       ${ann}`,
      'Categories  tools',
      'Link        homepage https://a.org',
      'Tag         next 2.0.0-rc.1',
      'Tag         old 0.1.0 (no such version here)',
      'Deprecated  <2: use 2.x',
      `Maintainer  Bob ${bob}`,
      'VERSION     STATE           SIZE  CONTENT',
      '1.0.0       ok, deprecated  1 B   bafy',
      '2.0.0-rc.1  ok              1 B   bafy',
      '2.0.0       ok              1 B   bafy',
      '1 conflict about it: ggen-node show lib --conflicts'
    ])
  })

  test('without a document shows what it showed', () => {
    expect(shownLines(shown(null)).slice(0, 2)).toEqual(['Package  ggen/lib in acme', `Owner    ${ann}`])
  })

  test('the history says what became of each statement, newest first', () => {
    const entry = (status: FactStatus): HistoryEntry => ({
      fact: FACT,
      by: ann,
      time: TIME,
      status,
      edits: [
        { op: 'put', path: ['title'], value: 'T' },
        { op: 'delete', path: ['keywords', 'web'], value: null }
      ],
      epoch: null
    })
    expect(historyLines({ entries: [entry('native')], total: 3 })).toEqual([
      `     Applied 2026-01-02T03:04:05.000Z by ${ann}`,
      '             = title "T"',
      '             - keyword web',
      `             ${FACT}`,
      '       Older 2 statements'
    ])
    const [refused] = historyLines({ entries: [entry('change-disagrees')], total: 1 })
    expect(refused).toContain('Refused')
    expect(historyLines({ entries: [], total: 0 })).toEqual(['Nobody edited it yet'])
  })
})

describe('a catalogue', () => {
  const members = [
    { name: parsePackageName('ggen/a'), range: '*' },
    { name: parsePackageName('ggen/b'), range: '^1.2.0' }
  ]

  test('a bundle shows its members and the score they should have', () => {
    expect(bundleLines({ name: 'starter', title: 'Start here', minScore: 60, members, conflicts: [] })).toEqual([
      '      Bundle starter  "Start here"  minimum score 60',
      '             a',
      '             b ^1.2.0'
    ])
  })

  test('a member without a range is installed as if its name had been typed', () => {
    expect(members.map(referenceOf)).toEqual(['a', 'b@^1.2.0'])
  })

  test('categories and announcements', () => {
    const category = { name: 'web', description: 'for the web' }
    expect(categoryLines({ registry, alias: 'acme', categories: [category], conflicts: [], publishers: [] })).toEqual([
      'CATEGORY  DESCRIPTION',
      'web       for the web'
    ])
    const announcement = { id: 'a1', text: 'new rules', by: ann, time: TIME }
    expect(announcementLines({ registry, alias: 'acme', announcements: [announcement], publishers: [] })).toEqual([
      `   Announced 2026-01-02T03:04:05.000Z by ${ann}`,
      '             "new rules"',
      '             a1'
    ])
  })
})

test('an install names versions that are advised against', () => {
  const deprecated = [{ name: 'lib', version: parseSemver('1.0.0'), text: 'use 2.x' }]
  const result = { installed: [], changes: [], removed: [], left: [], overridden: [], warnings: [] }
  const rest = {
    packages: 1,
    lockChanged: false,
    projectChanged: false,
    dryRun: false,
    receipt: null,
    upToDate: true,
    severalRegistries: false
  }
  expect(installLines({ ...result, ...rest, deprecated })).toEqual(['  Deprecated lib 1.0.0  use 2.x'])
})

test('nothing that a stranger wrote moves the cursor, turns text round or begins a line', () => {
  const document: ShownDocument = {
    ...none,
    title: HOSTILE,
    description: HOSTILE,
    keywords: [HOSTILE],
    categories: [HOSTILE],
    links: { [HOSTILE]: HOSTILE },
    tags: [{ tag: HOSTILE, version: HOSTILE, state: 'ok' }],
    deprecated: [{ range: HOSTILE, text: HOSTILE }],
    maintainers: [{ key: HOSTILE, name: HOSTILE }]
  }
  const conflict = { path: ['links', HOSTILE], values: [said(HOSTILE), said(HOSTILE)] }
  const order = { op: 'put', path: ['links', HOSTILE], value: HOSTILE } as const
  const entry: HistoryEntry = { fact: FACT, by: ann, time: TIME, status: 'native', edits: [order], epoch: null }
  const lines = [
    ...shownLines(shown(document)),
    ...conflictLines([conflict], settlePackage('lib')),
    ...conflictLines([{ ...conflict, path: ['members', HOSTILE, HOSTILE] }], settleCatalogue),
    ...historyLines({ entries: [entry], total: 1 }),
    ...editedLines(HOSTILE, edited({ changed: [{ path: [HOSTILE], from: [HOSTILE], to: HOSTILE }], notes: [HOSTILE] })),
    ...bundleLines({
      name: HOSTILE,
      title: HOSTILE,
      minScore: null,
      members: [{ name: HOSTILE as ShownPackage['name'], range: HOSTILE }],
      conflicts: [conflict]
    }),
    ...categoryLines({
      registry,
      alias: HOSTILE,
      categories: [{ name: HOSTILE, description: HOSTILE }],
      conflicts: [conflict],
      publishers: []
    }),
    ...announcementLines({
      registry,
      alias: HOSTILE,
      announcements: [{ id: HOSTILE, text: HOSTILE, by: ann, time: TIME }],
      publishers: []
    })
  ]
  expect(lines.length).toBeGreaterThan(40)
  for (const line of lines) expect(line).not.toMatch(/[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069]/u)
})

test('a time that is none is printed, not thrown', () => {
  expect(timeText(Number.MAX_SAFE_INTEGER)).toBe('at 9007199254740991')
})
