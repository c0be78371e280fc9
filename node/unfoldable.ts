import type { Subject } from '../protocol/fact.ts'
import type { FactId } from '../protocol/cid.ts'
import { isPackage } from '../protocol/subject.ts'
import { openDigestRow, openPackageRow } from '../protocol/view-row.ts'
import type { FollowedRegistry } from '../storage/records.ts'
import type { NodeParts } from './parts.ts'
import type { Finding } from './services/api.ts'

interface Unfoldable {
  readonly fact: FactId
  readonly subject: Subject
}

/** Facts of a registry that were set aside because the fold throws with them; nothing where there are none. */
export async function unfoldableFindings(
  parts: Pick<NodeParts, 'facts' | 'gate'>,
  { id, alias }: Pick<FollowedRegistry, 'alias' | 'id'>
): Promise<readonly Finding[]> {
  const found: Unfoldable[] = (parts.gate.state(id)?.authority?.unfoldable ?? []).map(fact => ({
    fact,
    subject: 'registry'
  }))
  for (const subject of await parts.facts.asideSubjects(id)) found.push(...(await unfoldableAbout(parts, id, subject)))
  const [first] = found
  if (first === undefined) return []
  const text = `unfoldable: ${found.length} facts do not count because this ggen-node cannot fold them, first ${first.fact} about ${first.subject}`
  const next =
    'use a newer ggen-node, and report it; until then look at what they say before you rely on it: one may be a warning'
  return [{ check: `fold of ${alias}`, ok: false, text, next }]
}

async function unfoldableAbout(
  { facts }: Pick<NodeParts, 'facts'>,
  id: FollowedRegistry['id'],
  subject: Subject
): Promise<readonly Unfoldable[]> {
  const row = await facts.row(id, subject)
  if (row === undefined || subject === 'registry') return []
  const { setAside } = isPackage(subject) ? openPackageRow(row) : openDigestRow(row)
  return setAside.filter(({ reason }) => reason === 'unfoldable').map(({ fact }) => ({ fact, subject }))
}
