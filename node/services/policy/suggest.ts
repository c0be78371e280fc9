import { LIMITS } from '../../../protocol/limits.ts'
import type { ReleaseVerdict, RuleVerdict } from '../../../protocol/policy/evaluate.ts'
import { withImplied } from '../../../protocol/policy/audits.ts'
import type { AttestationFacts, ReleaseFacts } from '../../../protocol/policy/schema.ts'
import type { Version } from '../../../protocol/version.ts'
import { referenceOf, refusals } from './forward.ts'
import type { Candidate } from './candidate.ts'
import type { Judged, Judgement, LoadedPolicy } from './judge.ts'
import type { SuggestedAudit, SuggestedExemption, Suggestion } from './methods.ts'

export interface SuggestComponents {
  /** Versions of the package that are known to be good for all of these criteria, by the word of those who are followed. */
  readonly audited: (candidate: Candidate, criteria: readonly string[]) => Promise<readonly Candidate[]>
  /** Bytes of a release that are in no file of another one; undefined when that can't be counted here. */
  readonly changed: (before: Candidate, after: Candidate) => Promise<number | undefined>
}

/** What audits are asked for, the least first. */
const ASKED = [['safe-to-run'], ['safe-to-deploy']] as const

/**
 * The smallest set of audits and exemptions with which a lock passes. Nothing that is said of one release helps another, so the
 * smallest for each is the smallest for all: where audits make a rule hold they are asked for, as few as do and for as little as
 * does, over the change from a version that is good already where that is less to read; from what is left an exemption.
 */
export async function suggest(judgement: Judgement, components: SuggestComponents): Promise<Suggestion> {
  const audits: SuggestedAudit[] = []
  const exemptions: SuggestedExemption[] = []
  for (const judged of refusals(judgement)) {
    const denied = judged.rules.filter(({ outcome }) => outcome === 'deny')
    const need = needOf(judged, denied, judgement)
    if (need !== undefined) audits.push(await cheapest(judged, need, components))
    const left = denied.filter(rule => need?.rules.includes(rule) !== true)
    for (const { code, policy, message } of left) {
      const isLocal = judgement.policies.some((one: LoadedPolicy) => one.name === policy && one.isLocal)
      exemptions.push({ reference: referenceOf(judged), rule: code, policy, message, isLocal })
    }
  }
  audits.sort((a, b) => a.bytes - b.bytes)
  return {
    judged: judgement.judged.length,
    denied: refusals(judgement).length,
    audits,
    exemptions,
    bytes: audits.reduce((sum, { bytes, auditors }) => sum + bytes * auditors, 0)
  }
}

interface Need {
  readonly auditors: number
  readonly criteria: readonly string[]
  /** Those that hold then. */
  readonly rules: readonly RuleVerdict[]
}

/** The fewest auditors, and the least that they say, with which as many rules as any hold. Asked of the rules themselves. */
function needOf(judged: Judged, denied: readonly RuleVerdict[], { asIf }: Judgement): Need | undefined {
  const asked = (auditors: number, criteria: readonly string[]): Need => {
    const verdict = asIf(judged.candidate, audited(judged.facts, auditors, criteria))
    return { auditors, criteria, rules: denied.filter(rule => holdsIn(verdict, rule)) }
  }
  // What as many as there can be do not make hold, fewer do not either, but where a rule is about how many there are.
  const most = asked(LIMITS.policy.auditors, ASKED[1])
  if (most.rules.length === 0) return undefined
  let best: Need | undefined
  for (let auditors = 1; auditors <= LIMITS.policy.auditors; auditors++) {
    for (const criteria of ASKED) {
      const need = asked(auditors, criteria)
      if (need.rules.length > (best?.rules.length ?? 0)) best = need
      if ((best?.rules.length ?? 0) >= most.rules.length) return best
    }
  }
  return best
}

function holdsIn({ rules }: ReleaseVerdict, { code, policy }: RuleVerdict): boolean {
  return rules.some(rule => rule.code === code && rule.policy === policy && rule.outcome !== 'deny')
}

function audited(facts: ReleaseFacts, auditors: number, criteria: readonly string[]): ReleaseFacts {
  const { registry, attestations } = facts
  const more = Array.from({ length: auditors }, (_, i): AttestationFacts => ({
    type: 'audit',
    predicateType: '',
    issuer: `auditor ${i}`,
    registry: registry.id,
    followed: true,
    passed: true,
    marks: ['full', ...withImplied(criteria)],
    summary: ''
  }))
  // In front: what lies beyond the entries that a rule sees would help nobody.
  return { ...facts, attestations: [...more, ...attestations] }
}

/** In full, or from the version from which there is least to read. */
async function cheapest(
  judged: Judged,
  { auditors, criteria, rules }: Need,
  { audited: bases, changed }: SuggestComponents
): Promise<SuggestedAudit> {
  const { candidate } = judged
  const size = candidate.content.size
  let best: { readonly from: Version | null; readonly bytes: number; readonly isMeasured: boolean } = {
    from: null,
    bytes: size,
    isMeasured: true
  }
  for (const base of (await bases(candidate, criteria)).slice(0, LIMITS.policy.alternatives)) {
    const counted = await changed(base, candidate)
    // What can't be counted is no more than the whole, and less as a rule.
    const bytes = counted ?? size
    const isBetter = bytes < best.bytes || (best.from === null && bytes === best.bytes)
    if (isBetter) best = { from: base.version, bytes, isMeasured: counted !== undefined }
  }
  const reference = referenceOf(judged)
  const from = best.from === null ? '' : ` --from ${best.from}`
  return {
    reference,
    kind: best.from === null ? 'full' : 'delta',
    ...best,
    auditors,
    criteria,
    rules: rules.map(({ code }) => code),
    command: `ggen-node audit ${reference} --criteria ${criteria.join(' ')}${from}`
  }
}
