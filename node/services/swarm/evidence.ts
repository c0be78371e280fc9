import type { Authority } from '../../../protocol/authority.ts'
import type { VerifiedFact } from '../../../protocol/chains.ts'
import type { FactId } from '../../../protocol/cid.ts'
import type { Principal } from '../../../protocol/did.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import { standingRoles } from '../../../protocol/roles.ts'

export interface EvidenceReader {
  /** Facts about the registry itself. */
  readonly facts: readonly VerifiedFact[]
  readonly envelope: (id: FactId) => Promise<Uint8Array | undefined>
}

/**
 * Facts that make a reader know a member: the last grant to it for good, or an invite and its use, each with what stands before the
 * use in its chain as far as there is room. Whoever was offline meanwhile lets it in by them.
 */
export async function evidenceOf(
  authority: Authority,
  key: Principal,
  { facts, envelope }: EvidenceReader
): Promise<readonly Uint8Array[]> {
  const shown: Uint8Array[] = []
  let room: number = LIMITS.membership.evidenceBytes
  // The nearest first, and each before what needs it when they are shown.
  for (const id of idsFor(authority, key, facts)) {
    const bytes = await envelope(id)
    if (bytes === undefined || bytes.length > room) break
    shown.unshift(bytes)
    room -= bytes.length
  }
  return shown
}

function idsFor(authority: Authority, key: Principal, facts: readonly VerifiedFact[]): readonly FactId[] {
  const all = standingRoles(authority, key)
  // A use says nothing to a reader that hears of it when its invite is over.
  const named = all.findLast(({ redemption, expires }) => redemption === undefined && expires === null)
  const held = named ?? all.at(-1)
  const max = LIMITS.membership.evidenceFacts
  // A founder is in the genesis, which everybody has.
  if (held === undefined || held.node.fact.body.type === 'genesis') return []
  const { redemption } = held
  if (redemption === undefined) return [held.node.fact.id]
  const ids: FactId[] = []
  const before = new Map(facts.map(({ id, body }) => [id, body.prev]))
  for (let at: FactId | null = redemption.fact; at !== null && ids.length < max - 1; at = before.get(at) ?? null)
    ids.push(at)
  return [...ids, redemption.invite]
}
