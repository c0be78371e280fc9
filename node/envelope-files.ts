import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { toLink } from '../protocol/cid.ts'
import { RegistryError } from '../protocol/errors.ts'
import { parseEnvelope } from '../protocol/fact.ts'
import type { NodeParts } from './parts.ts'
import type { ShownAttestation } from './services/attest/methods.ts'
import { verified } from './services/registry-state.ts'

/** How much of a fact id tells two apart in one folder, beside the kind. */
const ID_CHARS = 12

/**
 * Writes envelopes into a new folder, one a file, byte for byte as whoever signed them did: what DSSE verifiers of others read. A
 * predicate that is content stands beside its envelope, which has its digest. Names are made here, of kinds and ids alone.
 * @throws RegistryError ALREADY_EXISTS | UNKNOWN_FILE
 */
export async function writeEnvelopes(
  { authority, facts, spaces }: Pick<NodeParts, 'authority' | 'facts' | 'spaces'>,
  attestations: readonly ShownAttestation[],
  folder: string
): Promise<readonly string[]> {
  const { files } = authority
  await files.assertFree(folder)
  await mkdir(folder).catch((cause: unknown) => {
    throw new RegistryError('UNKNOWN_FILE', `${folder} cannot be made`, { cause })
  })
  const written: string[] = []
  const write = async (name: string, bytes: Uint8Array): Promise<void> => {
    await files.replace(join(folder, name), bytes)
    written.push(join(folder, name))
  }
  for (const { registry, fact, type, content } of attestations) {
    const bytes = await facts.get(registry, fact)
    // What a revocation took out of the set is shown, and given to nobody.
    if (bytes === undefined) continue
    const { payload } = verified(parseEnvelope(bytes))
    if (payload.type !== 'attestation') continue
    const name = `${type}-${fact.slice(-ID_CHARS)}`
    await write(`${name}.json`, payload.value.envelope)
    const predicate = content === null ? undefined : await spaces.of(registry).blocks.read(toLink(content.cid))
    if (predicate !== undefined) await write(`${name}.predicate.json`, predicate)
  }
  return written
}
