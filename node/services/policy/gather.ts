import { compareText } from '../../../protocol/bytes.ts'
import type { VersionView } from '../../../protocol/fold-versions.ts'
import type { AdvisoryFacts, ReleaseFacts } from '../../../protocol/policy/schema.ts'
import type { Candidate } from './candidate.ts'
import { FOLLOWED, heedOf, LEAST } from '../attest/heeded.ts'
import type { Heeded } from '../attest/heeded.ts'
import { downgradesOf } from './downgrades.ts'
import { attestationFacts, licenceFacts, reviewFacts } from './sources.ts'
import type { AttestationView, PolicySources, ReleaseId } from './sources.ts'

const HOUR_MS = 60 * 60 * 1000

interface Gathering {
  readonly now: number
  /** How much policies in force heed keys and registries. */
  readonly named: Heeded
}

/** All that rules may read of one release, at this time. */
export async function gatherFacts(
  candidate: Candidate,
  sources: PolicySources,
  { now, named }: Gathering
): Promise<ReleaseFacts> {
  const { registry, name, version, fact, by, locked, content } = candidate
  const view = await sources.find(registry, name)
  const stated = view?.versions.find(entry => entry.version === version)
  const [seen] = await sources.firstSeen(registry, [fact], view?.observations ?? [])
  const views = weightFirst(await sources.attestations(candidate, sources.find), named)
  const domain = await sources.domainOf(by)
  const { alias, isPrivate, staleHours } = sources.registry(registry)
  const release = { candidate, views, domain }
  return {
    release: {
      name,
      version,
      bytes: content.size,
      dependencies: content.manifest.dependencies.length,
      executables: content.manifest.executables.length,
      own: (await sources.ownKeys()).has(by),
      locked
    },
    registry: { id: registry, alias, private: isPrivate, staleHours },
    publisher: { key: by, verified: domain !== undefined, domain: domain ?? '' },
    marks: { ...marksOf(candidate, stated), downgrades: await downgradesOf(release, { view, sources, now }) },
    attestations: attestationFacts(views),
    licence: licenceFacts(content.manifest.license ?? '', views),
    age: {
      hours: hoursSince(seen?.time, now),
      seenHours: hoursSince(seen?.own, now),
      observers: seen?.observers ?? 0,
      basis: seen?.basis ?? 'first-seen'
    },
    advisories: (await sources.advisories(candidate)).toSorted((a, b) => gravityOf(b) - gravityOf(a)),
    quarantine: await sources.quarantine(candidate),
    reviews: reviewFacts(views)
  }
}

/**
 * What those say who are followed, then those whom a policy names; of each what speaks against a release first. Of what weighs alike the
 * newest that each key says of each kind comes first, then what each said before that. Attack: a rule sees the first entries of a list alone, so its author says a lot about
 * it before an auditor says that it is bad; and an accident: a scan every night, each of which found something.
 */
function weightFirst(views: readonly AttestationView[], named: Heeded): readonly AttestationView[] {
  const weights = new Map(views.map(view => [view, weightIn(view, named)]))
  const weightOf = (view: AttestationView): number => weights.get(view) ?? 0
  const turns = new Map<AttestationView, number>()
  const shares = Map.groupBy(views, view => `${weightOf(view)} ${view.issuer} ${view.type}`)
  for (const share of shares.values()) {
    for (const [turn, view] of share.toSorted(newestFirst).entries()) turns.set(view, turn)
  }
  const turnOf = (view: AttestationView): number => turns.get(view) ?? 0
  return views.toSorted((a, b) => weightOf(b) - weightOf(a) || turnOf(a) - turnOf(b) || newestFirst(a, b))
}

/** Whoever shows something again chooses its time. */
function newestFirst(a: AttestationView, b: AttestationView): number {
  return Number(a.relayed) - Number(b.relayed) || b.time - a.time || compareText(a.fact, b.fact)
}

/** Kinds of statements, beside audits, that speak against a release where they do not speak for it. */
const FINDING: ReadonlySet<string> = new Set(['reproducible', 'test', 'verification', 'vulnerabilities'])

/**
 * Attack: reviews and stars without end, of those who are followed for these, before the audit of a key that a policy names. And audits
 * without end, by keys that a registry names in a policy of its own, before anything that anybody says who is heeded besides.
 */
function weightIn(view: AttestationView, named: Heeded): number {
  const heed = view.followed ? FOLLOWED : heedOf(named, view)
  const kind = kindOf(view)
  if (heed === 0) return 0
  if (heed === LEAST) return heed + kind
  if (kind === 0 && view.type !== 'audit') return KINDS + heed
  return KINDS + FOLLOWED + heed * KINDS + kind
}

const KINDS = 4

function kindOf({ type, passed, marks }: AttestationView): number {
  if (type === 'audit') return marks.includes('failed') ? 3 : passed ? 1 : 0
  return FINDING.has(type) && !passed ? 2 : 0
}

const SEVERITIES = ['unknown', 'low', 'medium', 'high', 'critical']

/** Attack: known problems without end, of which none matters, before the one that says that it is malware. */
function gravityOf({ malware, severity }: AdvisoryFacts): number {
  return malware ? SEVERITIES.length : SEVERITIES.indexOf(severity)
}

function hoursSince(time: number | undefined, now: number): number {
  // Attack: a clock that was set forward and back again makes nothing older.
  return time === undefined ? 0 : Math.max(0, Math.floor((now - time) / HOUR_MS))
}

function marksOf(
  { root, fact }: ReleaseId,
  stated: VersionView | undefined
): Omit<ReleaseFacts['marks'], 'downgrades'> {
  // Two facts that say the same: the view names one of them, and the other is as good.
  const content = stated?.contents.find(entry => entry.fact === fact || entry.root === root)
  return {
    counts: content !== undefined,
    conflict: (stated?.contents.length ?? 0) > 1,
    yanked: (stated?.yanks.length ?? 0) > 0,
    forkedAuthor: content?.marks.includes('forked-author') === true
  }
}
