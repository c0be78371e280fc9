import { setImmediate } from 'node:timers/promises'
import { RegistryError } from '../../../protocol/errors.ts'
import { LIMITS } from '../../../protocol/limits.ts'
import type { RuleVerdict } from '../../../protocol/policy/evaluate.ts'
import { exceptionWay, referenceOf, refusals, Ways } from './forward.ts'
import type { Judged, Judgement } from './judge.ts'
import type { ShownVerdict } from './methods.ts'
import { shownVerdict } from './shown.ts'
import type { Showing } from './shown.ts'

/**
 * Refuses the whole when one release is refused.
 * @throws RegistryError POLICY_DENIED that names, for each refused package, the rule, the facts it read and a way forward
 */
export async function assertAllowed(judgement: Judgement, now: number, signal?: AbortSignal): Promise<void> {
  const refused = refusals(judgement)
  const [first] = refused
  if (first === undefined) return
  const denials = refused.flatMap(judged => denied(judged).map(rule => ({ judged, rule })))
  const shown = denials.slice(0, LIMITS.policy.named)
  const more = denials.length - shown.length
  const rules = [...new Set(denials.map(({ rule }) => rule.code))].toSorted()
  const ways = new Ways(judgement, now)
  const told: string[] = []
  for (const group of alike(shown)) told.push(...(await lines(group, { judgement, ways, now })))
  throw new RegistryError(
    'POLICY_DENIED',
    `nothing was installed: the policy refuses ${refused.length} of ${judgement.judged.length} packages`,
    {
      tried: [...told, ...(more > 0 ? [`and ${more} more`] : [])],
      verdicts: await verdicts(refused, { judgement, ways, now, isShown: ({ outcome }) => outcome === 'deny' }, signal),
      detail: { refused: refused.length, judged: judgement.judged.length, rules: rules.join(',') },
      next: `ggen-node policy explain ${referenceOf(first)} shows every rule; who answers for it adds --allow RULE REF --until DATE --reason WHY`
    }
  )
}

/** All that is refused, for programs: people read the first of them. */
async function verdicts(
  refused: readonly Judged[],
  showing: Showing,
  signal: AbortSignal | undefined
): Promise<readonly ShownVerdict[]> {
  const shown: ShownVerdict[] = []
  let rules = 0
  for (const [i, judged] of refused.entries()) {
    rules += denied(judged).length
    if (rules > LIMITS.policy.denials) break
    if (i > 0 && i % LIMITS.policy.releasesPerTurn === 0) await setImmediate()
    signal?.throwIfAborted()
    shown.push(await shownVerdict(judged, showing))
  }
  return shown
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

async function lines(
  group: readonly Denial[],
  { judgement, ways, now }: Omit<Showing, 'isShown'>
): Promise<readonly string[]> {
  const [first] = group
  if (first === undefined) return []
  const { judged, rule } = first
  const { code, policy, message, facts, error, exception } = rule
  const names = group.map(each => referenceOf(each.judged)).join(', ')
  const read = facts.map(({ name, value }) => `${name} is ${value}`).join('; ')
  const way = await ways.forward(judged, rule)
  return [
    `${names}: ${code} (${policy}): ${error === null ? message : `the rule cannot be evaluated: ${error}`}`,
    ...(read === '' ? [] : [`  it read: ${read}`]),
    ...(exception === null ? [] : [`  an exception ended on ${exception.until}: ${exception.reason}`]),
    `  forward: ${[way, `${exceptionWay(judged, rule, judgement, now)}${group.length > 1 ? ', and so for each' : ''}`].filter(text => text !== undefined).join('; or ')}`
  ]
}
