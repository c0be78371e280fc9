import { isAtOrBelow, isBelow } from './authority-tree.ts'
import type { VerifiedFact } from './chains.ts'
import type { FactId } from './cid.ts'
import type { Principal } from './did.ts'
import { citedHead } from './payload.ts'
import { isWithin } from './heads.ts'
import { covers } from './role.ts'
import { nodeOf, spares } from './roles.ts'
import type { CountedRevoke, Roles } from './roles.ts'

/** What revocations of every role of a key turn out of the set. */
export interface Cuts {
  readonly revokedKeys: ReadonlySet<Principal>
  /** True for a fact that does not belong to the set, because its author was revoked before it. */
  readonly isCut: (fact: VerifiedFact) => boolean
}

/**
 * A key that lost every role could go on writing facts for ever, and every node would have to keep them. So what it signs
 * beyond the positions that the revocation recognises leaves the set, unless it cites a head from after a new grant, or
 * after an invite that it has redeemed, or whose key it is.
 * What the decision rests on is never cut. A position that is recognised is not cut whatever head is cited there: two
 * bodies at one position, a fork, must not be told apart by whether they are known.
 */
export function authorityCuts(roles: Roles, rests: ReadonlySet<FactId>): Cuts {
  const byKey = Map.groupBy(
    roles.revokes.filter(({ role }) => role === null),
    ({ key }) => key
  )
  const given = [
    ...roles.grants,
    // Only so is a use of it in the set: an invite lets its key speak as a grant does.
    ...roles.invites,
    ...roles.redemptions.map(({ key, invite }) => ({ key, fact: invite }))
  ]
  const givenTo = Map.groupBy(
    given.filter(({ key }) => byKey.has(key)),
    ({ key }) => key
  )
  const isCutBy = (revoke: CountedRevoke, fact: VerifiedFact): boolean => {
    const ends = nodeOf(roles, revoke.fact)
    const cited = citedHead(fact.payload)
    const at = cited === undefined ? undefined : nodeOf(roles, cited)
    if (ends === undefined || !covers(revoke.scope, fact.body.subject)) return false
    if (isWithin(revoke.heads, fact.body) || spares(revoke, ends, at, fact)) return false
    const isRegranted = (givenTo.get(revoke.key) ?? []).some(({ fact: id }) => {
      const node = nodeOf(roles, id)
      return node !== undefined && at !== undefined && isBelow(node, ends) && isAtOrBelow(at, node)
    })
    return !isRegranted
  }
  return {
    revokedKeys: new Set(byKey.keys()),
    isCut: fact => {
      const revokes = byKey.get(fact.body.author)
      if (revokes === undefined || fact.body.registry === null) return false
      if (rests.has(fact.id)) return false
      return revokes.some(revoke => isCutBy(revoke, fact))
    }
  }
}
