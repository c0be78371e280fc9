import type { Authority } from '../../protocol/authority.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import type { Subject } from '../../protocol/fact.ts'
import type { CountedRevoke } from '../../protocol/roles.ts'

/** What a changed authority does to packages that were folded before. */
export interface AuthorityChange {
  /**
   * `aside`: while all that counted still counts and nothing is taken away, only packages with facts set aside can change.
   * `marks`: only how what the keys wrote is marked. `some`: what the keys wrote about, and all with facts set aside.
   * `all`: everything.
   */
  readonly kind: 'none' | 'aside' | 'marks' | 'some' | 'all'
  /** Keys whose say changed other than by growing. */
  readonly keys: readonly Principal[]
}

/** Attack: changes that do not count cost no refold, however many a named author writes. */
export function changeOf(before: Authority | undefined, after: Authority | undefined): AuthorityChange {
  if (before === after) return { kind: 'none', keys: [] }
  if (before === undefined || after === undefined) return { kind: 'all', keys: [] }
  for (const id of before.order.keys()) if (!after.order.has(id)) return { kind: 'all', keys: [] }
  if (before.recovery !== after.recovery) return { kind: 'all', keys: [] }
  const isGrown = before.order.size !== after.order.size
  const taken = [...newIn(before.revokes, after.revokes), ...(isGrown ? namedAgain(after) : [])]
  const forked = [
    ...[...before.forkedAuthors].filter(author => !after.forkedAuthors.has(author)),
    ...[...after.forkedAuthors].filter(author => !before.forkedAuthors.has(author))
  ]
  const keys = [...new Set([...taken, ...forked])]
  // Attack: keys that whoever may speak names by the thousand, each of which forks once where it has no say.
  if (!isGrown && taken.length === 0) return { kind: forked.length > 0 ? 'marks' : 'none', keys }
  return { kind: keys.length > 0 ? 'some' : 'aside', keys }
}

/** Revocations that are new, or that the recovery key has signed since: those spare what others cut. */
function newIn(before: readonly CountedRevoke[], after: readonly CountedRevoke[]): readonly Principal[] {
  const known = new Map<FactId, boolean>(before.map(({ fact, byRecovery }) => [fact, byRecovery]))
  return after.filter(({ fact, byRecovery }) => known.get(fact) !== byRecovery).map(({ key }) => key)
}

/** What such keys wrote may cite a head that was not known until now, and so belong to the set only from now on. */
function namedAgain({ revokedKeys, grants }: Authority): readonly Principal[] {
  return revokedKeys.size === 0 ? [] : grants.map(({ key }) => key).filter(key => revokedKeys.has(key))
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
  return kind === 'marks' ? of.flat() : [...of.flat(), ...(await store.asideSubjects(registry))]
}
