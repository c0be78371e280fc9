import { equalBytes } from '../protocol/bytes.ts'
import type { VerifiedFact } from '../protocol/chains.ts'
import type { RegistryId } from '../protocol/cid.ts'
import { isRegistryError } from '../protocol/errors.ts'
import { parseEnvelope } from '../protocol/fact.ts'
import type { Subject } from '../protocol/fact.ts'
import { foldSubject } from '../protocol/fold-subject.ts'
import { LIMITS } from '../protocol/limits.ts'
import { encodeAuthorityRow, sealRow } from '../protocol/view-row.ts'
import type { FactStore } from '../storage/fact-store.ts'
import type { Gate } from './services/admit.ts'
import { verified } from './services/registry-state.ts'

export interface RowParts {
  readonly facts: FactStore
  readonly gate: Pick<Gate, 'state'>
}

/**
 * Whether the stored row of a subject is what its facts add up to. A row may be written between reading the facts and
 * reading it, so a difference is looked at again.
 */
export async function isFolded({ facts, gate }: RowParts, id: RegistryId, subject: Subject): Promise<boolean> {
  for (let attempt = 0; attempt < LIMITS.doctor.attempts; attempt++) {
    const authority = gate.state(id)?.authority
    if (authority === undefined) return true
    const isRegistry = subject === 'registry'
    const known = await readFacts(facts, id, subject)
    const folded = isRegistry ? undefined : foldSubject(subject, authority, known)
    const row = folded === undefined ? encodeAuthorityRow(authority, known) : folded.row
    const stored = await facts.row(id, subject)
    const isAside = !isRegistry && (await facts.isAside(id, subject))
    const hasAside = folded?.hasAside ?? false
    if (stored !== undefined && equalBytes(stored, sealRow(row)) && isAside === hasAside) return true
  }
  return false
}

/** From the disk and not from the gate's memory, which is what is being checked. Unreadable facts are told elsewhere. */
async function readFacts(facts: FactStore, id: RegistryId, subject: Subject): Promise<readonly VerifiedFact[]> {
  const found: VerifiedFact[] = []
  for (const [, bytes] of await facts.factsOf(id, subject)) {
    try {
      found.push(verified(parseEnvelope(bytes)))
    } catch (error) {
      if (!isRegistryError(error)) throw error
    }
  }
  return found
}
