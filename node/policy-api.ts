import { isOpen } from '../protocol/fold-versions.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { nearest } from '../protocol/nearest.ts'
import { ecosystemOf, shortNameOf } from '../protocol/package-name.ts'
import { assertSound } from '../protocol/policy/exception.ts'
import type { SignedException } from '../protocol/policy/exception.ts'
import { endOfDay, isDay } from '../protocol/policy/day.ts'
import { compilePolicy, forgeableRules } from '../protocol/policy/evaluate.ts'
import { orderingOf } from '../protocol/version.ts'
import { meantReference } from './meant.ts'
import type { NodeParts } from './parts.ts'
import { addException, readPolicyFile } from './policy-files.ts'
import type { Api, ApiMethods, CallContext, ProjectParams } from './services/api.ts'
import { judgeLock } from './policy-lock.ts'
import { policySuggest } from './policy-suggest.ts'
import { registryPolicyApi } from './registry-policy-api.ts'
import { keysOf } from './services/policy/install.ts'
import { Ways } from './services/policy/forward.ts'
import type { Candidate } from './services/policy/candidate.ts'
import type { Judgement, LoadedPolicy } from './services/policy/judge.ts'
import type {
  AllowParams,
  Difference,
  PolicyMethods,
  ShownPolicy,
  ShownRule,
  ShownVerdict
} from './services/policy/methods.ts'
import { shownVerdict } from './services/policy/shown.ts'

/** The calls about what may be installed. */
export function policyApi(parts: NodeParts): Pick<Api, keyof PolicyMethods> {
  return {
    policyCheck: async ({ project }, { signal }) => {
      const judgement = await judgeLock(parts, { project, by: parts.policy.judge, signal })
      const { judged, policies } = judgement
      return {
        policies: policies.map(shownPolicy),
        judged: judged.length,
        denied: judged.filter(({ verdict }) => verdict === 'deny').length,
        packages: (await shownVerdicts(parts, judgement)).filter(({ rules }) => rules.length > 0)
      }
    },
    policyExplain: (params, context) => explain(parts, params, context),
    policySimulate: (params, context) => simulate(parts, params, context),
    policySuggest: (params, context) => policySuggest(parts, params, context),
    ...registryPolicyApi(parts)
  }
}

async function explain(
  parts: NodeParts,
  { reference: text, project }: ApiMethods['policyExplain']['params'],
  { signal }: CallContext
): Promise<ApiMethods['policyExplain']['result']> {
  const candidate = await candidateOf(parts, text)
  await parts.publishers.refresh(keysOf([candidate]), signal)
  const judgement = await parts.policy.judge(project, [candidate], signal)
  const [only] = judgement.judged
  if (only === undefined) throw new RegistryError('INTERNAL', 'nothing was judged')
  const now = parts.clock.now()
  return {
    ...(await shownVerdict(only, { judgement, ways: new Ways(judgement, now), now, isShown: () => true })),
    policies: judgement.policies.map(shownPolicy)
  }
}

/** The release that a person means: the highest version that fits. */
async function candidateOf(parts: NodeParts, text: string): Promise<Candidate> {
  const { reference, registry } = await meantReference(parts, text)
  const { name, range } = reference
  const { versions } = await parts.view.package(registry.id, name)
  const { isPrerelease, parseRange } = orderingOf(ecosystemOf(name))
  const fits = range === undefined ? undefined : parseRange(range)
  const fitting = versions.filter(({ version, contents }) => contents.length > 0 && fits?.(version) !== false)
  const best =
    fitting.find(entry => isOpen(entry) && (fits !== undefined || !isPrerelease(entry.version))) ?? fitting[0]
  const content = best?.contents[0]
  if (best === undefined || content === undefined) {
    throw new RegistryError('UNKNOWN_VERSION', `${shortNameOf(name)} has no version that fits ${range ?? '*'}`)
  }
  const { root, fact, by } = content
  return { registry: registry.id, name, version: best.version, root, fact, by, locked: false, content }
}

/** Both judgements see the same facts, one right after the other. */
async function simulate(
  parts: NodeParts,
  { project, file }: ApiMethods['policySimulate']['params'],
  { signal }: CallContext
): Promise<ApiMethods['policySimulate']['result']> {
  const policy = await readPolicyFile({ path: file, name: file, followLinks: true })
  if (policy === undefined) throw new RegistryError('UNKNOWN_FILE', `${file} does not exist`)
  const [, ...others] = await parts.policy.policies(project)
  const policies: readonly LoadedPolicy[] = [{ name: 'simulated', policy, isLocal: true }, ...others]
  const now = await judgeLock(parts, { project, by: parts.policy.judge, signal })
  const then = await judgeLock(parts, { project, by: parts.policy.judgeBy(policies), signal })
  const time = parts.clock.now()
  const showing = { judgement: then, ways: new Ways(then, time), now: time, isShown: isSaying }
  const differences: Difference[] = []
  for (const [i, one] of then.judged.entries()) {
    const before = now.judged[i]?.verdict ?? 'allow'
    if (before === one.verdict) continue
    const { reference, rules } = await shownVerdict(one, showing)
    differences.push({ reference, now: before, then: one.verdict, rules })
  }
  return { policies: policies.map(shownPolicy), judged: then.judged.length, differences }
}

function shownPolicy({ name, policy }: LoadedPolicy): ShownPolicy {
  const { digest, preset = null, rules } = policy
  return { name, digest, preset, rules: rules.length, forgeable: forgeableRules(compilePolicy(name, policy)) }
}

function isSaying({ outcome }: Pick<ShownRule, 'outcome'>): boolean {
  return outcome !== 'passed' && outcome !== 'skipped'
}

/** Each costs many judgements where nobody was refused for the same reason before: so they are made one after the other. */
async function shownVerdicts({ clock }: NodeParts, judgement: Judgement): Promise<readonly ShownVerdict[]> {
  const now = clock.now()
  const showing = { judgement, ways: new Ways(judgement, now), now, isShown: isSaying }
  const shown: ShownVerdict[] = []
  for (const one of judgement.judged) shown.push(await shownVerdict(one, showing))
  return shown
}

/**
 * Signs exceptions and writes them into the project, where the next look at the policies finds them. All are understood
 * before the first is signed.
 * @throws RegistryError USAGE | POLICY_INVALID | UNKNOWN_ENTRY
 */
export async function allow(
  parts: NodeParts,
  {
    project,
    dryRun = false,
    allow: texts = [],
    until,
    reason
  }: AllowParams & Pick<ProjectParams, 'dryRun' | 'project'>,
  signal: AbortSignal
): Promise<void> {
  if (texts.length === 0) {
    if (until === undefined && reason === undefined) return
    throw usage('--until and --reason go with --allow RULE REF')
  }
  if (texts.length % 2 !== 0) throw usage('--allow takes a rule and a reference: --allow RULE REF')
  if (until === undefined || reason === undefined) throw usage('--allow needs --until DATE and --reason TEXT')
  if (dryRun) throw usage('--allow writes an exception, which --dry-run does not')
  const now = parts.clock.now()
  if (isDay(until) && endOfDay(until) <= now) throw usage(`--until ${until} is over`)
  const { principal } = parts.policy.signer
  // An exception that excuses from nothing would be signed for nothing.
  const own = (await parts.policy.policies(project)).filter(
    ({ isLocal, policy }) => isLocal || policy.exceptionKeys.includes(principal)
  )
  const known = own.flatMap(({ policy }) => policy.rules.map(({ id }) => id))
  const bodies: SignedException[] = []
  for (let at = 0; at < texts.length; at += 2) {
    const [rule = '', reference = ''] = texts.slice(at, at + 2)
    if (!known.includes(rule)) throw unknownRule(rule, known)
    const about = await aboutOf(parts, reference)
    const body = { rule, ...about, until, reason: reason.trim(), by: parts.policy.signer.principal, time: now }
    try {
      assertSound(body)
    } catch (cause) {
      throw new RegistryError('USAGE', cause instanceof Error ? cause.message : 'the exception cannot be signed', {
        cause
      })
    }
    bodies.push(body)
  }
  await parts.projects.open(project).exclusively(
    async () => {
      for (const body of bodies) await addException(project, parts.policy.signer.signException(body))
    },
    { signal, onWait: () => {} }
  )
}

/**
 * `acme:left-pad`, `acme:left-pad@1.0.0`, or `acme:*` for all of a registry. Attack: a name that was misspelled, and that somebody takes
 * later: what nobody has seen is excused from nothing beforehand.
 * @throws RegistryError UNKNOWN_PACKAGE | UNKNOWN_VERSION
 */
async function aboutOf(
  parts: NodeParts,
  text: string
): Promise<Pick<SignedException, 'package' | 'registry' | 'version'>> {
  if (text.endsWith(':*')) {
    return { registry: parts.registries.find(text.slice(0, -2)).id, package: null, version: null }
  }
  const { reference, registry } = await meantReference(parts, text)
  const { name, range } = reference
  const version = range === undefined ? null : orderingOf(ecosystemOf(name)).parseVersion(range)
  const { versions } = await parts.view.package(registry.id, name)
  if (version !== null && !versions.some(stated => stated.version === version))
    throw new RegistryError(
      'UNKNOWN_VERSION',
      `${shortNameOf(name)} has no version ${version} to make an exception for`
    )
  return { registry: registry.id, package: name, version }
}

function unknownRule(rule: string, known: readonly string[]): RegistryError {
  const [near] = nearest(rule, known)
  return new RegistryError(
    'USAGE',
    `no rule that this node can make an exception from is called ${JSON.stringify(rule.slice(0, 80))}`,
    {
      tried: [`rules: ${[...new Set(known)].slice(0, LIMITS.policy.rules).join(', ')}`],
      next: near === undefined ? 'ggen-node policy check names the rules that refuse' : `perhaps you meant ${near}`
    }
  )
}

function usage(message: string): RegistryError {
  return new RegistryError('USAGE', message, {
    next: 'for example --allow release-age acme:left-pad@1.0.0 --until 2026-12-31 --reason "audited by hand"'
  })
}
