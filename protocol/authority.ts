import { boundForks, boundSetAside, readChains } from './chains.ts'
import type { Chains, Fork, VerifiedFact } from './chains.ts'
import type { FactId, RegistryId } from './cid.ts'
import type { Principal } from './did.ts'
import { LIMITS } from './limits.ts'
import type { PackageName } from './package-name.ts'
import type { Genesis, Grant } from './payload.ts'
import { covers } from './role.ts'
import type { Role } from './role.ts'

/** Why an authority fact that is in the set does not count. */
export type AuthoritySetAside =
  'forked-author' | 'not-a-root' | 'threshold-not-met' | 'too-many-chains' | 'unknown-authority' | 'wrong-registry'

export interface CountedGrant extends Grant {
  readonly fact: FactId
  readonly by: Principal
}

/**
 * Who may do what in a registry: a pure fold over the facts about the registry itself.
 *
 * Invariants:
 * 1. A grant counts only if a root signed it and the head it changes counts.
 * 2. `order` lists counted facts by distance from the genesis, then id. A fact that arrives later never changes which
 *    of two others comes first, so "held this role at that head" has one answer for ever.
 */
export interface Authority {
  readonly registry: RegistryId
  readonly genesis: Genesis
  readonly order: ReadonlyMap<FactId, number>
  /** The last fact in `order`: what the next authority fact cites. */
  readonly head: FactId
  readonly grants: readonly CountedGrant[]
  readonly setAside: readonly { readonly fact: FactId; readonly reason: AuthoritySetAside }[]
  readonly forks: readonly Fork[]
}

/** Folds the facts of subject `registry`. Undefined while the genesis is missing. */
export function foldAuthority(registry: RegistryId, facts: readonly VerifiedFact[]): Authority | undefined {
  const genesisFact = facts.find(fact => (fact.id as string) === registry)
  if (genesisFact === undefined || genesisFact.payload.type !== 'genesis') return undefined
  const genesis = genesisFact.payload.value
  const chains = readChains(facts)
  const children = new Map<FactId, VerifiedFact[]>()
  const setAside: { fact: FactId; reason: AuthoritySetAside }[] = []
  for (const fact of facts) {
    const { payload } = fact
    if (payload.type !== 'grant') continue
    const reason = ownFault(fact, genesis, chains)
    if (reason !== undefined) {
      setAside.push({ fact: fact.id, reason })
      continue
    }
    const siblings = children.get(payload.value.authPrev)
    if (siblings === undefined) children.set(payload.value.authPrev, [fact])
    else siblings.push(fact)
  }
  const counted = inOrder(genesisFact, children)
  const order = new Map(counted.map((fact, index) => [fact.id, index]))
  for (const waiting of children.values()) {
    for (const fact of waiting) if (!order.has(fact.id)) setAside.push({ fact: fact.id, reason: 'unknown-authority' })
  }
  return {
    registry,
    genesis,
    order,
    head: counted.at(-1)?.id ?? genesisFact.id,
    grants: counted.flatMap(toGrant),
    setAside: boundSetAside(setAside),
    forks: boundForks(chains.forks)
  }
}

function ownFault(fact: VerifiedFact, genesis: Genesis, chains: Chains): AuthoritySetAside | undefined {
  if (!genesis.roots.includes(fact.body.author)) return 'not-a-root'
  if (genesis.threshold > 1) return 'threshold-not-met'
  if (chains.isExcess(fact)) return 'too-many-chains'
  // Which of two authority facts at one position its author meant is not ours to choose.
  if (chains.isAfterFork(fact)) return 'forked-author'
  return undefined
}

/** Breadth first from the genesis, each level by fact id. */
function inOrder(
  genesis: VerifiedFact,
  children: ReadonlyMap<FactId, readonly VerifiedFact[]>
): readonly VerifiedFact[] {
  const counted: VerifiedFact[] = []
  let level: readonly VerifiedFact[] = [genesis]
  while (level.length > 0) {
    counted.push(...level)
    level = level.flatMap(fact => children.get(fact.id) ?? []).toSorted((a, b) => (a.id < b.id ? -1 : 1))
  }
  return counted
}

function toGrant({ id, body, payload }: VerifiedFact): readonly CountedGrant[] {
  return payload.type === 'grant' ? [{ ...payload.value, fact: id, by: body.author }] : []
}

/** Which key, to do what, on which package, as seen from which authority head. */
export interface RoleQuestion {
  readonly key: Principal
  readonly roles: readonly Role[]
  readonly name: PackageName
  readonly head: FactId
}

/**
 * Where in the authority order a key was given one of the roles, at or before the head; undefined if it was not.
 * Roots hold `owner` over everything from the genesis on. Expiry is not asked here: it is tested where a role is used.
 */
export function roleSince(authority: Authority, { key, roles, name, head }: RoleQuestion): number | undefined {
  const at = authority.order.get(head)
  if (at === undefined) return undefined
  if (roles.includes('owner') && authority.genesis.roots.includes(key)) return 0
  for (const grant of grantsOf(authority, key)) {
    const since = authority.order.get(grant.fact) ?? Number.POSITIVE_INFINITY
    if (since > at) return undefined
    if (roles.includes(grant.role) && covers(grant.scope, name)) return since
  }
  return undefined
}

/** Every release of every fold asks this, so a registry of a thousand keys is not searched from its first grant on. */
const grantsByKey = new WeakMap<Authority, ReadonlyMap<Principal, readonly CountedGrant[]>>()

function grantsOf(authority: Authority, key: Principal): readonly CountedGrant[] {
  let byKey = grantsByKey.get(authority)
  if (byKey === undefined) {
    byKey = Map.groupBy(authority.grants, grant => grant.key)
    grantsByKey.set(authority, byKey)
  }
  return byKey.get(key) ?? []
}

/** The authority part of the view, as it goes into the view digest. */
export function authorityRow(authority: Authority): unknown {
  const { registry, genesis, order, head, setAside, forks } = authority
  const grants = authority.grants.slice(0, LIMITS.view.grants)
  return { registry, genesis: { ...genesis }, counted: order.size, head, grants, setAside, forks }
}
