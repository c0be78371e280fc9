import { randomBytes } from 'node:crypto'
import { generateSecret, principalOf } from '../../attestation/keys.ts'
import type { Secret } from '../../attestation/keys.ts'
import { signSubmission } from '../../attestation/sign-submission.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import type { Submission } from '../../protocol/submission.ts'

/** Somebody whom nobody knows. */
export interface Stranger {
  readonly secret: Secret
  readonly key: ReturnType<typeof principalOf>
  /** A signed submission as it should be, but for what is given. */
  asks(registry: RegistryId, name: string, overrides?: Partial<Submission>): Uint8Array
}

export function stranger(): Stranger {
  const secret = generateSecret(randomBytes(32))
  const key = principalOf(secret)
  return {
    secret,
    key,
    asks: (registry, name, overrides = {}) =>
      signSubmission(
        {
          v: 1,
          registry,
          name: `ggen/${name}`,
          keys: [key],
          threshold: 1,
          note: '',
          time: 1_700_000_000_000,
          nonce: new Uint8Array(randomBytes(16)),
          ...overrides
        },
        secret
      )
  }
}
