import { resolve } from 'node:path'
import { RegistryError } from '../../protocol/errors.ts'
import { endOfDay, isDay } from '../../protocol/policy/day.ts'
import type { Exemption } from '../../node/policy-work.ts'
import type { SuggestedAudit, SuggestedExemption } from '../../node/services/policy/methods.ts'
import { countOf, report, safe } from './print.ts'
import { textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { gutter, nextStep, under } from './style.ts'

/** `ggen-node policy suggest`. */
export async function suggest(session: Session, options: Options): Promise<void> {
  const project = resolve(textOption(options, 'dir') ?? '.')
  const terms = writtenTerms(options)
  const result = await withNode(session, { network: false }, client =>
    client.call('policySuggest', { project }, { signal: session.signal })
  )
  const { audits, exemptions, judged, denied } = result
  const files = terms === undefined ? [] : await write(session, { project, terms, exemptions })
  report(session, { ...result, written: files }, () => [
    ...audits.flatMap(auditLines),
    ...exemptions.flatMap(exemptionLines),
    ...files.map(file => gutter('Wrote', safe(file))),
    gutter(
      'Suggested',
      `${countOf(audits.length, 'audit')} and ${countOf(exemptions.length, 'exemption')} for ${denied} of ${countOf(judged, 'package')}`,
      'same'
    ),
    ...(exemptions.length > 0 && files.length === 0
      ? [nextStep('ggen-node policy suggest --write --until DATE --who NAME writes the exemptions')]
      : [])
  ])
}

function auditLines(audit: SuggestedAudit): readonly string[] {
  const { reference, kind, from, bytes, isMeasured, auditors, criteria, rules, command } = audit
  const what = kind === 'full' ? 'in full' : `the change from ${from ?? ''}`
  const size = `${isMeasured ? '' : 'at most '}${bytes} bytes`
  const who = auditors === 1 ? '' : `, by ${auditors} auditors`
  return [
    gutter('Audit', safe(`${reference}  ${what}, ${size}, ${criteria.join(' and ')}${who}`)),
    under(safe(`then ${rules.join(', ')} ${rules.length === 1 ? 'holds' : 'hold'}: ${command}`))
  ]
}

function exemptionLines({ reference, rule, policy, message, isLocal }: SuggestedExemption): readonly string[] {
  const by = isLocal ? '' : '; only those whom that policy names can make it'
  return [gutter('Exempt', safe(`${reference}  from ${rule} (${policy}): ${message}${by}`))]
}

type Terms = Pick<Exemption, 'reason' | 'until' | 'who'>

/** @throws RegistryError USAGE */
function writtenTerms(options: Options): Terms | undefined {
  const [until, who] = [textOption(options, 'until'), textOption(options, 'who')]
  if (options['write'] !== true) {
    if (until === undefined && who === undefined) return undefined
    throw new RegistryError('USAGE', '--until and --who go with --write')
  }
  if (until === undefined || who === undefined)
    throw new RegistryError('USAGE', '--write needs --until DATE and --who NAME', {
      next: 'an exemption ends, and somebody answers for it'
    })
  if (!isDay(until))
    throw new RegistryError('USAGE', `--until ${until} is not a day`, { next: 'write it as 2026-12-31' })
  if (endOfDay(until) <= Date.now()) throw new RegistryError('USAGE', `--until ${until} is over`)
  return { until, who, reason: textOption(options, 'reason') ?? '' }
}

interface Writing {
  readonly project: string
  readonly terms: Terms
  readonly exemptions: readonly SuggestedExemption[]
}

/** Each into the policy that refuses: an exemption in another one would be from a rule that is not there. */
async function write(session: Session, { project, terms, exemptions }: Writing): Promise<readonly string[]> {
  const { exempt } = await import('../../node/policy-work.ts')
  const local = exemptions.filter(({ isLocal }) => isLocal)
  const files: string[] = []
  for (const [policy, these] of Map.groupBy(local, one => one.policy)) {
    const place = policy === 'project' ? { project } : { home: session.home }
    const entries = these.map(({ rule, reference }) => ({ rule, reference, ...terms }))
    files.push((await exempt(place, entries)).file)
  }
  return files
}
