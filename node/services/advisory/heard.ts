import type { AdvisoryView } from '../../../protocol/advisory/fold.ts'
import { isAffected, lowestFixed } from '../../../protocol/advisory/match.ts'
import type { AffectedVersions } from '../../../protocol/advisory/match.ts'
import { SEVERITIES, worst } from '../../../protocol/advisory/severity.ts'
import type { Severity } from '../../../protocol/advisory/severity.ts'
import { compareText } from '../../../protocol/bytes.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { ecosystemOf } from '../../../protocol/package-name.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import type { Version } from '../../../protocol/version.ts'
import type { FindPackage } from '../resolve.ts'

/** A known problem of one version, by whoever said so first under that id or worst. */
export interface AdvisoryAbout {
  readonly id: string
  readonly severity: Severity
  readonly malware: boolean
  /** The lowest version without it; null when nobody knows any. */
  readonly fixed: Version | null
  readonly summary: string
  readonly aliases: readonly string[]
  readonly registry: RegistryId
  readonly by: Principal
  readonly fact: FactId
}

/** Whose word on known problems is taken, beside that of the registry of a release about itself. */
export interface Heard {
  readonly registries: ReadonlySet<string>
  readonly keys: ReadonlySet<string>
}

export interface HeardComponents {
  readonly find: FindPackage
  /** Every registry that is followed. */
  readonly registries: readonly RegistryId[]
  readonly heard: Heard
}

export interface ReleaseName {
  readonly registry: RegistryId
  readonly name: PackageName
  readonly version: Version
}

/**
 * What is known against a version, offline. Heard is what the registry of the release tells of its own packages, and whoever is
 * followed for advisories. Attack: anybody may found a registry and warn of whatever is in his way.
 */
export async function advisoriesAbout(
  release: ReleaseName,
  { find, registries, heard }: HeardComponents
): Promise<readonly AdvisoryAbout[]> {
  const told = new Map<string, AdvisoryAbout>()
  const isRead = (id: RegistryId): boolean => id === release.registry || heard.keys.size > 0 || heard.registries.has(id)
  for (const registry of registries.filter(isRead).slice(0, LIMITS.advisory.registries)) {
    const view = await find(registry, release.name)
    for (const one of view?.advisories ?? []) {
      if (!isHeard(registry, one, { release, heard })) continue
      const about = matching(release, registry, one)
      if (about === undefined) continue
      const known = told.get(about.id)
      told.set(about.id, known === undefined ? about : graver(known, about))
    }
  }
  return [...told.values()].toSorted(byGravity).slice(0, LIMITS.advisory.told)
}

/** Whether what one author says in a registry reaches the rules about a release. */
export function isHeard(
  registry: RegistryId,
  { by }: Pick<AdvisoryView, 'by'>,
  { release, heard }: { readonly release: { readonly registry: RegistryId }; readonly heard: Heard }
): boolean {
  return registry === release.registry || heard.registries.has(registry) || heard.keys.has(by)
}

/** The part of an advisory that is about packages of a registry: of that one, or of whichever. */
export function affectedIn(
  { affected }: AdvisoryView,
  registry: RegistryId
): AffectedVersions & { severity: Severity } {
  const own = affected.filter(one => one.registry === null || one.registry === registry)
  return {
    versions: own.flatMap(({ versions }) => versions),
    ranges: own.flatMap(({ ranges }) => ranges),
    severity: worst(own.map(({ severity }) => severity))
  }
}

export function isMalware({ id, aliases }: Pick<AdvisoryView, 'aliases' | 'id'>): boolean {
  return [id, ...aliases].some(one => one.startsWith('MAL-'))
}

function matching(
  { registry: of, name, version }: ReleaseName,
  registry: RegistryId,
  view: AdvisoryView
): AdvisoryAbout | undefined {
  if (view.withdrawn) return undefined
  const ecosystem = ecosystemOf(name)
  const own = affectedIn(view, of)
  if (!isAffected(version, own, ecosystem)) return undefined
  const { id, summary, aliases, by, fact } = view
  return {
    id,
    severity: own.severity,
    malware: isMalware(view),
    fixed: lowestFixed(version, own, ecosystem) ?? null,
    summary,
    aliases,
    registry,
    by,
    fact
  }
}

/** Two authors under one id: the graver word stands, and what either calls malware is malware. */
function graver(a: AdvisoryAbout, b: AdvisoryAbout): AdvisoryAbout {
  const [first] = [a, b].toSorted(byGravity)
  return { ...(first ?? a), malware: a.malware || b.malware }
}

function byGravity(a: AdvisoryAbout, b: AdvisoryAbout): number {
  return (
    Number(b.malware) - Number(a.malware) ||
    SEVERITIES.indexOf(b.severity) - SEVERITIES.indexOf(a.severity) ||
    compareText(a.id, b.id)
  )
}
