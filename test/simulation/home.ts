import type { Signer } from '../../node/services/author.ts'
import { signFact } from '../../attestation/sign-fact.ts'
import type { Person } from '../support/facts.ts'
import type { SimDisk } from './disk.ts'
import type { HomeMemory } from './parts.ts'
import type { Rng } from './rng.ts'
import type { SimHeads } from './sim-heads.ts'

/** A data directory: what of a node outlives its process. */
export interface Home extends HomeMemory {
  /** The key in use; another one after a rotation. */
  person: Person
  /** Another one after a backup was restored. */
  disk: SimDisk
  heads: SimHeads
  /** Never leaves the home, nor does the key bring it along. */
  chain: string
  readonly skewMs: number
  readonly rng: Rng
}

/** The key of a home as an author uses it. A new chain is durable at once: it is one small file, renamed into place. */
export function signerOf(home: Home): Signer {
  return {
    get principal() {
      return home.person.did
    },
    sign: body => signFact(body, home.person.secret),
    chain: () => home.chain,
    renewChain: async () => {
      home.chain = Buffer.from(home.rng.bytes(16)).toString('hex')
      return home.chain
    }
  }
}
