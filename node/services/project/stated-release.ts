import type { FactId, RegistryId } from '../../../protocol/cid.ts'
import { parseEnvelope } from '../../../protocol/fact.ts'
import { verified } from '../registry-state.ts'
import type { StatedRelease } from './lock-check.ts'

/** What reading one fact needs of the store. */
export interface FactById {
  get(registry: RegistryId, id: FactId): Promise<Uint8Array | undefined>
}

/** The release that a fact of the local set states. Its signature was checked before it was let in. */
export async function statedRelease(
  facts: FactById,
  registry: RegistryId,
  id: FactId
): Promise<StatedRelease | undefined> {
  const bytes = await facts.get(registry, id)
  if (bytes === undefined) return undefined
  const envelope = parseEnvelope(bytes)
  const { body, payload } = verified(envelope)
  if (envelope.id !== id || payload.type !== 'release' || body.subject === 'registry') return undefined
  const { value: content } = payload
  return { name: body.subject, version: content.version, by: body.author, content }
}
