import { describe, expect, test } from 'vitest'
import { foldAttestations } from '../../protocol/attest/fold.ts'
import { attestationsOf } from '../../protocol/attest/read-model.ts'
import type { AttestationRecord } from '../../protocol/attest/read-model.ts'
import { referencePredicate, REFERENCE_TYPE } from '../../protocol/attest/referred.ts'
import { rootSubject } from '../../protocol/attest/release-subjects.ts'
import type { ReleaseBytes } from '../../protocol/attest/release-subjects.ts'
import { digestOf } from '../../protocol/cid.ts'
import type { Statement } from '../../protocol/attest/statement.ts'
import { toHex } from '../../protocol/bytes.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { attestIn, AUDIT, AUDITED, bytesOf, envelopeBy, statementAbout } from '../support/attest.ts'
import { contentIdOf, FactWriter, person } from '../support/facts.ts'
import type { Made, Person } from '../support/facts.ts'
import { authorityOf, toVerified } from '../support/fold.ts'

const { perAuthor } = LIMITS.attestations
const NOW = 1_800_000_000_000
const LATE = 1_790_000_000_000
const EARLY = 1_000_000_000_000
const [root, lab, eve] = [person('root'), person('lab'), person('eve')]
const thief = { ...lab, chain: 'f'.repeat(32) }
const fail = (...criteria: readonly string[]): Said => ({
  predicateType: AUDIT,
  predicate: { ...AUDITED, result: 'fail', ...(criteria.length > 0 ? { criteria } : {}) }
})
const PASS = { predicateType: AUDIT, predicate: AUDITED }

type Said = Pick<Statement, 'predicate' | 'predicateType'>

interface Robbed {
  readonly facts: FactWriter
  readonly release: ReleaseBytes
  readonly labs: Made
  /** What the auditor found. */
  readonly failed: Made
}

/** A release that an auditor, whose key is stolen afterwards, found to be bad. */
function robbed(said: Said = fail()): Robbed {
  const facts = new FactWriter(root)
  const labs = facts.grant(lab.did, 'auditor')
  const release = bytesOf(facts.release('alpha', '1.0.0', facts.cite(facts.claim('alpha'))))
  return { facts, release, labs, failed: attestIn(facts, release, { by: lab, head: labs.id, said }) }
}

function aboutIn({ facts, release }: Robbed) {
  const subject = rootSubject(release.root)
  return { subject, set: facts.all.filter(({ body }) => body.subject === subject).map(toVerified) }
}

function read(at: Robbed): readonly AttestationRecord[] {
  const { subject, set } = aboutIn(at)
  const said = [{ registry: at.facts.registry, authority: authorityOf(at.facts), subject, set, cut: [] }]
  return attestationsOf(at.release, said, { now: NOW })
}

function heard(at: Robbed): AttestationRecord | undefined {
  return read(at).find(({ fact }) => fact === at.failed.id)
}

/** That are heard: of those in the same words one counts. */
function findingsIn(at: Robbed): readonly AttestationRecord[] {
  return read(at).filter(({ marks, summary }) => {
    const isFailed = summary?.type === 'audit' && summary.result === 'fail'
    return isFailed && marks.every(mark => mark === 'duplicate')
  })
}

/** So many facts of the thief, over an envelope that was signed once. */
function spam({ facts, release, labs }: Robbed, time: number, envelope: Uint8Array, signed = lab): void {
  for (let i = 0; i < perAuthor + 1; i++)
    attestIn(facts, release, { by: thief, signed: [signed], head: labs.id, envelope, at: { time: time + i } })
}

const malformed = (at: Robbed, time: number): void =>
  spam(at, time, envelopeBy(lab, statementAbout(at.release, { predicateType: AUDIT, predicate: { result: 'fail' } })))

const elsewhere = (at: Robbed, time: number): void =>
  spam(at, time, envelopeBy(lab, statementAbout(at.release, { predicateType: REFERENCE_TYPE, predicate: { n: 1 } })))

const others = (at: Robbed, time: number): void =>
  spam(at, time, envelopeBy(lab, statementAbout(at.release, fail('safe-to-deploy'))))

const shown = (at: Robbed, time: number): void =>
  spam(at, time, envelopeBy(eve, statementAbout(at.release, fail())), eve)

function otherBytes(at: Robbed, time: number): void {
  const { subjects, ...said } = statementAbout(at.release, fail())
  const wrong = subjects.map(one => ({ ...one, digests: new Map([...one.digests, ['sha512', '0'.repeat(128)]]) }))
  spam(at, time, envelopeBy(lab, { ...said, subjects: wrong }))
}

function takenBack(at: Robbed, time: number): void {
  others(at, time)
  attestIn(at.facts, at.release, { by: thief, head: at.labs.id, said: PASS })
}

describe('a thief of an auditor’s key hides what the auditor found to be bad', () => {
  test.each([
    ['that are no audits for who reads them', malformed],
    ['that refer to something else', elsewhere],
    ['that failed', others],
    ['that he shows of somebody else', shown],
    ['about other bytes', otherBytes],
    ['that he takes back', takenBack]
  ])('not by statements %s', (_what, say) => {
    for (const time of [EARLY, LATE]) {
      const at = robbed()
      say(at, time)
      // By an earlier time than that of the auditor he says that it is bad, in his place.
      if (say === others && time === EARLY) expect(findingsIn(at)).toHaveLength(perAuthor)
      else expect(heard(at)).toMatchObject({ marks: [], counts: true })
    }
  })

  test('not by statements from the future', () => {
    const at = robbed()
    others(at, NOW + 2 * LIMITS.clockSkewMs)
    expect(heard(at)).toMatchObject({ marks: [], counts: true })
  })

  test.each([
    ['in the statement', fail()],
    ['in content', { predicateType: REFERENCE_TYPE, predicate: auditElsewhere() }]
  ])('not by chains that sort before that of the auditor, where it is %s', (_where, said) => {
    const at = robbed(said)
    for (let i = 0; i < LIMITS.fact.chainsPerAuthorAndSubject; i++) {
      const by = { ...lab, chain: i.toString(16).padStart(32, '0') }
      attestIn(at.facts, at.release, { by, head: at.labs.id, said: { predicateType: 'urn:x:y' } })
    }
    const { subject, set } = aboutIn(at)
    const view = foldAttestations(subject, authorityOf(at.facts), set)
    expect(view.attestations.map(({ fact }) => fact)).toContain(at.failed.id)
  })
})

/** One envelope with the signatures of two. */
function together(...envelopes: readonly Uint8Array[]): Uint8Array {
  type Signed = { readonly signatures: readonly unknown[] }
  const read = envelopes.map(bytes => JSON.parse(new TextDecoder().decode(bytes)) as Signed)
  return new TextEncoder().encode(
    JSON.stringify({ ...read[0], signatures: read.flatMap(({ signatures }) => signatures) })
  )
}

describe('nor, for whoever reads, by early ones', () => {
  const early = (at: Robbed, envelope: Uint8Array, signed: readonly Person[]): void => {
    for (let i = 0; i < perAuthor + 1; i++)
      attestIn(at.facts, at.release, { by: thief, signed, head: at.labs.id, envelope, at: { time: EARLY + i } })
  }

  test('that a revoked key has signed too', () => {
    const at = robbed()
    const eves = at.facts.grant(eve.did, 'member', { authPrev: at.labs.id })
    at.facts.revoke(eve.did, { authPrev: eves.id })
    const statement = statementAbout(at.release, fail('safe-to-deploy'))
    early(at, together(envelopeBy(lab, statement), envelopeBy(eve, statement)), [lab, eve])
    expect(heard(at)).toMatchObject({ marks: [], counts: true })
  })

  test.each([
    ['is nowhere', undefined],
    ['passes', AUDITED],
    ['is no audit', { result: 'fail' }]
  ])('that refer to content that %s', (_what, content) => {
    const bytes = new TextEncoder().encode(JSON.stringify(fail().predicate))
    const real = { predicateType: REFERENCE_TYPE, predicate: auditElsewhere() }
    const at = robbed(real)
    const said = { predicateType: REFERENCE_TYPE, predicate: auditElsewhere(content ?? { none: 1 }) }
    early(at, envelopeBy(lab, statementAbout(at.release, said)), [lab])
    const contents = new Map([[contentIdOf(JSON.stringify(fail().predicate)), bytes]])
    if (content !== undefined) {
      const text = JSON.stringify(content)
      contents.set(contentIdOf(text), new TextEncoder().encode(text))
    }
    const { subject, set } = aboutIn(at)
    const sayings = [{ registry: at.facts.registry, authority: authorityOf(at.facts), subject, set, cut: [] }]
    const records = attestationsOf(at.release, sayings, { now: NOW, contents })
    expect(records.find(({ fact }) => fact === at.failed.id)).toMatchObject({ marks: [], counts: true })
  })
})

function auditElsewhere(content: object = fail().predicate): Said['predicate'] {
  const text = JSON.stringify(content)
  const cid = contentIdOf(text)
  const referred = { cid, sha256: toHex(digestOf(cid)), size: text.length, predicateType: AUDIT }
  return referencePredicate(referred, lab.did)
}
