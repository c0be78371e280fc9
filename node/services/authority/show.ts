import { toHex } from '../../../protocol/bytes.ts'
import type { RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import type { Subject } from '../../../protocol/fact.ts'
import type { Genesis } from '../../../protocol/payload.ts'
import { conflictsIn, countReasons } from './conflicts.ts'
import type { ConflictComponents, OpenFork } from './conflicts.ts'
import { placeOf } from './place.ts'
import { isOver, ownersHere } from './powers.ts'
import { rolesIn } from './roles.ts'
import type { HeldRole } from './roles.ts'

/** A role as it is shown: with whether it is over by this machine's clock. */
export interface ShownRole extends HeldRole {
  readonly expired: boolean
}

/** Who may do what about a registry or about one package. */
export interface ShownRoles {
  readonly registry: RegistryId
  readonly subject: Subject
  readonly roles: readonly ShownRole[]
  readonly owners: readonly Principal[]
  /** So many owners must sign. */
  readonly threshold: number
}

export interface ShowComponents extends Pick<ConflictComponents, 'gate' | 'view'> {
  readonly digest: (registry: RegistryId) => Promise<Uint8Array>
  readonly count: (registry: RegistryId) => number
  readonly now: () => number
}

/** @throws RegistryError UNKNOWN_REGISTRY | PENDING | UNKNOWN_PACKAGE */
export async function showRoles(
  { gate, now }: Pick<ShowComponents, 'gate' | 'now'>,
  registry: RegistryId,
  subject: Subject
): Promise<ShownRoles> {
  const place = await placeOf(gate, registry, subject)
  const roles = rolesIn(place).map(held => ({ ...held, expired: isOver(held, now()) }))
  return { registry, subject, roles, ...ownersHere(place) }
}

/** All that a node knows of a registry itself. */
export interface ShownRegistry extends Omit<ShownRoles, 'subject'> {
  readonly name: string
  readonly admission: Genesis['admission']
  readonly visibility: Genesis['visibility']
  readonly recovery: Principal
  readonly head: string
  readonly facts: number
  /** Facts that do not count, by their reasons. */
  readonly setAside: Readonly<Record<string, number>>
  readonly forks: { readonly open: readonly OpenFork[]; readonly settled: number }
  readonly conflicts: number
  readonly packages: number
  readonly releases: number
  readonly digest: string
}

/** @throws RegistryError UNKNOWN_REGISTRY | PENDING */
export async function showRegistry(components: ShowComponents, registry: RegistryId): Promise<ShownRegistry> {
  const { roles, owners, threshold } = await showRoles(components, registry, 'registry')
  const { authority } = await placeOf(components.gate, registry, 'registry')
  const { name, admission, visibility } = authority.genesis
  const aside: { readonly reason: string }[] = [...authority.setAside]
  let [packages, releases] = [0, 0]
  let settled = authority.forks.filter(fork => fork.settled).length
  for await (const view of components.view.packages(registry)) {
    if (view.claim !== null) packages += 1
    releases += view.versions.length
    settled += view.forks.filter(fork => fork.settled).length
    aside.push(...view.setAside)
  }
  const { versions, forks } = await conflictsIn(components, registry)
  return {
    registry,
    name,
    admission,
    visibility,
    owners,
    threshold,
    roles,
    recovery: authority.recovery,
    head: authority.head,
    facts: components.count(registry),
    setAside: countReasons(aside),
    forks: { open: forks, settled },
    conflicts: versions.length,
    packages,
    releases,
    digest: toHex(await components.digest(registry))
  }
}
