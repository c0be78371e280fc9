import { resolve } from 'node:path'
import type { AdmittedFact } from '../../node/services/authority/fact-files.ts'
import type { SignResult } from '../../node/services/authority/cosign.ts'
import type { NamedKey } from '../../node/services/publisher/named-key.ts'
import { countOf, report, safe } from './print.ts'
import { namedIn } from './publisher-text.ts'
import { argument, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { fileLines, neededLines, signingParams, textParam } from './signed.ts'
import { gutter, under } from './style.ts'

/** `ggen-node sign`. */
export async function sign(session: Session, args: readonly string[], options: Options): Promise<void> {
  const what = argument(args, 0)
  const isFact = /^bafyrei[a-z2-7]{52}$/.test(what)
  const dryRun = options['dryRun'] === true
  const params = {
    ...signingParams(options),
    ...textParam(options, 'registry'),
    ...(isFact ? { fact: what } : { file: resolve(what) }),
    dryRun
  }
  const result = await withNode(session, { network: false }, client => client.call('sign', params))
  report(session, result, () => signLines(result, dryRun))
}

export function signLines(
  { signed, admitted, file, publishers }: SignResult & { readonly publishers: readonly NamedKey[] },
  dryRun: boolean
): readonly string[] {
  const waiting = signed.filter(({ counts, missing }) => !counts && missing > 0)
  return [
    ...(admitted.length === 0 ? [] : admissionLines(admitted)),
    ...signed.flatMap(({ text, fact, cosign, counts }) => [
      gutter(
        dryRun ? 'Would sign' : cosign === null ? 'Unchanged' : 'Signed',
        namedIn(safe(text), publishers),
        cosign === null ? 'same' : 'done'
      ),
      under(fact),
      ...(counts ? [gutter('Counts', 'enough owners have signed it')] : [])
    ]),
    ...fileLines(file),
    ...(dryRun ? [] : neededLines(waiting, file, publishers))
  ]
}

/** `ggen-node admit`. */
export async function admit(session: Session, args: readonly string[]): Promise<void> {
  const file = resolve(argument(args, 0))
  const { facts } = await withNode(session, { network: false }, client => client.call('admitFile', { file }))
  const counts = countsOf(facts)
  report(session, { file, facts, counts }, () => admissionLines(facts))
  // Whoever scripts it must not take a file that was refused for one that came in.
  if (counts.reject > 0) process.exitCode = 6
}

function countsOf(facts: readonly AdmittedFact[]): Record<AdmittedFact['verdict'], number> {
  const counts = { accept: 0, pending: 0, ignore: 0, reject: 0 }
  for (const { verdict } of facts) counts[verdict] += 1
  return counts
}

const SAID: Readonly<Record<AdmittedFact['verdict'], string>> = {
  accept: 'Admitted',
  pending: 'Pending',
  ignore: 'Ignored',
  reject: 'Refused'
}

const ORDER: readonly string[] = ['accept', 'seen', 'pending', 'ignore', 'reject']

/** One line for each kind of verdict: what came in, what was known, what waits, what was refused. */
function admissionLines(facts: readonly AdmittedFact[]): readonly string[] {
  const groups = Map.groupBy(facts, ({ verdict, reason }) => `${verdict} ${reason ?? ''}`)
  const rank = ([first]: readonly AdmittedFact[]): number =>
    ORDER.indexOf(first?.reason === 'seen' ? 'seen' : (first?.verdict ?? ''))
  return [...groups.values()]
    .toSorted((a, b) => rank(a) - rank(b))
    .flatMap(group => {
      const [first] = group
      if (first === undefined) return []
      const { verdict, reason } = first
      const types = [...Map.groupBy(group, ({ type }) => type)].map(([type, of]) => `${of.length} ${type}`).toSorted()
      const isKnown = reason === 'seen'
      const tone = verdict === 'accept' ? 'done' : isKnown ? 'same' : verdict === 'reject' ? 'bad' : 'note'
      const why = reason === null || isKnown ? '' : `, ${reason}`
      const verb = isKnown ? 'Known' : SAID[verdict]
      return [gutter(verb, `${countOf(group.length, 'statement')}: ${types.join(', ')}${why}`, tone)]
    })
}
