import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import { parseEnvelope } from '../../../protocol/fact.ts'
import type { Subject } from '../../../protocol/fact.ts'
import { isPackage } from '../../../protocol/subject.ts'
import type { PackageName } from '../../../protocol/package-name.ts'
import { verified } from '../registry-state.ts'
import type { StatedRelease } from './lock-check.ts'

/** What reading one fact needs of the store. */
export interface FactById {
  get(registry: RegistryId, id: FactId): Promise<Uint8Array | undefined>
  cutFactsOf(registry: RegistryId, subject: Subject): Promise<readonly (readonly [FactId, Uint8Array])[]>
}

/**
 * The release that a fact states which is known here. Its signature was checked before it was let in; a revocation that cut
 * it out of the set since then takes it from nobody who has it locked.
 */
export async function statedRelease(
  facts: FactById,
  registry: RegistryId,
  { name, fact: id }: { readonly name: PackageName; readonly fact: FactId }
): Promise<StatedRelease | undefined> {
  const bytes = await releaseBytes(facts, registry, { name, fact: id })
  if (bytes === undefined) return undefined
  const envelope = parseEnvelope(bytes)
  const { body, payload } = verified(envelope)
  if (envelope.id !== id || payload.type !== 'release' || !isPackage(body.subject)) return undefined
  const { value: content } = payload
  return { name: body.subject, version: content.version, by: body.author, content }
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
