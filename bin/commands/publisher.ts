import type { ApiMethods } from '../../node/services/api.ts'
import type { ShownBinding } from '../../node/services/publisher/publishers.ts'
import { report, safe } from './print.ts'
import { argument, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { signingParams } from './signed.ts'
import { gutter, under } from './style.ts'

/** `ggen-node publisher claim`. */
export async function claim(session: Session, args: readonly string[], options: Options): Promise<void> {
  const registry = textOption(options, 'registry')
  const params = {
    ...signingParams(options),
    domain: argument(args, 0),
    ...(registry === undefined ? {} : { registry })
  }
  const result = await withNode(session, { network: false }, client => client.call('publisherClaim', params))
  const { domain, key, alias, fact, isNew, record, file } = result
  report(session, result, () => [
    gutter(isNew ? 'Claimed' : 'Unchanged', `${domain} for ${key} in ${safe(alias)}`, isNew ? 'done' : 'same'),
    under(`fact: ${fact}`),
    ...(file === null ? [] : [under(`written to ${file}`)]),
    gutter('Next', 'write this record into the zone of the domain, then run ggen-node publisher verify'),
    under(`${record.name}. TXT "${record.text}"`)
  ])
}

/** `ggen-node publisher verify`. */
export async function verify(session: Session, args: readonly string[]): Promise<void> {
  const [what] = args
  const found = await withNode(session, { network: false }, client =>
    client.call('publisherVerify', what === undefined ? {} : { what })
  )
  report(session, found, () => verifiedLines(found, what))
  if (!found.bindings.some(({ standing }) => standing === 'verified')) process.exitCode = 1
}

function verifiedLines(
  { bindings, named, unclaimed, fault }: ApiMethods['publisherVerify']['result'],
  what: string | undefined
): readonly string[] {
  const lines = [
    ...bindings.flatMap(bindingLines),
    ...unclaimed.map(key => gutter('Unclaimed', `${key} is named by the domain and claims it nowhere here`, 'note'))
  ]
  if (lines.length > 0) return lines
  if (fault !== null) return [gutter('No answer', `${safe(what ?? '')}: ${FAULTS[fault]}`, 'bad')]
  const isDomain = what !== undefined && !what.startsWith('did:')
  return [
    isDomain && named.length === 0
      ? gutter('Nobody', `${safe(what)} names no key`, 'note')
      : gutter('Nothing', 'this key claims no domain: ggen-node publisher claim DOMAIN', 'note')
  ]
}

/** `ggen-node publisher list`. */
export async function list(session: Session, options: Options): Promise<void> {
  const registry = textOption(options, 'registry')
  const claims = await withNode(session, { network: false }, client =>
    client.call('publisherList', registry === undefined ? {} : { registry })
  )
  report(session, { claims }, () =>
    claims.length === 0
      ? [gutter('Nobody', 'claims a domain in the registries that are followed', 'same')]
      : claims.flatMap(bindingLines)
  )
}

const STANDINGS = {
  verified: { verb: 'Verified', tone: 'done', why: '' },
  refused: { verb: 'Refused', tone: 'bad', why: ': the domain does not name this key' },
  unanswered: { verb: 'Unanswered', tone: 'note', why: ': nobody answers for the domain' },
  unasked: { verb: 'Unasked', tone: 'note', why: ': the domain was not asked yet' }
} as const

const FAULTS: Readonly<Record<NonNullable<ShownBinding['fault']>, string>> = {
  'no-answer': 'no server answered',
  timeout: 'no server answered in time',
  'too-large': 'the answer is too large to be one',
  busy: 'too many domains are being asked'
}

function bindingLines({ key, domain, standing, age, answered, fault }: ShownBinding): readonly string[] {
  const { verb, tone, why } = STANDINGS[standing]
  const said = answered === null ? '' : `answered ${new Date(answered).toISOString().slice(0, 16).replace('T', ' ')}`
  const notes = [
    said,
    ...(age === 'stale' || age === 'expired' ? [age] : []),
    ...(fault === null ? [] : [FAULTS[fault]])
  ]
  const shown = notes.filter(note => note !== '').join('; ')
  return [gutter(verb, `${domain} for ${key}${why}`, tone), ...(shown === '' ? [] : [under(shown)])]
}
