import { verifyForkProof } from '../attestation/fork-proof.ts'
import { isRegistryError, RegistryError } from '../protocol/errors.ts'
import type { ProvenFork } from '../protocol/fork-proof.ts'
import { LIMITS } from '../protocol/limits.ts'
import { readSmallFile } from '../storage/small-file.ts'

/**
 * What a proof file proves, to a machine without a data directory and without a network.
 * @throws RegistryError UNKNOWN_FILE | LIMIT_EXCEEDED | MALFORMED | INADMISSIBLE_KEY | BAD_SIGNATURE
 */
export async function verifyProofFile(path: string): Promise<ProvenFork> {
  return verifyForkProof(await readProof(path))
}

async function readProof(path: string): Promise<Uint8Array> {
  try {
    return await readSmallFile(path, { maxBytes: LIMITS.proof.bytes, followLinks: true })
  } catch (cause) {
    if (isRegistryError(cause)) throw cause
    throw new RegistryError('UNKNOWN_FILE', `${path} cannot be read`, { cause })
  }
}
