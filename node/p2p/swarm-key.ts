import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'

/** The libp2p key of a swarm out of 32 secret bytes: the same bytes are the same peer id on every start. */
export async function swarmKeyOf(secret: Uint8Array): Promise<PrivateKey> {
  return generateKeyPairFromSeed('Ed25519', secret)
}
