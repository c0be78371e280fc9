import { RegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { RuleVerdict } from '../../../protocol/policy/evaluate.ts'
import { exceptionWay, forward, referenceOf, refusals } from './forward.ts'
import type { Judged, Judgement } from './judge.ts'

/**
 * Refuses the whole when one release is refused.
 * @throws RegistryError POLICY_DENIED that names, for each refused package, the rule, the facts it read and a way forward
 */
export async function assertAllowed(judgement: Judgement, now: number): Promise<void> {
  const refused = refusals(judgement)
  const [first] = refused
  if (first === undefined) return
  const denials = refused.flatMap(judged => denied(judged).map(rule => ({ judged, rule })))
  const shown = denials.slice(0, LIMITS.policy.named)
  const more = denials.length - shown.length
  const rules = [...new Set(denials.map(({ rule }) => rule.code))].toSorted()
  const told: string[] = []
  for (const group of alike(shown)) told.push(...(await lines(group, judgement, now)))
  throw new RegistryError(
    'POLICY_DENIED',
    `nothing was installed: the policy refuses ${refused.length} of ${judgement.judged.length} packages`,
    {
      tried: [...told, ...(more > 0 ? [`and ${more} more`] : [])],
      detail: { refused: refused.length, judged: judgement.judged.length, rules: rules.join(',') },
      next: `ggen-node policy explain ${referenceOf(first)} shows every rule; who answers for it adds --allow RULE REF --until DATE --reason WHY`
    }
  )
}

function denied({ rules }: Judged): readonly RuleVerdict[] {
  return rules.filter(({ outcome }) => outcome === 'deny')
}

interface Denial {
  readonly judged: Judged
  readonly rule: RuleVerdict
}

/** Packages that one rule refuses for the same facts: said once. */
function alike(denials: readonly Denial[]): readonly (readonly Denial[])[] {
  const keyOf = ({ rule: { code, policy, facts, error, exception }, judged }: Denial): string =>
    JSON.stringify([policy, code, judged.candidate.registry, facts, error, exception])
  return [...Map.groupBy(denials, keyOf).values()]
}

async function lines(group: readonly Denial[], judgement: Judgement, now: number): Promise<readonly string[]> {
  const [first] = group
  if (first === undefined) return []
  const { judged, rule } = first
  const { code, policy, message, facts, error, exception } = rule
  const names = group.map(each => referenceOf(each.judged)).join(', ')
  const read = facts.map(({ name, value }) => `${name} is ${value}`).join('; ')
  const way = await forward(judged, rule, judgement, now)
  return [
    `${names}: ${code} (${policy}): ${error === null ? message : `the rule cannot be evaluated: ${error}`}`,
    ...(read === '' ? [] : [`  it read: ${read}`]),
    ...(exception === null ? [] : [`  an exception ended on ${exception.until}: ${exception.reason}`]),
    `  forward: ${[way, `${exceptionWay(judged, rule, judgement, now)}${group.length > 1 ? ', and so for each' : ''}`].filter(text => text !== undefined).join('; or ')}`
  ]
}
