import { RegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { RuleVerdict } from '../../../protocol/policy/evaluate.ts'
import { exceptionCommand, forward, referenceOf, refusals } from './forward.ts'
import type { Judged, Judgement } from './judge.ts'

/**
 * Refuses the whole when one release is refused.
 * @throws RegistryError POLICY_DENIED that names, for each refused package, the rule, the facts it read and a way forward
 */
export function assertAllowed(judgement: Judgement, now: number): void {
  const refused = refusals(judgement)
  if (refused.length === 0) return
  const shown = refused.slice(0, LIMITS.policy.named)
  const lines = shown.flatMap(judged => denials(judged).flatMap(rule => denialLines(judged, rule, judgement, now)))
  const rules = [...new Set(refused.flatMap(judged => denials(judged).map(({ code }) => code)))].toSorted()
  const more = refused.length - shown.length
  const [first] = refused
  throw new RegistryError(
    'POLICY_DENIED',
    `nothing was installed: the policy refuses ${refused.length} of ${judgement.judged.length} packages`,
    {
      tried: [...lines, ...(more > 0 ? [`and ${more} more`] : [])],
      detail: { refused: refused.length, judged: judgement.judged.length, rules: rules.join(',') },
      next: `ggen-node policy explain ${first === undefined ? 'REF' : referenceOf(first)} shows every rule; who answers for it adds --allow RULE REF --until DATE --reason WHY`
    }
  )
}

export function denials({ rules }: Judged): readonly RuleVerdict[] {
  return rules.filter(({ outcome }) => outcome === 'deny')
}

function denialLines(judged: Judged, rule: RuleVerdict, judgement: Judgement, now: number): readonly string[] {
  const { code, policy, message, facts, error, exception } = rule
  const read = facts.map(({ name, value }) => `${name} is ${value}`).join('; ')
  const way = forward(judged, rule, judgement, now)
  return [
    `${referenceOf(judged)}: ${code} (${policy}): ${error === null ? message : `the rule cannot be evaluated: ${error}`}`,
    ...(read === '' ? [] : [`  it read: ${read}`]),
    ...(exception === null ? [] : [`  an exception ended on ${exception.until}: ${exception.reason}`]),
    `  forward: ${way === undefined ? '' : `${way}; or `}${exceptionCommand(judged, rule, now)}`
  ]
}
