import type { FactId, RegistryId } from './cid.ts'
import type { Principal } from './did.ts'
import { RegistryError } from './errors.ts'
import type { Envelope, Subject } from './fact.ts'
import { formatEnvelopes, parseEnvelopes } from './fact-file.ts'
import { LIMITS } from './limits.ts'

/** What a proof is about: one position at which one key signed more than one body. */
export interface ProvenFork {
  readonly registry: RegistryId
  readonly subject: Subject
  readonly author: Principal
  readonly chain: string
  readonly seq: number
  readonly facts: readonly FactId[]
}

/**
 * A proof of a fork, docs/spec/proof.md: `{"v": 1, "kind": "fork", "facts": [envelope, envelope, …]}`, ascending by fact id.
 * @throws RegistryError LIMIT_EXCEEDED | MALFORMED when these are no fork
 */
export function formatForkProof(envelopes: readonly Envelope[]): Uint8Array {
  forkOf(envelopes)
  return formatEnvelopes('fork', envelopes, LIMITS.proof)
}

/** The envelopes of a proof, which claim to be a fork. The signatures are NOT checked here. @throws RegistryError MALFORMED | LIMIT_EXCEEDED */
export function parseForkProof(bytes: Uint8Array): {
  readonly envelopes: readonly Envelope[]
  readonly fork: ProvenFork
} {
  const envelopes = parseEnvelopes('fork', bytes, LIMITS.proof)
  return { envelopes, fork: forkOf(envelopes) }
}

/** The position that all envelopes claim. Distinct bodies have distinct ids. @throws RegistryError MALFORMED */
function forkOf(envelopes: readonly Envelope[]): ProvenFork {
  const [first, ...others] = envelopes
  if (first === undefined || new Set(envelopes.map(({ id }) => id)).size < 2)
    throw malformed('one statement alone proves nothing')
  const { registry, subject, author, chain, seq } = first.body
  // A genesis stands in no chain: who founds two registries has not contradicted himself.
  if (registry === null) throw malformed('a genesis stands in no chain')
  for (const { body } of others) {
    if (body.registry !== registry) throw malformed('the statements are about different registries')
    if (body.subject !== subject) throw malformed('the statements are about different subjects')
    if (body.author !== author) throw malformed('the statements are by different authors')
    if (body.chain !== chain) throw malformed('the statements stand in different chains')
    if (body.seq !== seq) throw malformed('the statements stand at different positions')
  }
  return { registry, subject, author, chain, seq, facts: envelopes.map(({ id }) => id) }
}

function malformed(why: string): RegistryError {
  return new RegistryError('MALFORMED', `this is no proof of a fork: ${why}`)
}
