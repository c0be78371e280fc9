import { publicKeyOf } from '../protocol/did.ts'
import { RegistryError } from '../protocol/errors.ts'
import { parseForkProof } from '../protocol/fork-proof.ts'
import type { ProvenFork } from '../protocol/fork-proof.ts'
import { admitKey } from './keys.ts'
import { verifyFact } from './sign-fact.ts'

/**
 * The fork that a file proves, to a machine that knows nothing else: its shape, one position, two bodies, the key, and
 * each signature under it.
 * @throws RegistryError MALFORMED | LIMIT_EXCEEDED | INADMISSIBLE_KEY | BAD_SIGNATURE
 */
export function verifyForkProof(bytes: Uint8Array): ProvenFork {
  const { envelopes, fork } = parseForkProof(bytes)
  // Attack: under a key of small order one signature holds for any body. No registry has admitted this key for us.
  admitKey(publicKeyOf(fork.author))
  for (const envelope of envelopes) {
    if (!verifyFact(envelope))
      throw new RegistryError('BAD_SIGNATURE', `statement ${envelope.id} was not signed by ${fork.author}`)
  }
  return fork
}
