import type { Authority } from '../../protocol/authority.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import type { Subject } from '../../protocol/fact.ts'
import type { CountedRevoke } from '../../protocol/roles.ts'

/** What a changed authority does to packages that were folded before. */
export interface AuthorityChange {
  /**
   * `aside`: while all that counted still counts and nothing is taken away, only packages with facts set aside can change.
   * `some`: those, and what the keys wrote about. `all`: everything.
   */
  readonly kind: 'none' | 'aside' | 'some' | 'all'
  /** Keys whose say changed other than by growing. */
  readonly keys: readonly Principal[]
}

/** Attack: changes that do not count cost no refold, however many a named author writes. */
export function changeOf(before: Authority | undefined, after: Authority | undefined): AuthorityChange {
  if (before === after) return { kind: 'none', keys: [] }
  if (before === undefined || after === undefined) return { kind: 'all', keys: [] }
  for (const id of before.order.keys()) if (!after.order.has(id)) return { kind: 'all', keys: [] }
  if (before.recovery !== after.recovery) return { kind: 'all', keys: [] }
  const keys = new Set([
    ...newIn(before.revokes, after.revokes),
    ...forkedIn(before, after),
    ...forkedIn(after, before)
  ])
  if (keys.size > 0) return { kind: 'some', keys: [...keys] }
  return { kind: before.order.size === after.order.size ? 'none' : 'aside', keys: [] }
}

function newIn(before: readonly CountedRevoke[], after: readonly CountedRevoke[]): readonly Principal[] {
  const known = new Set<FactId>(before.map(({ fact }) => fact))
  return after.filter(({ fact }) => !known.has(fact)).map(({ key }) => key)
}

/** Authors with a fork in the registry's own facts that is open in one and not in the other. */
function forkedIn(one: Authority, other: Authority): readonly Principal[] {
  const authors = one.forks.filter(({ settled }) => !settled).map(({ author }) => author)
  return authors.filter(author => !other.isForked(author))
}

interface SubjectReader {
  asideSubjects(registry: RegistryId): Promise<readonly Subject[]>
  subjectsOf(registry: RegistryId, author: Principal): Promise<readonly Subject[]>
}

/** Subjects whose rows no longer match. */
export async function staleSubjects(
  { kind, keys }: AuthorityChange,
  registry: RegistryId,
  store: SubjectReader
): Promise<readonly Subject[]> {
  if (kind === 'none') return []
  const of = await Promise.all(keys.map(key => store.subjectsOf(registry, key)))
  return [...of.flat(), ...(await store.asideSubjects(registry))]
}
