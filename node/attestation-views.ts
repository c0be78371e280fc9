import { createHash } from 'node:crypto'
import { isBearable } from '../protocol/attest/read-model.ts'
import type { AttestationRecord } from '../protocol/attest/read-model.ts'
import { summaryText } from '../protocol/attest/summary-text.ts'
import type { Summary } from '../protocol/attest/summary.ts'
import { toHex } from '../protocol/bytes.ts'
import type { VerifiedFact } from '../protocol/chains.ts'
import type { FactId } from '../protocol/cid.ts'
import { LIMITS } from '../protocol/limits.ts'
import { foundedBy, foundedCriteria, standingAudits, withImplied } from '../protocol/policy/audits.ts'
import type { HeardAudit } from '../protocol/policy/audits.ts'
import type { PackageView } from '../protocol/fold.ts'
import type { NodeParts } from './parts.ts'
import { heeding } from './services/attest/heeded.ts'
import type { Heeded } from './services/attest/heeded.ts'
import { releasesWith } from './services/attest/release.ts'
import type { Release } from './services/attest/release.ts'
import type { TrustPurpose } from './services/attest/methods.ts'
import type { FindPackage } from './services/resolve.ts'
import type { AttestationView, ReleaseId } from './services/policy/sources.ts'
import { trusted } from './trust.ts'

export type Saying = Pick<NodeParts, 'attestations' | 'registries' | 'trust' | 'view'>

/** A statement that counts, and whether its author is followed for such. */
interface Heard {
  readonly record: AttestationRecord
  readonly followed: boolean
}

/** What rules hear of statements about a release. */
export async function attestationViews(
  parts: Saying,
  { registry, name, root, version }: ReleaseId,
  { find, named }: { readonly find: FindPackage; readonly named: Heeded }
): Promise<readonly AttestationView[]> {
  const view = await find(registry, name)
  if (view === undefined) return []
  const [release] = releasesWith(registry, view, one => one.root === root && one.version === version)
  // What no registry counts has no digests that anybody vouches for: nothing can be about it.
  if (release === undefined) return []
  const hear = await hearing(parts, named)
  const heard = await hear(release)
  const standing = new Set(
    // Attack: a thief of an auditor's key, who takes back in a registry of his own what was said where he has no say any more.
    [heard.audits.followed, heard.audits.others].flatMap(audits => standingAudits(audits).map(({ id }) => id))
  )
  const founded = await foundations(release, { view, heard, hear })
  return heard.statements.map(one => toView(one, saidBy(one, { standing, founded })))
}

/** What is heard of a release. */
interface Hearsay {
  readonly statements: readonly Heard[]
  /** Audits as the fold of chains takes them: those whose authors are followed, and the others. */
  readonly audits: { readonly followed: readonly HeardAudit[]; readonly others: readonly HeardAudit[] }
}

type Hear = (release: Release) => Promise<Hearsay>

/** `named`: how much policies in force heed keys and registries. */
async function hearing(parts: Saying, named: Heeded): Promise<Hear> {
  const taken = await trusted(parts)
  const heeded = heeding(
    taken.map(({ who }) => who),
    named
  )
  return async release => {
    const records = await parts.attestations.of(release, heeded)
    const all = records.filter(isSaid).map(record => ({
      record,
      followed: taken.some(
        ({ purpose, who }) => purpose === purposeOf(record.type) && (who === record.registry || who === record.issuer)
      )
    }))
    const isDisputed = all.some(({ record: { summary } }) => isFailed(summary))
    const said = isDisputed ? await parts.attestations.said(release) : []
    const facts = new Map(said.flatMap(({ set }) => set.map(fact => [fact.id, fact] as const)))
    const audits = (isFollowed: boolean): readonly HeardAudit[] =>
      auditsOf(
        all.filter(({ followed }) => followed === isFollowed),
        facts
      )
    return {
      statements: all.filter(({ record }) => record.counts),
      audits: { followed: audits(true), others: audits(false) }
    }
  }
}

/** It counts, or would, had its author not said the same before or after: where that was may be what matters. */
function isSaid({ marks }: AttestationRecord): boolean {
  return marks.every(mark => mark === 'duplicate' || isBearable(mark))
}

function purposeOf(type: AttestationRecord['type']): TrustPurpose {
  return type === 'review' || type === 'star' ? 'reviews' : 'audits'
}

function isFailed(summary: Summary | null): boolean {
  return summary?.type === 'audit' && summary.result === 'fail'
}

/** Audits, each with what is certain of its place among the others. `facts`: where any failed, those that hold them. */
function auditsOf(heard: readonly Heard[], facts: ReadonlyMap<FactId, VerifiedFact>): readonly HeardAudit[] {
  const audits = heard.flatMap(({ record }) => (record.summary?.type === 'audit' ? [record] : []))
  const own = new Set(audits.filter(({ marks }) => !marks.includes('relayed')).map(({ fact }) => fact))
  const brought = new Set(audits.filter(({ fact, summary }) => own.has(fact) && isFailed(summary)).map(wordsOf))
  return audits.flatMap(record => {
    const { fact, issuer, summary } = record
    if (summary?.type !== 'audit') return []
    const { criteria, result, from } = summary
    // Attack: an old statement of an auditor who has found something since, which somebody else shows again. When it was made is not known.
    const isRelayed = !own.has(fact)
    const isRepeat = isRelayed && isFailed(summary) && brought.has(wordsOf(record))
    const before = isRelayed ? null : auditBefore(fact)
    return [{ id: fact, issuer, before, isRepeat, passed: result === 'pass', criteria, from: from?.sha256 ?? null }]
  })

  /** All that was signed, and by whom. */
  function wordsOf({ fact, issuer }: AttestationRecord): string {
    const found = facts.get(fact)?.payload
    return found?.type === 'attestation'
      ? `${issuer} ${createHash('sha256').update(found.value.dsse.payload).digest('hex')}`
      : fact
  }

  function auditBefore(fact: FactId): FactId | null {
    let at = facts.get(fact)?.body.prev ?? null
    while (at !== null && !own.has(at)) at = facts.get(at)?.body.prev ?? null
    return at
  }
}

interface Chaining {
  readonly view: PackageView
  readonly heard: Hearsay
  readonly hear: Hear
}

/**
 * How good the releases of the package are from which deltas lead to this one, by the word of those who are followed. They are
 * found by their bytes, whatever version a delta says that it starts from.
 */
async function foundations(
  release: Release,
  { view, heard, hear }: Chaining
): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const said = new Map<string, readonly HeardAudit[]>()
  const archiveOf = ({ digests }: Release): string => toHex(digests.sha256)
  said.set(archiveOf(release), heard.audits.followed)
  let open = startsOf(said.values(), said)
  if (open.length === 0) return new Map()
  const releases = new Map(releasesWith(release.registry, view, () => true).map(one => [archiveOf(one), one]))
  // Attack: deltas from more releases than anybody looks at, or one after the other without end.
  for (let link = 0; link < LIMITS.policy.auditLinks && open.length > 0; link++) {
    const found: (readonly HeardAudit[])[] = []
    for (const archive of open.slice(0, LIMITS.policy.auditBases - said.size)) {
      const base = releases.get(archive)
      const about = base === undefined ? [] : (await hear(base)).audits.followed
      said.set(archive, about)
      found.push(about)
    }
    open = startsOf(found, said)
  }
  return foundedCriteria(said, LIMITS.policy.auditLinks)
}

/** Archives from which deltas start, and which nobody looked at yet. */
function startsOf(all: Iterable<readonly HeardAudit[]>, known: ReadonlyMap<string, unknown>): readonly string[] {
  const starts = [...all].flat().flatMap(({ from }) => (from === null || known.has(from) ? [] : [from]))
  return [...new Set(starts)]
}

interface Weighing {
  /** Audits that their author has not taken back. */
  readonly standing: ReadonlySet<string>
  readonly founded: ReadonlyMap<string, ReadonlySet<string>>
}

/** What a statement says of the release, apart from who said it. */
interface Said {
  /** It speaks for the whole release. */
  readonly passed: boolean
  /** Attack: an audit whose criterion is `followed` or `passed`. Its author chose these words, and nothing else is read from them. */
  readonly marks: readonly string[]
}

function saidBy({ record: { fact, summary }, followed }: Heard, { standing, founded }: Weighing): Said {
  if (summary === null) return { passed: false, marks: [] }
  if (summary.type !== 'audit') return { passed: hasPassed(summary), marks: marksIn(summary) }
  const { criteria, kind, result, from } = summary
  if (!standing.has(fact)) return { passed: false, marks: ['superseded'] }
  // What failed was found to be nothing: its criteria are no marks.
  if (result === 'fail') return { passed: false, marks: ['failed'] }
  if (from === null) return { passed: true, marks: [kind, ...withImplied(criteria)] }
  // Attack: a delta from bytes that nobody has looked at. By itself it says nothing of the whole.
  const held = followed ? foundedBy({ criteria, from: from.sha256 }, founded) : []
  return held.length === 0 ? { passed: false, marks: [kind, 'unfounded'] } : { passed: true, marks: [kind, ...held] }
}

function toView(
  {
    record: { fact, type, predicateType, issuer, signers, registry, subjectMatches, summary, marks: found, time },
    followed
  }: Heard,
  { passed, marks }: Said
): AttestationView {
  return {
    fact,
    type,
    predicateType,
    issuer,
    signers,
    registry,
    subjectMatches,
    followed,
    passed,
    marks,
    summary: summary === null ? '' : summaryText(summary),
    concluded: summary?.type === 'licence' ? summary.concluded : null,
    relayed: found.includes('relayed'),
    time
  }
}

type Unchained = Exclude<Summary, { readonly type: 'audit' }>

function hasPassed(summary: Unchained): boolean {
  switch (summary.type) {
    case 'reproducible':
      return summary.result === 'reproduced'
    case 'test':
      return summary.result !== 'failed'
    case 'verification':
      return summary.result === 'passed'
    case 'vulnerabilities':
      return summary.count === 0
    case 'domain':
    // It says something of a key, and nothing of a release.
    case 'review':
      return false
    case 'benchmark':
    case 'licence':
    case 'provenance':
    case 'sbom':
    case 'source':
    case 'star':
      return true
  }
}

/** What else rules can ask of a statement, in the words of whoever made it. */
function marksIn(summary: Unchained): readonly string[] {
  switch (summary.type) {
    case 'licence':
      return [summary.concluded]
    case 'review':
      return [`score-${summary.score}`]
    case 'verification':
      return hasPassed(summary) ? summary.levels : []
    case 'benchmark':
    case 'domain':
    case 'provenance':
    case 'reproducible':
    case 'sbom':
    case 'source':
    case 'star':
    case 'test':
    case 'vulnerabilities':
      return []
  }
}
