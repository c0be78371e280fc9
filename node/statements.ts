import type { AttestationRecord } from '../protocol/attest/read-model.ts'
import { summaryText } from '../protocol/attest/summary-text.ts'
import type { Summary } from '../protocol/attest/summary.ts'
import type { NodeParts } from './parts.ts'
import type { Statements } from './policy.ts'
import { releasesWith } from './services/attest/release.ts'
import type { TrustPurpose } from './services/attest/methods.ts'
import type { AttestationView, ReleaseId } from './services/policy/sources.ts'
import { trusted } from './trust.ts'

type Saying = Pick<NodeParts, 'attestations' | 'registries' | 'trust' | 'view'>

/** What rules hear of statements about a release: those that count, and whose word is taken for what. */
export function composeStatements(parts: Saying): Statements {
  return {
    attestations: release => attestationViews(parts, release),
    advisories: async () => [],
    quarantine: async () => ({ active: false, reason: '' }),
    domainOf: async () => undefined
  }
}

async function attestationViews(
  parts: Saying,
  { registry, name, root, version }: ReleaseId
): Promise<readonly AttestationView[]> {
  const view = await parts.view.find(registry, name)
  if (view === undefined) return []
  const [release] = releasesWith(registry, view, one => one.root === root && one.version === version)
  // What no registry counts has no digests that anybody vouches for: nothing can be about it.
  if (release === undefined) return []
  const followed = await trusted(parts)
  const isFollowed = (record: AttestationRecord): boolean =>
    followed.some(
      ({ purpose, who }) => purpose === purposeOf(record.type) && (who === record.registry || who === record.issuer)
    )
  const records = await parts.attestations.of(release)
  return records.filter(({ counts }) => counts).map(record => toView(record, isFollowed(record)))
}

function purposeOf(type: AttestationRecord['type']): TrustPurpose {
  return type === 'review' || type === 'star' ? 'reviews' : 'audits'
}

function toView(
  { type, predicateType, issuer, registry, subjectMatches, summary, time }: AttestationRecord,
  followed: boolean
): AttestationView {
  return {
    type,
    predicateType,
    issuer,
    registry,
    subjectMatches,
    followed,
    passed: summary !== null && hasPassed(summary),
    marks: summary === null ? [] : marksIn(summary),
    summary: summary === null ? '' : summaryText(summary),
    time
  }
}

/** Whether a statement speaks for the whole release. */
function hasPassed(summary: Summary): boolean {
  switch (summary.type) {
    case 'audit':
      // Attack: a delta from bytes that nobody has looked at. Of what was there before it says nothing.
      return summary.result === 'pass' && summary.kind === 'full'
    case 'reproducible':
      return summary.result === 'reproduced'
    case 'test':
      return summary.result !== 'failed'
    case 'verification':
      return summary.result === 'passed'
    case 'vulnerabilities':
      return summary.count === 0
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
function marksIn(summary: Summary): readonly string[] {
  switch (summary.type) {
    case 'audit':
      // What failed, or is about a change alone, was found to be nothing: its criteria are no marks.
      return hasPassed(summary) ? [summary.kind, ...summary.criteria] : [summary.kind]
    case 'licence':
      return [summary.concluded]
    case 'review':
      return [`score-${summary.score}`]
    case 'verification':
      return hasPassed(summary) ? summary.levels : []
    case 'benchmark':
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
