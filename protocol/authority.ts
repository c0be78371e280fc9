import { authorityCuts } from './authority-cuts.ts'
import type { Cuts } from './authority-cuts.ts'
import { foldChanges } from './authority-fold.ts'
import type { ChangeFault } from './authority-fold.ts'
import { policiesInForce } from './authority-policy.ts'
import type { CountedPolicy } from './authority-policy.ts'
import { growTree } from './authority-tree.ts'
import { lazily, mightiestFirst, ownersFrom } from './blame-order.ts'
import { boundForks, boundSetAside, readChains } from './chains.ts'
import type { ShownFork, VerifiedFact } from './chains.ts'
import type { FactId, RegistryId } from './cid.ts'
import type { Principal } from './did.ts'
import { foldApart } from './fold-apart.ts'
import { LIMITS } from './limits.ts'
import type { Genesis } from './payload.ts'
import { countRedemptions } from './redemptions.ts'
import type { RedeemFault } from './redemptions.ts'
import { rolesOf } from './roles.ts'
import type { Roles } from './roles.ts'

/** Why a fact about the registry itself does not count. */
export type AuthoritySetAside = ChangeFault | RedeemFault | 'no-effect' | 'unfoldable'

/** Who may do what in a registry: a pure fold over the facts about the registry itself. */
export interface Authority extends Roles, Cuts {
  readonly registry: RegistryId
  readonly genesis: Genesis
  /** The key that outranks the owners now. */
  readonly recovery: Principal
  /** By which rules its releases are installed (`authority-policy.ts`); several where two were made at the same time. */
  readonly policies: readonly CountedPolicy[]
  readonly setAside: readonly { readonly fact: FactId; readonly reason: AuthoritySetAside }[]
  /** Facts with which the fold throws: all of them, also those beyond what is shown. */
  readonly unfoldable: readonly FactId[]
  readonly forks: readonly ShownFork[]
  /** All of them, also those whose forks are beyond what is shown. */
  readonly forkedAuthors: ReadonlySet<Principal>
  /** True while a fork of the author in the registry's own facts is open. */
  readonly isForked: (author: Principal) => boolean
}

/** Folds the facts of subject `registry`. Undefined while the genesis is missing. */
export function foldAuthority(registry: RegistryId, facts: readonly VerifiedFact[]): Authority | undefined {
  const root = facts.find(fact => (fact.id as string) === registry)
  if (root === undefined || root.payload.type !== 'genesis') return undefined
  const genesis = root.payload.value
  const founders = [...genesis.roots, genesis.recovery]
  const others = facts.filter(fact => fact !== root)
  const owners = lazily(() => ownersFrom(founders, others))
  // Without its genesis there is nothing to fold: it is never the one that is set aside.
  const { made, unfoldable } = foldApart(
    others,
    mightiestFirst(key => owners().get(key)),
    some => foldAll(registry, genesis, { root, facts: [root, ...some] })
  )
  if (unfoldable.length === 0) return made
  const aside = unfoldable.map(({ fact, reason }) => ({ fact, reason }))
  return {
    ...made,
    unfoldable: unfoldable.map(({ fact }) => fact),
    setAside: boundSetAside([...made.setAside, ...aside])
  }
}

function foldAll(
  registry: RegistryId,
  genesis: Genesis,
  { root, facts }: { readonly root: VerifiedFact; readonly facts: readonly VerifiedFact[] }
): Authority {
  const chains = readChains(facts)
  const { roots: owners, threshold, recovery } = genesis
  const tree = growTree(root, facts)
  const result = foldChanges({ tree, facts, chains, owners, threshold, recovery, decides: chains.sideOf })
  const idle = facts
    .filter(({ id, payload }) => payload.type === 'cosign' && !result.cosigned.has(id))
    .map(({ id }) => ({ fact: id, reason: 'no-effect' as const }))
  const changed = rolesOf('registry', owners, result)
  const redeemed = countRedemptions(changed, facts)
  const roles = { ...changed, redemptions: redeemed.redemptions }
  // What a member is a member by stays in the set, with what stands before it.
  const rests = new Set([...result.rests, ...redeemed.redemptions.map(({ fact }) => fact)])
  return {
    ...roles,
    ...authorityCuts(roles, withThoseBefore(rests, facts)),
    registry,
    genesis,
    recovery: result.recovery ?? recovery,
    policies: policiesInForce(result.counted),
    setAside: boundSetAside([...result.setAside, ...redeemed.setAside, ...idle]),
    unfoldable: [],
    forks: boundForks(chains.forks, result.away),
    forkedAuthors: chains.forkedAuthors(result.away),
    isForked: author => chains.isForked(author, result.away)
  }
}

/** Facts, and all that stand before them in their chains: without those they would be in no set. */
function withThoseBefore(ids: ReadonlySet<FactId>, facts: readonly VerifiedFact[]): ReadonlySet<FactId> {
  const prevOf = new Map(facts.map(({ id, body }) => [id, body.prev]))
  const all = new Set<FactId>()
  for (const id of ids) {
    for (let at: FactId | null = id; at !== null && !all.has(at); at = prevOf.get(at) ?? null) all.add(at)
  }
  return all
}

/** The authority part of the view, as it goes into the view digest. */
export function authorityRow(authority: Authority): Readonly<Record<string, unknown>> {
  const { registry, genesis, order, head, recovery, setAside, forks } = authority
  const grants = authority.grants.slice(0, LIMITS.view.grants)
  const invites = authority.invites.slice(0, LIMITS.view.grants)
  const redemptions = authority.redemptions.slice(0, LIMITS.view.grants)
  const revokes = authority.revokes
    .slice(0, LIMITS.view.grants)
    .map(({ fact, by, key, role, scope, threshold, byRecovery }) => ({
      fact,
      by,
      key,
      role,
      scope,
      threshold,
      byRecovery
    }))
  const counted = order.size
  const shared = { registry, genesis: { ...genesis }, counted, head, recovery, setAside, forks }
  // The text is in the fact, which the row names: a row stays small whatever somebody writes into a policy.
  const policies = authority.policies.map(({ fact, by }) => ({ fact, by }))
  const changes = { grants, revokes, invites, redemptions }
  return { ...shared, ...changes, ...(policies.length === 0 ? {} : { policies }) }
}
