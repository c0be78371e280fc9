import type { Authority } from '../../../protocol/authority.ts'
import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { parseEnvelope } from '../../../protocol/fact.ts'
import type { Subject } from '../../../protocol/fact.ts'
import type { PackageView } from '../../../protocol/fold.ts'
import { PUBLISHING_ROLES } from '../../../protocol/role.ts'
import { everHeld } from '../../../protocol/roles.ts'
import { isPackage } from '../../../protocol/subject.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { verified } from '../registry-state.ts'
import type { FindPackage } from '../resolve.ts'
import type { StatedRelease } from './lock-check.ts'

/** What reading one fact needs of the store. */
export interface FactById {
  get(registry: RegistryId, id: FactId): Promise<Uint8Array | undefined>
  cutFactsOf(registry: RegistryId, subject: Subject): Promise<readonly (readonly [FactId, Uint8Array])[]>
}

/** What saying of a release that does not count whether it can ever have counted needs. */
export interface Stating {
  readonly facts: FactById
  readonly gate: { state(registry: RegistryId): { readonly authority: Authority | undefined } | undefined }
  readonly find: FindPackage
}

/**
 * The release that a fact states which is known here. Its signature was checked before it was let in; a revocation that cut
 * it out of the set since then takes it from nobody who has it locked.
 */
export async function statedRelease(
  { facts, gate, find }: Stating,
  registry: RegistryId,
  { name, fact: id }: { readonly name: PackageName; readonly fact: FactId }
): Promise<StatedRelease | undefined> {
  const bytes = await releaseBytes(facts, registry, { name, fact: id })
  if (bytes === undefined) return undefined
  const envelope = parseEnvelope(bytes)
  const { body, payload } = verified(envelope)
  if (envelope.id !== id || payload.type !== 'release' || !isPackage(body.subject)) return undefined
  const { value: content } = payload
  const { subject, author: by } = body
  const wasAllowed = everPublished(gate.state(registry)?.authority, await find(registry, subject), by)
  return { name: subject, version: content.version, by, content, wasAllowed }
}

/**
 * Whether a key was ever allowed to publish the package. Attack: whoever is named in a registry for anything can sign a release of any
 * package there. It never counts, and is in the set all the same, from where the lockfile of a project that he hands out would take it.
 */
function everPublished(authority: Authority | undefined, view: PackageView | undefined, key: Principal): boolean {
  if (authority === undefined || view === undefined || view.claim === null) return false
  if (everHeld(authority, { key, roles: PUBLISHING_ROLES, on: view.name })) return true
  const { keys, roles } = view.claim
  const isPublisher = roles.some(one => one.key === key && PUBLISHING_ROLES.includes(one.role))
  return (
    keys.includes(key) || isPublisher || view.versions.some(({ contents }) => contents.some(({ by }) => by === key))
  )
}

/** The signed fact itself, also one that was cut out of the set. */
export async function releaseBytes(
  facts: FactById,
  registry: RegistryId,
  said: { readonly name: PackageName; readonly fact: FactId }
): Promise<Uint8Array | undefined> {
  return (await facts.get(registry, said.fact)) ?? (await cutFact(facts, registry, said))
}

async function cutFact(
  facts: FactById,
  registry: RegistryId,
  { name, fact }: { readonly name: PackageName; readonly fact: FactId }
): Promise<Uint8Array | undefined> {
  const cut = await facts.cutFactsOf(registry, name)
  return cut.find(([id]) => id === fact)?.[1]
}
