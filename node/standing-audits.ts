import { AUDIT_TYPE } from '../protocol/attest/predicates.ts'
import { isBearable } from '../protocol/attest/read-model.ts'
import { REFERENCE_TYPE } from '../protocol/attest/referred.ts'
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
 * directory would wait in vain for his word to be heard. What cannot be read is told of nowhere but in the log: he has signed by then.
 */
export async function failuresThatStand(
  parts: Looking & Pick<NodeParts, 'log'>,
  release: Release,
  { fact, predicateType }: { readonly fact: FactId; readonly predicateType: string }
): Promise<readonly StandingFailure[]> {
  if (predicateType !== AUDIT_TYPE && predicateType !== REFERENCE_TYPE) return []
  try {
    return await standingBeside(parts, release, fact)
  } catch (error) {
    parts.log.warn({ error }, 'which audits stand beside one that passed could not be read')
    return []
  }
}

type Looking = Pick<NodeParts, 'attestations' | 'registries'>

async function standingBeside(parts: Looking, release: Release, passed: FactId): Promise<readonly StandingFailure[]> {
  const said = await parts.attestations.said(release)
  const placed = new Map(
    said.flatMap(({ registry, set }) => set.map(fact => [fact.id, { registry, fact }] as [FactId, Placed]))
  )
  const made = placed.get(passed)
  if (made === undefined || hasFailed(made)) return []
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

/** By what it says itself, so that nothing else is read. */
function hasFailed({ fact: { payload } }: Placed): boolean {
  return payload.type === 'attestation' && payload.value.statement.predicate['result'] === 'fail'
}

function follows(one: Placed, before: Placed): boolean {
  const [a, b] = [one.fact.body, before.fact.body]
  return one.registry === before.registry && a.subject === b.subject && a.chain === b.chain && a.seq > b.seq
}
