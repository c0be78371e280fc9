import { isBearable } from '../protocol/attest/read-model.ts'
import type { VerifiedFact } from '../protocol/chains.ts'
import type { FactId, RegistryId } from '../protocol/cid.ts'
import type { NodeParts } from './parts.ts'
import { heeding } from './services/attest/heeded.ts'
import type { StandingFailure } from './services/attest/methods.ts'
import type { Release } from './services/attest/release.ts'

interface Placed {
  readonly registry: RegistryId
  readonly fact: VerifiedFact
}

/**
 * What the author of an audit that passed has found to be bad before, where this audit does not follow it: in another registry, or in a
 * chain of another data directory. Only what follows in that chain takes it back (docs/spec/attestation.md section 3), so whoever lost the
 * directory would wait in vain for his word to be heard.
 */
export async function failuresThatStand(
  parts: Pick<NodeParts, 'attestations' | 'registries'>,
  release: Release,
  passed: FactId
): Promise<readonly StandingFailure[]> {
  const said = await parts.attestations.said(release)
  const placed = new Map(
    said.flatMap(({ registry, set }) => set.map(fact => [fact.id, { registry, fact }] as [FactId, Placed]))
  )
  const made = placed.get(passed)
  if (made === undefined) return []
  const { author, chain } = made.fact.body
  const audits = (await parts.attestations.of(release, heeding([author]))).flatMap(record => {
    const at = placed.get(record.fact)
    const isHis = at !== undefined && at.fact.body.author === author && record.issuer === author
    const isHeard = record.marks.every(mark => mark === 'duplicate' || isBearable(mark))
    return isHis && isHeard && record.summary?.type === 'audit' ? [{ ...at, result: record.summary.result }] : []
  })
  const passes = audits.filter(({ result }) => result === 'pass')
  if (!passes.some(({ fact }) => fact.id === passed)) return []
  return audits
    .filter(({ result }) => result === 'fail')
    .filter(failed => !passes.some(one => follows(one, failed)))
    .map(({ registry, fact }) => {
      const alias = parts.registries.all.find(({ id }) => id === registry)?.alias ?? registry
      return { registry, alias, fact: fact.id, isOfThisDirectory: fact.body.chain === chain }
    })
}

function follows(one: Placed, before: Placed): boolean {
  const [a, b] = [one.fact.body, before.fact.body]
  return one.registry === before.registry && a.subject === b.subject && a.chain === b.chain && a.seq > b.seq
}
