import { resolve } from 'node:path'
import type { ReleaseVerdict } from '../../protocol/policy/evaluate.ts'
import { isPreset } from '../../protocol/policy/presets.ts'
import type { PolicyException } from '../../protocol/policy/policy.ts'
import type { Rule } from '../../protocol/policy/rule.ts'
import { shortNameOf } from '../../protocol/package-name.ts'
import type { PolicyDiff } from '../../node/policy-work.ts'
import { ERROR_CODES, RegistryError } from '../../protocol/errors.ts'
import type { ShownPolicy, ShownRule, ShownVerdict } from '../../node/services/policy/methods.ts'
import { countOf, report, safe } from './print.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { gutter, nextStep, under } from './style.ts'

/** `ggen-node policy check`. */
export async function check(session: Session, options: Options): Promise<void> {
  const result = await withNode(session, { network: false }, client =>
    client.call('policyCheck', { project: folderOf(options) }, { signal: session.signal })
  )
  const { policies, judged, denied, packages } = result
  report(session, { ...result, ok: denied === 0 }, () => [
    ...packages.flatMap(verdictLines),
    ...popularity(policies),
    denied === 0
      ? gutter('Allowed', `${countOf(judged, 'package')} by ${namesOf(policies)}`)
      : gutter('Denied', `${denied} of ${countOf(judged, 'package')} by ${namesOf(policies)}`, 'note')
  ])
  if (denied > 0) process.exitCode = ERROR_CODES.POLICY_DENIED.exit
}

/** `ggen-node policy explain`. */
export async function explain(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = { reference: argument(args, 0), project: folderOf(options) }
  const result = await withNode(session, { network: false }, client =>
    client.call('policyExplain', params, { signal: session.signal })
  )
  report(session, result, () => [
    ...verdictLines(result),
    ...popularity(result.policies),
    gutter(VERDICTS[result.verdict], result.reference)
  ])
}

/** `ggen-node policy simulate`. */
export async function simulate(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = { file: resolve(argument(args, 0)), project: folderOf(options) }
  const result = await withNode(session, { network: false }, client =>
    client.call('policySimulate', params, { signal: session.signal })
  )
  const { differences, judged } = result
  report(session, result, () => [
    ...differences.flatMap(({ reference, now, then, rules }) => [
      gutter('Differs', safe(`${reference}  ${now} -> ${then}`)),
      ...rules.flatMap(ruleLines)
    ]),
    ...popularity(result.policies),
    gutter('Simulated', `${countOf(judged, 'package')}, ${differences.length} judged otherwise`, 'same')
  ])
}

/** `ggen-node policy init`. */
export async function init(session: Session, options: Options): Promise<void> {
  const { initPolicy } = await import('../../node/policy-work.ts')
  const preset = textOption(options, 'preset') ?? ''
  if (!isPreset(preset)) throw new RegistryError('USAGE', `${preset} is no preset`)
  const place = options['project'] === true ? { project: folderOf(options) } : { home: session.home }
  const result = await initPolicy(preset, place)
  report(session, { ...result, preset }, () => [
    gutter('Created', result.file),
    nextStep('edit it, then ggen-node policy check')
  ])
}

/** `ggen-node policy diff`. */
export async function diff(session: Session, args: readonly string[]): Promise<void> {
  const { diffPolicies } = await import('../../node/policy-work.ts')
  const result = await diffPolicies(argument(args, 0), argument(args, 1))
  const { added, removed, changed } = result
  const lines = [
    ...removed.map(rule => ruleText('-', rule)),
    ...added.map(rule => ruleText('+', rule)),
    ...changed.flatMap(({ before, after }) => [ruleText('-', before, after), ruleText('+', after, before)]),
    ...termLines(result)
  ]
  report(session, result, () => (lines.length === 0 ? ['The policies say the same'] : lines))
}

/** What stands beside the rules: who is excused, by whom, and what is called stale. */
function termLines({ exceptions, exceptionKeys, maxStaleHours, reach }: PolicyDiff): readonly string[] {
  const changed = (name: string, { before, after }: { before: string; after: string }): readonly string[] =>
    before === after ? [] : [`- ${name}: ${before}`, `+ ${name}: ${after}`]
  return [
    ...exceptions.removed.map(one => exceptionText('-', one)),
    ...exceptions.added.map(one => exceptionText('+', one)),
    ...exceptionKeys.removed.map(key => `- exceptions by ${key}`),
    ...exceptionKeys.added.map(key => `+ exceptions by ${key}`),
    ...changed('max-staleness', {
      before: `${maxStaleHours.before}h`,
      after: `${maxStaleHours.after}h`
    }),
    ...changed('reach', reach)
  ]
}

function exceptionText(
  sign: '+' | '-',
  { rule, registry, name, version, until, who, reason }: PolicyException
): string {
  const about = `${registry}:${name === undefined ? '*' : shortNameOf(name)}${version === undefined ? '' : `@${version}`}`
  return safe(`${sign} exception from ${rule} for ${about} until ${until} by ${who}: ${reason}`)
}

/** `other`: where only what it says is different, that is shown. */
function ruleText(sign: '+' | '-', rule: Rule, other?: Rule): string {
  const { id, action, when, require: required, message } = rule
  const told = other !== undefined && other.message !== message ? ` (${message})` : ''
  return safe(`${sign} ${id} (${action})${when === undefined ? '' : ` where ${when}`}: ${oneLine(required)}${told}`)
}

const VERDICTS: Readonly<Record<ReleaseVerdict['verdict'], string>> = {
  allow: 'Allowed',
  deny: 'Denied',
  warn: 'Allowed'
}

const OUTCOMES: Readonly<Record<ShownRule['outcome'], string>> = {
  audit: 'noted',
  deny: 'denied',
  excepted: 'excepted',
  passed: 'passed',
  skipped: 'skipped',
  warn: 'warned'
}

function verdictLines({ reference, rules }: ShownVerdict): readonly string[] {
  return [gutter('Package', safe(reference), 'same'), ...rules.flatMap(ruleLines)]
}

function ruleLines(rule: ShownRule): readonly string[] {
  const { code, policy, outcome, message, facts, error, exception, forward } = rule
  const read = facts.map(({ name, value }) => `${name} is ${value}`).join('; ')
  const isHeld = outcome === 'passed' || outcome === 'skipped'
  return [
    `${OUTCOMES[outcome].padEnd(9)} ${code} (${policy})${isHeld ? '' : `: ${error === null ? message : `it cannot be evaluated: ${error}`}`}`,
    ...(read === '' ? [] : [`  read ${read}`]),
    ...(exception === null
      ? []
      : [
          `  ${exception.holds ? 'excepted until' : 'excepted no longer, since'} ${exception.until} by ${exception.who}: ${exception.reason}`
        ]),
    ...(forward === null ? [] : [`  forward: ${forward}`])
  ].map(line => under(safe(line)))
}

function popularity(policies: readonly ShownPolicy[]): readonly string[] {
  const rules = policies.flatMap(({ name, forgeable }) => forgeable.map(id => `${id} (${name})`))
  if (rules.length === 0) return []
  return [
    gutter('Popular', safe(`${rules.join(', ')}: stars and reviews are cheap to forge, ask for audits, too`), 'note')
  ]
}

function namesOf(policies: readonly ShownPolicy[]): string {
  return policies.map(({ name }) => name).join(' and ')
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim()
}

function folderOf(options: Options): string {
  return resolve(textOption(options, 'dir') ?? '.')
}
