import { changedBytes } from './change-size.ts'
import type { NodeParts } from './parts.ts'
import { judgeLock } from './policy-lock.ts'
import type { ApiMethods, CallContext } from './services/api.ts'
import type { Candidate } from './services/policy/candidate.ts'
import { othersOf } from './services/policy/others.ts'
import { suggest } from './services/policy/suggest.ts'

/** What would make the lockfile of a project pass. */
export async function policySuggest(
  parts: NodeParts,
  { project }: ApiMethods['policySuggest']['params'],
  { signal }: CallContext
): Promise<ApiMethods['policySuggest']['result']> {
  const judgement = await judgeLock(parts, { project, by: parts.policy.judge, signal })
  return suggest(judgement, {
    audited: (candidate, criteria) => auditedBefore(parts, candidate, criteria),
    changed: (before, { registry, root }) =>
      changedBytes(parts.spaces, registry, { before: before.root, after: root }, signal)
  })
}

/** Other versions from which a delta would lead to this one, for these criteria. */
export async function auditedBefore(
  {
    policy,
    view
  }: { readonly policy: Pick<NodeParts['policy'], 'attestations'>; readonly view: Pick<NodeParts['view'], 'find'> },
  candidate: Candidate,
  criteria: readonly string[]
): Promise<readonly Candidate[]> {
  const { registry, name } = candidate
  const bases: Candidate[] = []
  for (const other of othersOf(candidate, await view.find(registry, name))) {
    const said = await policy.attestations(other)
    const audits = said.filter(({ type, followed }) => type === 'audit' && followed)
    const isGood = ({ passed, marks }: (typeof audits)[number]): boolean =>
      passed && criteria.every(mark => marks.includes(mark))
    // No chain leads through what somebody who is followed says is bad.
    if (audits.some(isGood) && !audits.some(({ marks }) => marks.includes('failed'))) bases.push(other)
  }
  return bases
}
