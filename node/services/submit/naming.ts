import type { Authority } from '../../../protocol/authority.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { Subject } from '../../../protocol/fact.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { placeIn } from '../../../protocol/role.ts'
import { roleSince, thresholdAt } from '../../../protocol/roles.ts'

/** Whether a key gives out a name on its own: as a curator, or as an owner where one owner is enough. */
export function mayName(authority: Authority, key: Principal, name: PackageName, now: number): boolean {
  return holdsNaming(unexpired(authority, now), key, name)
}

/** Whether a key gives out any name of a registry on its own. */
export function curates(authority: Authority, key: Principal, now: number): boolean {
  const current = unexpired(authority, now)
  if (holdsNaming(current, key, 'registry')) return true
  const given = [...current.grants, ...current.redemptions].filter(grant => grant.key === key)
  return given.some(({ scope }) => holdsNaming(current, key, placeIn(scope)))
}

function holdsNaming(authority: Authority, key: Principal, on: Subject): boolean {
  const use = { key, on, head: authority.head }
  if (roleSince(authority, { ...use, roles: ['curator'] }) !== undefined) return true
  return (
    thresholdAt(authority, authority.head) === 1 && roleSince(authority, { ...use, roles: ['owner'] }) !== undefined
  )
}

/** Expiry is tested where a role is used, and here it is used. */
function unexpired(authority: Authority, now: number): Authority {
  const isOver = authority.grants.some(({ expires }) => expires !== null && expires <= now)
  if (!isOver) return authority
  return { ...authority, grants: authority.grants.filter(({ expires }) => expires === null || expires > now) }
}
