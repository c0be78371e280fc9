import { compareText } from '../../protocol/bytes.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import type { Followed, Precedence } from './precedence.ts'
import type { NamedKey } from './publisher/named-key.ts'
import type { PackageSummary, RegistryView } from './registry-view.ts'

/** A package that was found, and which registry it is of. */
export interface FoundPackage extends PackageSummary {
  readonly registry: RegistryId
  readonly alias: string
  /** Aliases of registries whose package of that name is reached by its alias alone, because of this one. */
  readonly hides: readonly string[]
  /** The alias of the registry whose package the name alone means instead; null when it means this one, or nobody's. */
  readonly hiddenBy: string | null
  /** What `by` is shown as, where a domain names it. */
  readonly publisher: NamedKey | null
}

/** Who looks for packages asks nobody what their authors are called. */
type Unnamed = Omit<FoundPackage, 'publisher'>

export interface SearchComponents {
  readonly view: Pick<RegistryView, 'ranked'>
  readonly precedence: Pick<Precedence, 'holders' | 'standing'>
}

export interface SearchRequest {
  readonly query: string
  readonly limit: number
  readonly registries: readonly Followed[]
}

/**
 * Finds packages in several registries, best match first. Of those that share a name, only the one is listed that the
 * name means, with what it hides; a hidden one is listed for itself where the words fit it and not the other.
 */
export async function searchAll(
  { view, precedence }: SearchComponents,
  { query, limit, registries }: SearchRequest
): Promise<readonly Unnamed[]> {
  const bound = Math.max(0, Math.min(limit, LIMITS.search.results))
  const found = await Promise.all(
    registries.map(async (registry, order) =>
      (await view.ranked(registry.id, query, bound)).map(one => ({ ...one, registry, order }))
    )
  )
  const sorted = found
    .flat()
    .toSorted((a, b) => b.score - a.score || compareText(a.summary.name, b.summary.name) || a.order - b.order)
  const listed = new Set(sorted.map(({ summary, registry }) => `${registry.id} ${summary.name}`))
  const rows: Unnamed[] = []
  for (const { summary, registry } of sorted) {
    if (rows.length >= bound) break
    const { hides, meant } = await rankOf(precedence, summary.name, registry)
    if (meant !== undefined && meant.id !== registry.id && listed.has(`${meant.id} ${summary.name}`)) continue
    const hiddenBy = meant === undefined || meant.id === registry.id ? null : meant.alias
    rows.push({ ...summary, registry: registry.id, alias: registry.alias, hides, hiddenBy })
  }
  return rows
}

/** Whether a name alone means a registry's package, and whose packages of that name it never means then. */
export async function rankOf(
  precedence: SearchComponents['precedence'],
  name: PackageName,
  registry: Followed
): Promise<{ readonly hides: readonly string[]; readonly meant: Followed | undefined }> {
  const standing = await precedence.standing(name)
  const meant = standing.type === 'found' ? standing.registry : undefined
  if (meant?.id !== registry.id) return { hides: [], meant }
  const holders = await precedence.holders(name)
  return { hides: holders.filter(({ id }) => id !== registry.id).map(({ alias }) => alias), meant }
}
