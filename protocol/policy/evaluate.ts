import { messageOf } from '../errors.ts'
import { contextOf, Engine } from './engine.ts'
import type { Condition, Context } from './engine.ts'
import type { Excuse } from './exception.ts'
import { factTexts } from './fact-text.ts'
import type { FactText } from './fact-text.ts'
import { POLICY_LIMITS as LIMITS } from './limits.ts'
import type { Policy } from './policy.ts'
import { invalid } from './rule.ts'
import type { Rule } from './rule.ts'
import type { ReleaseFacts } from './schema.ts'

/** A policy whose rules are known to mean something. */
export interface CompiledPolicy {
  /** Whose it is: `standard`, `this node`, `the project`, `registry acme`. */
  readonly name: string
  readonly policy: Policy
  readonly rules: readonly CompiledRule[]
}

export interface CompiledRule {
  readonly rule: Rule
  readonly when: Condition | undefined
  readonly condition: Condition
  /** What either of them reads. */
  readonly reads: readonly string[]
}

/** `passed`, or why not: `skipped` where the rule is not about such releases, `excepted` where somebody answers for it. */
export type Outcome = 'audit' | 'deny' | 'excepted' | 'passed' | 'skipped' | 'warn'

/** What one rule says of one release. */
export interface RuleVerdict {
  /** The id of the rule: stable, for programs. */
  readonly code: string
  readonly policy: string
  readonly outcome: Outcome
  readonly message: string
  /** What the rule read, and what it found there. */
  readonly facts: readonly FactText[]
  /** Why it could not be evaluated, which denies whatever the rule's action is. */
  readonly error: string | null
  /** The exception that holds, or one that has ended. */
  readonly exception: Excuse | null
}

export interface ReleaseVerdict {
  readonly verdict: 'allow' | 'deny' | 'warn'
  readonly rules: readonly RuleVerdict[]
}

/** @throws RegistryError POLICY_INVALID */
export function compilePolicy(name: string, policy: Policy, engine: Engine = new Engine()): CompiledPolicy {
  let steps = 0
  const rules = policy.rules.map(rule => {
    const where = `${name}: rule ${rule.id}`
    const when = rule.when === undefined ? undefined : engine.condition(rule.when, `${where}: when`)
    const condition = engine.condition(rule.require, `${where}: require`)
    steps += condition.steps + (when?.steps ?? 0)
    // Attack: a registry of strangers whose policy stops whoever installs from it for a minute with each release.
    if (steps > LIMITS.steps) throw invalid(`${where}: the rules up to here take more than ${LIMITS.steps} steps`)
    return { rule, when, condition, reads: [...new Set([...(when?.reads ?? []), ...condition.reads])] }
  })
  return { name, policy, rules }
}

/** Who answers for a release, rule by rule. Given by the caller, who has checked signatures and dates. */
export type FindExcuse = (policy: CompiledPolicy, rule: Rule) => Excuse | undefined

/**
 * Judges one release by all policies: every one of them must allow it, so that adding a policy can only make it harder.
 * Pure. What can't be evaluated denies.
 */
export function judgeRelease(
  policies: readonly CompiledPolicy[],
  facts: ReleaseFacts,
  excuse: FindExcuse
): ReleaseVerdict {
  const context = contextOf(facts)
  const rules = policies.flatMap(policy =>
    policy.rules.map(compiled => verdictOf(policy, compiled, { facts, context, excuse }))
  )
  const has = (outcome: Outcome): boolean => rules.some(rule => rule.outcome === outcome)
  return { verdict: has('deny') ? 'deny' : has('warn') ? 'warn' : 'allow', rules }
}

/** Rules that read how popular a release is. Attack: stars by keys that somebody made for the purpose. */
export function forgeableRules({ rules }: CompiledPolicy): readonly string[] {
  const isForgeable = (path: string): boolean => path === 'reviews' || path.startsWith('reviews.')
  return rules.filter(({ reads }) => reads.some(isForgeable)).map(({ rule }) => rule.id)
}

interface Judging {
  readonly facts: ReleaseFacts
  readonly context: Context
  readonly excuse: FindExcuse
}

function verdictOf(policy: CompiledPolicy, compiled: CompiledRule, { facts, context, excuse }: Judging): RuleVerdict {
  const { rule, reads } = compiled
  const held = holds(compiled, context)
  const told = ({ outcome, error = null, exception = null }: Said): RuleVerdict => ({
    code: rule.id,
    policy: policy.name,
    outcome,
    message: rule.message,
    // Made into texts where somebody reads them: of a thousand packages, those of few rules.
    get facts() {
      return factTexts(facts, reads)
    },
    error,
    exception
  })
  if (held === 'passed' || held === 'skipped') return told({ outcome: held })
  const error = held === 'failed' ? null : held.error
  const given = excuse(policy, rule)
  if (given?.holds === true) return told({ outcome: 'excepted', error, exception: given })
  // Attack: a rule that is made to fail by what a stranger wrote must not be a rule that is not there.
  return told({ outcome: error === null ? rule.action : 'deny', error, exception: given ?? null })
}

type Said = Pick<RuleVerdict, 'outcome'> & Partial<Pick<RuleVerdict, 'error' | 'exception'>>

function holds(
  { when, condition }: CompiledRule,
  context: Context
): 'failed' | 'passed' | 'skipped' | { error: string } {
  try {
    if (when !== undefined && !isTrue(when.evaluate(context))) return 'skipped'
    return isTrue(condition.evaluate(context)) ? 'passed' : 'failed'
  } catch (error) {
    return { error: messageOf(error instanceof Error ? (error.message.split('\n')[0] ?? '') : error) }
  }
}

/** Types were checked when the rule was compiled; a library that gives anything else all the same is not believed. */
function isTrue(value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw new TypeError(`the rule gave ${typeof value}`)
}
