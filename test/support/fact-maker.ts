import { randomBytes } from 'node:crypto'
import { generateSecret, principalOf } from '../../attestation/keys.ts'
import type { Secret } from '../../attestation/keys.ts'
import { signFact } from '../../attestation/sign-fact.ts'
import { factIdOf } from '../../protocol/cid.ts'
import type { FactId, RegistryId } from '../../protocol/cid.ts'
import { parseEnvelope } from '../../protocol/fact.ts'
import type { Envelope } from '../../protocol/fact.ts'
import { parsePackageName } from '../../protocol/package-name.ts'

/** The id of a registry that nobody founded: a digest of its name. */
export function registryNamed(name: string): RegistryId {
  return factIdOf(new TextEncoder().encode(name)) as string as RegistryId
}

/** One chain of signed facts of one author, each naming the one before. */
export class FactMaker {
  readonly #secret: Secret = generateSecret(randomBytes(32))
  readonly #registry: RegistryId
  readonly #chain = randomBytes(16).toString('hex')
  #seq = 0
  #prev: FactId | null = null

  constructor(registry: RegistryId) {
    this.#registry = registry
  }

  next(payload: Uint8Array = randomBytes(16), time = 1_700_000_000_000 + this.#seq): Envelope {
    const bytes = signFact(
      {
        v: 1,
        type: 'claim',
        registry: this.#registry,
        subject: parsePackageName('ggen/demo'),
        author: principalOf(this.#secret),
        chain: this.#chain,
        seq: this.#seq,
        prev: this.#prev,
        time,
        payload
      },
      this.#secret
    )
    const envelope = parseEnvelope(bytes)
    this.#seq += 1
    this.#prev = envelope.id
    return envelope
  }

  many(count: number): readonly Envelope[] {
    return Array.from({ length: count }, () => this.next())
  }
}
