import type { Authority } from '../../protocol/authority.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import type { Subject } from '../../protocol/fact.ts'
import type { CountedRevoke } from '../../protocol/roles.ts'

/** What a changed authority does to packages that were folded before. */
export interface AuthorityChange {
  /**
   * `aside`: while all that counted still counts and nothing is taken away, only subjects with facts set aside can change, and those that `given` wrote about.
   * `keys`: only what the keys wrote, or how it is marked. `some`: what the keys wrote about, and all with facts set aside.
   * `all`: everything.
   */
  readonly kind: 'none' | 'aside' | 'keys' | 'some' | 'all'
  /** Keys whose say changed other than by growing. */
  readonly keys: readonly Principal[]
  /**
   * Keys that were given something. Rows tell what their authors held, and of those who saw a release the ones that were named first, though
   * nothing in them was set aside. Bound: subjects that these keys wrote about.
   */
  readonly given: readonly Principal[]
}

const NOBODY: Pick<AuthorityChange, 'given' | 'keys'> = { keys: [], given: [] }

/** Attack: changes that do not count cost no refold, however many a named author writes. */
export function changeOf(before: Authority | undefined, after: Authority | undefined): AuthorityChange {
  if (before === after) return { kind: 'none', ...NOBODY }
  if (before === undefined || after === undefined) return { kind: 'all', ...NOBODY }
  for (const id of before.order.keys()) if (!after.order.has(id)) return { kind: 'all', ...NOBODY }
  if (before.recovery !== after.recovery) return { kind: 'all', ...NOBODY }
  const isGrown = before.order.size !== after.order.size
  const taken = [...newIn(before.revokes, after.revokes), ...(isGrown ? namedAgain(after) : [])]
  const forked = [
    ...[...before.forkedAuthors].filter(author => !after.forkedAuthors.has(author)),
    ...[...after.forkedAuthors].filter(author => !before.forkedAuthors.has(author))
  ]
  // A role by an invite is used by its holder alone, so nothing that others wrote is looked at again. Attack: a use that
  // takes the place of another, over and over, by whoever has the token.
  const redeemed = [...newUses(before, after), ...newUses(after, before)]
  const keys = [...new Set([...taken, ...forked, ...redeemed])]
  // Attack: keys that whoever may speak names by the thousand, each of which forks once where it has no say.
  if (!isGrown && taken.length === 0) return { kind: keys.length > 0 ? 'keys' : 'none', keys, given: [] }
  return { kind: keys.length > 0 ? 'some' : 'aside', keys, given: newlyGiven(before, after) }
}

/** Revocations that are new, or that the recovery key has signed since: those spare what others cut. */
function newIn(before: readonly CountedRevoke[], after: readonly CountedRevoke[]): readonly Principal[] {
  const known = new Map<FactId, boolean>(before.map(({ fact, byRecovery }) => [fact, byRecovery]))
  return after.filter(({ fact, byRecovery }) => known.get(fact) !== byRecovery).map(({ key }) => key)
}

/** What such keys wrote may cite a head that was not known until now, and so belong to the set only from now on. */
function namedAgain({ revokedKeys, grants, invites, redemptions }: Authority): readonly Principal[] {
  if (revokedKeys.size === 0) return []
  return [...grants, ...invites, ...redemptions].map(({ key }) => key).filter(key => revokedKeys.has(key))
}

function newlyGiven(before: Authority, after: Authority): readonly Principal[] {
  const known = new Set(before.grants.map(({ fact }) => fact))
  return [...new Set(after.grants.filter(({ fact }) => !known.has(fact)).map(({ key }) => key))]
}

/** Whose uses of invites count after a change and did not before. */
function newUses(before: Authority, after: Authority): readonly Principal[] {
  const known = new Set(before.redemptions.map(({ fact }) => fact))
  return after.redemptions.filter(({ fact }) => !known.has(fact)).map(({ key }) => key)
}

interface SubjectReader {
  asideSubjects(registry: RegistryId): Promise<readonly Subject[]>
  subjectsOf(registry: RegistryId, author: Principal): Promise<readonly Subject[]>
}

/** Subjects whose rows no longer match. */
export async function staleSubjects(
  { kind, keys, given }: AuthorityChange,
  registry: RegistryId,
  store: SubjectReader
): Promise<readonly Subject[]> {
  if (kind === 'none') return []
  const of = await Promise.all(keys.map(key => store.subjectsOf(registry, key)))
  if (kind === 'keys') return of.flat()
  const about = await Promise.all(given.map(key => store.subjectsOf(registry, key)))
  return [...of.flat(), ...about.flat(), ...(await store.asideSubjects(registry))]
}
