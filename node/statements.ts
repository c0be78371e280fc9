import type { AttestationRecord } from '../protocol/attest/read-model.ts'
import { summaryText } from '../protocol/attest/summary-text.ts'
import type { Summary } from '../protocol/attest/summary.ts'
import { heardHere } from './advisories.ts'
import type { AdvisoryFacts, ReleaseFacts } from '../protocol/policy/schema.ts'
import { advisoriesAbout } from './services/advisory/heard.ts'
import type { NodeParts } from './parts.ts'
import type { Statements } from './policy.ts'
import { releasesWith } from './services/attest/release.ts'
import type { TrustPurpose } from './services/attest/methods.ts'
import type { AttestationView, ReleaseId } from './services/policy/sources.ts'
import { trusted } from './trust.ts'

type Saying = Pick<NodeParts, 'attestations' | 'registries' | 'trust' | 'view'> & {
  readonly publishers: Pick<NodeParts['publishers'], 'domainOf'>
}

/** What rules hear of statements about a release: those that count, and whose word is taken for what. */
export function composeStatements(parts: Saying): Statements {
  return {
    attestations: release => attestationViews(parts, release),
    advisories: release => advisoryFacts(parts, release),
    quarantine: release => quarantineOf(parts, release),
    domainOf: async key => (await parts.publishers.domainOf(key))?.domain
  }
}

/** What is known against a release, by those who are heard here. */
async function advisoryFacts(parts: Saying, release: ReleaseId): Promise<readonly AdvisoryFacts[]> {
  const { registries, view } = parts
  const about = await advisoriesAbout(release, {
    find: view.find.bind(view),
    registries: registries.ids,
    heard: await heardHere(parts)
  })
  return about.map(({ id, severity, malware, fixed }) => ({ id, severity, malware, fixed: fixed ?? '' }))
}

/** Whether those who may have stopped the version, in its own registry. */
async function quarantineOf(
  { view }: Saying,
  { registry, name, version }: ReleaseId
): Promise<ReleaseFacts['quarantine']> {
  const stated = (await view.find(registry, name))?.versions.find(entry => entry.version === version)
  const [stopped] = stated?.quarantines ?? []
  return { active: stopped !== undefined, reason: stopped?.reason ?? '' }
}

async function attestationViews(
  parts: Omit<Saying, 'publishers'>,
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
  const said = summary === null ? [] : marksIn(summary)
  return {
    type,
    predicateType,
    issuer,
    registry,
    subjectMatches,
    marks: followed ? ['followed', ...said] : said,
    summary: summary === null ? '' : summaryText(summary),
    time
  }
}

/** What rules can ask of a statement. `passed`: it speaks for the release. */
function marksIn(summary: Summary): readonly string[] {
  switch (summary.type) {
    case 'audit': {
      const { criteria, kind, result } = summary
      // What failed was found to be nothing: its criteria are no marks.
      return result === 'fail' ? ['failed'] : ['passed', kind, ...criteria]
    }
    case 'licence':
      return ['passed', summary.concluded]
    case 'reproducible':
      return [summary.result === 'reproduced' ? 'passed' : 'failed']
    case 'review':
      return [`score-${summary.score}`]
    case 'test':
      return [summary.result === 'failed' ? 'failed' : 'passed']
    case 'verification':
      return [summary.result, ...summary.levels]
    case 'vulnerabilities':
      return [summary.count === 0 ? 'passed' : 'failed']
    case 'domain':
      // It says something of a key, and nothing of a release.
      return []
    case 'benchmark':
    case 'provenance':
    case 'sbom':
    case 'source':
    case 'star':
      return ['passed']
  }
}
