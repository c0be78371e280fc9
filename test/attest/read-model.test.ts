import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { foldRegistry } from '../../node/services/membership.ts'
import { verified } from '../../node/services/registry-state.ts'
import { split } from '../../node/services/membership.ts'
import { attestationsOf } from '../../protocol/attest/read-model.ts'
import type { AttestationRecord, ReadOptions } from '../../protocol/attest/read-model.ts'
import { REFERENCE_TYPE, referencePredicate } from '../../protocol/attest/referred.ts'
import { rootSubject, statementSubjects, subjectsOf } from '../../protocol/attest/release-subjects.ts'
import type { ReleaseBytes } from '../../protocol/attest/release-subjects.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import { toHex } from '../../protocol/bytes.ts'
import { digestOf, parseContentId } from '../../protocol/cid.ts'
import type { ContentId, FactId } from '../../protocol/cid.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import type { Subject } from '../../protocol/fact.ts'
import { attestIn, AUDIT, bytesOf, STAR } from '../support/attest.ts'
import { contentIdOf, FactWriter, person } from '../support/facts.ts'
import type { Made } from '../support/facts.ts'

const [owner, auditor, eve] = [person('owner'), person('auditor'), person('eve')]
/** Behind the times that a writer of facts gives. */
const NOW = 1_700_001_000_000

interface Scene {
  readonly facts: FactWriter
  /** The head under which the auditor is one. */
  readonly head: FactId
  readonly release: ReleaseBytes
  readonly other: ReleaseBytes
}

function scene(): Scene {
  const facts = new FactWriter(owner)
  const head = facts.grant(auditor.did, 'auditor').id
  const cited = facts.cite(facts.claim('alpha'))
  const [release, other] = ['1.0.0', '2.0.0'].map(version => bytesOf(facts.release('alpha', version, cited)))
  if (release === undefined || other === undefined) throw new Error('no release')
  return { facts, head, release, other }
}

/** What a node that has all facts of a writer says of a release. */
function read({ facts, release }: Scene, options: Partial<ReadOptions> = {}): readonly AttestationRecord[] {
  const all = facts.all.map(({ bytes }) => verified(parseEnvelope(bytes)))
  const about = (subject: Subject): readonly VerifiedFact[] => all.filter(({ body }) => body.subject === subject)
  const { authority } = foldRegistry(facts.registry, about('registry'))
  if (authority === undefined) throw new Error('no authority')
  const said = subjectsOf(release).map(subject => {
    return { registry: facts.registry, authority, subject, ...split(about(subject), authority) }
  })
  return attestationsOf(release, said, { now: NOW, ...options })
}

const marksOf = (at: Scene, { id }: Made, options: Partial<ReadOptions> = {}) => {
  const record = read(at, options).find(({ fact }) => fact === id)
  return record === undefined ? 'not there' : `${record.counts ? 'counts' : 'no'} ${record.marks.join(' ')}`.trim()
}

describe('what is said of a release', () => {
  test('is told with its kind, its issuer, his roles and what it says', () => {
    const at = scene()
    const { id, body } = attestIn(at.facts, at.release, { by: auditor, head: at.head })
    expect(read(at)).toEqual([
      {
        fact: id,
        type: 'audit',
        predicateType: AUDIT,
        issuer: auditor.did,
        signers: [auditor.did],
        by: auditor.did,
        registry: at.facts.registry,
        roles: ['auditor'],
        subjectMatches: true,
        marks: [],
        counts: true,
        summary: {
          type: 'audit',
          criteria: ['safe-to-run'],
          result: 'pass',
          kind: 'full',
          from: null,
          notes: null,
          report: null
        },
        content: null,
        time: body.time
      }
    ])
  })

  test('made outside about the archive alone, it is about the release too', () => {
    const at = scene()
    const [archive] = statementSubjects(at.release)
    const subjects = [{ name: 'alpha.tar', digests: new Map([['sha256', archive?.digests.get('sha256') ?? '']]) }]
    const made = attestIn(at.facts, at.release, {
      by: auditor,
      head: at.head,
      subject: subjectsOf(at.release)[1] ?? 'registry',
      said: { subjects }
    })
    expect(marksOf(at, made)).toBe('counts')
  })

  test('of another release nothing is told', () => {
    const at = scene()
    attestIn(at.facts, at.other, { by: auditor, head: at.head })
    expect(read(at)).toEqual([])
  })
})

describe('marked', () => {
  test('other-bytes: under the name of the release it says another digest too, or its sha512 is another', () => {
    const at = scene()
    const [archive, root] = statementSubjects(at.release)
    const [wrong] = statementSubjects(at.other)
    if (archive === undefined || root === undefined || wrong === undefined) throw new Error('no subjects')
    const said = (subjects: (typeof archive)[]) =>
      attestIn(at.facts, at.release, { by: auditor, head: at.head, said: { subjects } })
    const twoFaced = said([root, { ...wrong, name: archive.name }])
    const twoDigests = new Map([...archive.digests, ['sha512', wrong.digests.get('sha512') ?? '']])
    const halfRight = attestIn(at.facts, at.release, {
      by: auditor,
      head: at.head,
      subject: subjectsOf(at.release)[1] ?? 'registry',
      said: { subjects: [{ name: undefined, digests: twoDigests }] }
    })
    const both = said([root, wrong])
    expect(marksOf(at, twoFaced)).toBe('no other-bytes')
    expect(marksOf(at, halfRight)).toBe('no other-bytes')
    // About several releases, each under its own name: that is what a list of subjects is for.
    expect(marksOf(at, both)).toBe('counts')
  })

  test('revoked-key: what a stolen key said is not recognised', () => {
    const at = scene()
    const made = attestIn(at.facts, at.release, { by: auditor, head: at.head })
    at.facts.revoke(auditor.did, { authPrev: at.head, heads: [] })
    expect(marksOf(at, made)).toBe('no revoked-key')
  })

  test('revoked-key: the role of an auditor was taken and others were left', () => {
    const at = scene()
    const again = at.facts.grant(auditor.did, 'mirror', { authPrev: at.head, scope: 'ggen/*' })
    at.facts.revoke(auditor.did, { authPrev: again.id, role: 'auditor', heads: [] })
    const made = attestIn(at.facts, at.release, { by: auditor, head: at.head })
    expect(marksOf(at, made)).toBe('no revoked-key')
  })

  test('retired-key: who left in peace keeps what he said', () => {
    const at = scene()
    const made = attestIn(at.facts, at.release, { by: auditor, head: at.head })
    at.facts.revoke(auditor.did, { authPrev: at.head })
    expect(marksOf(at, made)).toBe('counts retired-key')
  })

  test('revoked-key: of a statement that was brought, the key that signed it', () => {
    const at = scene()
    const made = attestIn(at.facts, at.release, { by: owner, signed: [auditor], head: at.head })
    expect(marksOf(at, made)).toBe('counts relayed')
    at.facts.revoke(auditor.did, { authPrev: at.head })
    expect(marksOf(at, made)).toBe('no revoked-key relayed')
  })

  test('role-not-held: named once, for something else', () => {
    const at = scene()
    const granted = at.facts.grant(eve.did, 'publisher', { authPrev: at.head, scope: 'ggen/*' })
    const made = attestIn(at.facts, at.release, { by: eve, head: granted.id })
    expect(marksOf(at, made)).toBe('no role-not-held')
  })

  test('set-aside: made under an authority that nobody knows', () => {
    const at = scene()
    const made = attestIn(at.facts, at.release, { by: auditor, head: at.facts.all.at(-1)?.id ?? at.head })
    expect(marksOf(at, made)).toBe('no set-aside')
  })

  test('from-the-future: by its own time, or by that of what it tells', () => {
    const at = scene()
    const dated = attestIn(at.facts, at.release, { by: auditor, head: at.head, at: { time: NOW + 5 * 60_000 + 1 } })
    const nearly = attestIn(at.facts, at.release, {
      by: auditor,
      head: at.head,
      said: { predicateType: STAR, predicate: {} },
      at: { time: NOW + 5 * 60_000 }
    })
    const verifier = { id: 'https://example.org' }
    const vsa = { verifier, verificationResult: 'PASSED', resourceUri: 'x:y', timeVerified: '2099-01-01T00:00:00Z' }
    const said = { predicateType: 'https://slsa.dev/verification_summary/v1', predicate: vsa }
    const told = attestIn(at.facts, at.release, { by: auditor, head: at.head, said })
    expect(marksOf(at, dated)).toBe('no from-the-future')
    expect(marksOf(at, nearly)).toBe('counts')
    expect(marksOf(at, told)).toBe('no from-the-future')
  })

  test('unknown-type and malformed: kept, shown, never trusted', () => {
    const at = scene()
    const said = (predicateType: string, predicate: Record<string, unknown>) =>
      attestIn(at.facts, at.release, { by: auditor, head: at.head, said: { predicateType, predicate } })
    expect(marksOf(at, said('https://example.org/other', {}))).toBe('no unknown-type')
    expect(marksOf(at, said(AUDIT, { criteria: [], result: 'pass', kind: 'full' }))).toBe('no malformed')
  })

  test('duplicate: one issuer says one thing once, however often it is filed', () => {
    const at = scene()
    const said = { predicateType: STAR, predicate: {} }
    const made = subjectsOf(at.release).map(subject =>
      attestIn(at.facts, at.release, { by: auditor, head: at.head, said, subject })
    )
    expect(made.map(one => marksOf(at, one)).toSorted()).toEqual(['counts', 'no duplicate'])
  })

  test('forked-author: two things at one position', () => {
    const at = scene()
    const first = attestIn(at.facts, at.release, { by: auditor, head: at.head })
    const said = { predicateType: STAR, predicate: {} }
    const second = attestIn(at.facts, at.release, { by: auditor, head: at.head, said, at: { seq: 0, prev: null } })
    expect([first, second].map(made => marksOf(at, made))).toEqual(['counts forked-author', 'counts forked-author'])
  })

  test('a role that is over speaks no more, and what it said stays', () => {
    const at = scene()
    const value = {
      authPrev: at.head,
      head: null,
      key: eve.did,
      role: 'auditor' as const,
      scope: '*' as never,
      expires: NOW + 10,
      threshold: null
    }
    const granted = at.facts.write(owner, 'registry', { type: 'grant', value })
    const made = attestIn(at.facts, at.release, { by: eve, head: granted.id })
    expect(marksOf(at, made)).toBe('counts')
    expect(marksOf(at, made, { now: NOW + 10 })).toBe('counts retired-key')
  })
})

const FOLDER = parseContentId('bafybeiavlfbewawkyyre72syji7m523diiy3c2wqxji3kxac2kjfy3aoly')

describe('a predicate that is content', () => {
  const text = JSON.stringify({ criteria: ['safe-to-deploy'], result: 'pass', kind: 'full' })
  const cid = contentIdOf(text)
  const sha256 = createHash('sha256').update(text).digest('hex')
  const referring = (at: Scene, change: object = {}, type = AUDIT): Made => {
    const referred = { cid, sha256, size: text.length, predicateType: type, ...change }
    const said = { predicateType: REFERENCE_TYPE, predicate: referencePredicate(referred, auditor.did) }
    return attestIn(at.facts, at.release, { by: auditor, head: at.head, said })
  }
  const contents = (bytes: string): Partial<ReadOptions> => ({
    contents: new Map<ContentId, Uint8Array>([[cid, Buffer.from(bytes)]])
  })

  test('is of its own kind once it is here', () => {
    const at = scene()
    const made = referring(at)
    expect(marksOf(at, made)).toBe('no not-here')
    expect(read(at)[0]).toMatchObject({ type: 'audit', predicateType: AUDIT, content: { cid, size: text.length } })
    expect(marksOf(at, made, contents(text))).toBe('counts')
    expect(read(at, contents(text))[0]).toMatchObject({ type: 'audit', summary: { criteria: ['safe-to-deploy'] } })
  })

  test('that is another one than was signed is believed by nobody', () => {
    const at = scene()
    expect(marksOf(at, referring(at), contents(text.replace('pass', 'fail')))).toBe('no malformed')
  })

  test.each([
    ['whose CID and digest are of two documents', { sha256: '0'.repeat(64) }],
    ['without a size', { size: null }],
    ['that is a folder', { cid: FOLDER, sha256: toHex(digestOf(FOLDER)) }],
    ['of a size that nobody takes', { size: 2 ** 30 }],
    ['that is a reference again', { predicateType: REFERENCE_TYPE }]
  ])('%s is malformed', (_, change) => {
    const at = scene()
    expect(marksOf(at, referring(at, change), contents(text))).toBe('no malformed')
  })

  test('somewhere else is a reference like any other, and nothing that we know', () => {
    const at = scene()
    const references = [{ downloadLocation: 'https://example.org/x', mediaType: 'x/y' }]
    const said = { predicateType: REFERENCE_TYPE, predicate: { attester: { id: 'x:y' }, references } }
    expect(marksOf(at, attestIn(at.facts, at.release, { by: auditor, head: at.head, said }))).toBe('no unknown-type')
  })
})

test('reading twice says the same, and the order of facts changes nothing but their order', () => {
  const at = scene()
  for (const by of [auditor, owner])
    attestIn(at.facts, at.release, { by, head: at.head, subject: rootSubject(at.release.root) })
  expect(read(at)).toEqual(read(at))
  at.facts.all.reverse()
  const sorted = (records: readonly AttestationRecord[]) => records.toSorted((a, b) => (a.fact < b.fact ? -1 : 1))
  const turned = read(at)
  at.facts.all.reverse()
  expect(sorted(turned)).toEqual(sorted(read(at)))
})
