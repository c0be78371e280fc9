import type { Authority } from '../../protocol/authority.ts'
import type { VerifiedFact } from '../../protocol/chains.ts'
import type { FactId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import type { PackageName } from '../../protocol/package-name.ts'
import { covers, NAMING_ROLES, PUBLISHING_ROLES, WHOLE } from '../../protocol/role.ts'
import type { Role, Scope } from '../../protocol/role.ts'

/** A role that a key has, or once had. */
interface Given {
  readonly key: Principal
  readonly role: Role
  readonly scope: Scope
}

const BY_NAME: readonly Role[] = [...NAMING_ROLES, ...PUBLISHING_ROLES]

/**
 * Who ever held a role about names: what the fold counts, and what owners have given that a revocation took out again.
 *
 * Attack: the weakest member of a private registry says something of a public name, which counts for nothing, and nobody
 * who is in that registry can install the public package any more.
 */
export class NameHolders {
  readonly #given: ReadonlyMap<Principal, readonly Given[]>

  /** `known`: all facts about the registry itself, those that were cut off included. */
  constructor({ founders, grants, redemptions, invites, recovery }: Authority, known: readonly VerifiedFact[]) {
    const given: Given[] = []
    const seen = new Set<string>()
    const owners: Principal[] = [...founders, recovery]
    const add = ({ key, role, scope }: Given): void => {
      const id = `${key} ${role} ${scope}`
      if (seen.has(id)) return
      seen.add(id)
      given.push({ key, role, scope })
      if (role === 'owner') owners.push(key)
    }
    for (const key of founders) add({ key, role: 'owner', scope: WHOLE })
    for (const each of [...grants, ...redemptions]) add(each)
    const doors = new Map<FactId, Given>(invites.map(({ fact, ...invite }) => [fact, invite]))
    const byAuthor = Map.groupBy(known, ({ body }) => body.author)
    // What an owner gave counted for whoever had not heard of the revocation that cut it off. Owners are added on the way.
    const asked = new Set<Principal>()
    for (const owner of owners) {
      if (asked.has(owner)) continue
      asked.add(owner)
      for (const { id, payload } of byAuthor.get(owner) ?? []) {
        if (payload.type === 'grant') add(payload.value)
        if (payload.type === 'invite') doors.set(id, payload.value)
      }
    }
    for (const { body, payload } of known) {
      const door = payload.type === 'redeem' ? doors.get(payload.value.invite) : undefined
      if (payload.type === 'redeem' && door?.key === body.author) add({ ...door, key: payload.value.key })
    }
    this.#given = Map.groupBy(given, ({ key }) => key)
  }

  /** Did a key ever hold a role under which it names packages or publishes this one? */
  has(key: Principal, name: PackageName): boolean {
    return (this.#given.get(key) ?? []).some(({ role, scope }) => BY_NAME.includes(role) && covers(scope, name))
  }
}

/** What looking for traces needs of a registry that is open. */
export interface TracedRegistry {
  readonly authority: Authority | undefined
  known(
    subject: 'registry' | PackageName
  ): Promise<{ readonly set: readonly VerifiedFact[]; readonly cut: readonly VerifiedFact[] }>
}

const holders = new WeakMap<Authority, NameHolders>()

/** Whether any fact about a name, cut off or not, is by somebody who could ever name or publish it. */
export async function isTraced(registry: TracedRegistry, name: PackageName): Promise<boolean> {
  const { set, cut } = await registry.known(name)
  const facts = [...set, ...cut]
  const { authority } = registry
  // Nobody knows yet who may say what.
  if (authority === undefined || facts.length === 0) return facts.length > 0
  const own = holders.get(authority) ?? new NameHolders(authority, await aboutItself(registry))
  holders.set(authority, own)
  return facts.some(({ body }) => own.has(body.author, name))
}

async function aboutItself(registry: TracedRegistry): Promise<readonly VerifiedFact[]> {
  const { set, cut } = await registry.known('registry')
  return [...set, ...cut]
}
