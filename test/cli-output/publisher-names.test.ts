import { describe, expect, test } from 'vitest'
import { attestationLines } from '../../bin/commands/attest-text.ts'
import { announcementLines } from '../../bin/commands/catalogue.ts'
import { conflictLines as forkLines } from '../../bin/commands/conflict.ts'
import { waitingLines } from '../../bin/commands/curate.ts'
import { conflictLines, settlePackage } from '../../bin/commands/document-text.ts'
import { installLines } from '../../bin/commands/install.ts'
import { keyText } from '../../bin/commands/publisher-text.ts'
import { shortKey } from '../../bin/commands/member-key.ts'
import { memberLines } from '../../bin/commands/members.ts'
import { rowOf } from '../../bin/commands/query.ts'
import { ownerLines, roleLines } from '../../bin/commands/role.ts'
import { historyLines, shownLines } from '../../bin/commands/show.ts'
import { signLines } from '../../bin/commands/sign.ts'
import { trustedLine } from '../../bin/commands/trust.ts'
import type { NamedKey } from '../../node/services/publisher/named-key.ts'
import type { ContentId, FactId, RegistryId } from '../../protocol/cid.ts'
import { parsePackageName } from '../../protocol/package-name.ts'
import { parseDomain } from '../../protocol/publisher/domain.ts'
import { parseScope } from '../../protocol/role.ts'
import type { SubmissionId } from '../../protocol/submission.ts'
import { parseSemver } from '../../protocol/version.ts'
import { person } from '../support/facts.ts'

const [ann, bob] = [person('ann').did, person('bob').did]
const fact = `bafyrei${'a'.repeat(52)}` as FactId
const registry = `bafyrei${'b'.repeat(52)}` as RegistryId
const cid = `bafybei${'c'.repeat(52)}` as ContentId
const [name, version, time] = [parsePackageName('ggen/lib'), parseSemver('1.0.0'), Date.UTC(2026, 0, 2)]
const annNamed: NamedKey = { key: ann, domain: parseDomain('example.org'), age: 'fresh', answered: time }
const publishers = [annNamed]
const scoped = { role: 'publisher', scope: parseScope('*'), expires: null, expired: false, since: fact } as const

/** Each command that shows who published or said something, with what it prints for these two keys. */
const SHOWN: readonly (readonly [string, readonly string[]])[] = [
  [
    'attestations',
    [ann, bob].flatMap(issuer =>
      attestationLines({
        fact,
        type: 'star',
        predicateType: 'urn:ggen:attestation:star:1',
        issuer,
        signers: [issuer],
        by: issuer,
        registry,
        alias: 'acme',
        roles: [],
        subjectMatches: true,
        marks: [],
        counts: true,
        summary: { type: 'star' },
        content: null,
        time,
        trusted: [],
        domain: issuer === ann ? annNamed.domain : null,
        publisher: issuer === ann ? annNamed : null
      })
    )
  ],
  [
    'announce list',
    announcementLines({
      registry,
      alias: 'acme',
      announcements: [ann, bob].map(by => ({ id: 'a', text: 'rules', by, time })),
      publishers
    })
  ],
  [
    'conflict list',
    forkLines(
      { versions: [{ name, version, contents: [ann, bob].map(by => ({ cid, fact, by, time })) }], forks: [] },
      publishers
    )
  ],
  [
    'conflict list, of a fork',
    forkLines(
      {
        versions: [],
        forks: [ann, bob].map(author => ({ subject: name, author, chain: 'f'.repeat(32), seq: 3, facts: [fact, fact] }))
      },
      publishers
    )
  ],
  [
    'curate list',
    waitingLines({
      id: fact as string as SubmissionId,
      registry,
      alias: 'acme',
      name: 'ggen/lib',
      by: ann,
      keys: [ann, bob],
      publishers,
      threshold: 1,
      similar: [],
      note: '',
      arrived: time
    })
  ],
  [
    'show --conflicts',
    conflictLines(
      [{ path: ['title'], values: [ann, bob].map(by => ({ value: 'x', by, time, fact })) }],
      settlePackage('lib'),
      publishers
    )
  ],
  [
    'show --history',
    historyLines({
      entries: [ann, bob].map(by => ({ fact, by, time, status: 'native', edits: [], epoch: null })),
      total: 2,
      publishers
    })
  ],
  ['owner list', ownerLines({ owners: [ann, bob], threshold: 1, publishers })],
  [
    'role list, registry show',
    roleLines(
      [ann, bob].map(key => ({ ...scoped, key })),
      publishers
    )
  ],
  [
    'members --full',
    memberLines(
      {
        registry,
        alias: 'acme',
        members: [ann, bob].map(key => ({
          key,
          roles: ['member'],
          state: 'member',
          invite: { fact, by: ann },
          isSelf: false,
          hosts: []
        })),
        invites: [],
        publishers
      },
      { swarms: [], now: time, isFull: true }
    )
  ],
  [
    'sign',
    signLines(
      {
        signed: [
          {
            fact,
            registry,
            subject: 'registry',
            cosign: fact,
            type: 'grant',
            text: `grant owner to ${ann}`,
            counts: false,
            reason: 'threshold-not-met',
            needed: 3,
            missing: 2,
            signed: [],
            open: [ann, bob]
          }
        ],
        admitted: [],
        file: null,
        publishers
      },
      false
    )
  ],
  [
    'trust list',
    [ann, bob].map(who =>
      trustedLine({ purpose: 'audits', who, alias: null, time, publisher: who === ann ? annNamed : null })
    )
  ],
  [
    'show',
    shownLines({
      name,
      registry,
      alias: 'acme',
      owners: [ann, bob],
      manifest: null,
      observations: [],
      versions: [],
      setAside: [],
      others: [],
      document: null,
      publishers
    })
  ]
]

describe('a domain that names a key stands before it, and beside it the key', () => {
  test.each(SHOWN)('in what `%s` prints', (_command, lines) => {
    const text = lines.join('\n')
    expect(text).toContain(`example.org (${ann})`)
    // The other key is shown as it is, and nothing is named that is not.
    expect(text).toMatch(new RegExp(`(?<!\\()${bob}`))
    expect(text).not.toMatch(new RegExp(`(?<!example\\.org \\()${ann}`))
  })

  test('in what `search` and `install` print, where a key has no room', () => {
    const found = { name, version, by: ann, title: 'a lib', description: '', yanked: false, registry, alias: 'acme' }
    const rank = { hides: [], hiddenBy: null }
    expect(rowOf({ ...found, ...rank, publisher: annNamed }, false)).toEqual(['lib@1.0.0 (by example.org)', 'a lib'])
    expect(rowOf({ ...found, ...rank, publisher: null }, false)).toEqual(['lib@1.0.0', 'a lib'])
    const placed = {
      id: 'lib',
      name: 'lib',
      registry,
      alias: 'acme',
      version,
      was: null,
      cid,
      path: '.ggen/packages/lib'
    }
    const how = { action: 'added', from: [], bytes: 0, ms: 0, unchanged: false } as const
    const lines = installLines({
      installed: [ann, bob].map(author => ({ ...placed, ...how, author })),
      publishers,
      changes: [],
      removed: [],
      left: [],
      overridden: [],
      warnings: [],
      deprecated: [],
      packages: 2,
      lockChanged: false,
      projectChanged: false,
      dryRun: false,
      severalRegistries: false,
      receipt: null,
      upToDate: false
    })
    expect(lines.slice(0, 2)).toEqual([
      '   Installed lib 1.0.0  was here  by example.org',
      '   Installed lib 1.0.0  was here'
    ])
  })

  test('in what `members` prints, where a key is cut short', () => {
    const lines = memberLines(
      {
        registry,
        alias: 'acme',
        members: [{ key: ann, roles: ['owner'], state: 'member', invite: null, isSelf: true, hosts: [] }],
        invites: [],
        publishers
      },
      { swarms: [], now: time, isFull: false }
    )
    expect(lines[1]).toContain(`example.org (${shortKey(ann)}) (this node)`)
  })

  test('and says so when the domain was not asked for long', () => {
    expect(keyText(ann, [{ ...annNamed, age: 'stale' }])).toBe(`example.org, as it was (${ann})`)
  })
})
