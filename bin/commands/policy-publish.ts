import { resolve } from 'node:path'
import { RegistryError } from '../../protocol/errors.ts'
import { report, safe } from './print.ts'
import { keyText } from './publisher-text.ts'
import { withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { authoredLines, signingParams, textParam } from './signed.ts'
import { gutter, under } from './style.ts'

/** `ggen-node policy publish`. */
export async function publish(session: Session, args: readonly string[], options: Options): Promise<void> {
  const [file] = args
  if ((file === undefined) !== (options['remove'] === true))
    throw new RegistryError('USAGE', 'name a file, or take the policy back with --remove')
  const params = {
    ...signingParams(options),
    ...textParam(options, 'registry'),
    ...(file === undefined ? {} : { file: resolve(file) })
  }
  const result = await withNode(session, { network: false }, client =>
    client.call('policyPublish', params, { signal: session.signal })
  )
  report(session, result, () => authoredLines(result))
}

/** `ggen-node policy show`. */
export async function show(session: Session, options: Options): Promise<void> {
  const result = await withNode(session, { network: false }, client =>
    client.call('policyShow', textParam(options, 'registry'), { signal: session.signal })
  )
  const { alias, policies, publishers } = result
  const inForce = policies.filter(({ text }) => text !== '')
  report(session, result, () => [
    ...(inForce.length === 0 ? [gutter('Policy', safe(`${alias} has published none`), 'same')] : []),
    ...inForce.flatMap(({ fact, by, digest, rules, reach, fault, text }) => [
      gutter(
        'Policy',
        safe(`${alias}  ${rules} rules over ${reach === 'all' ? 'all that its members install' : 'its releases'}`)
      ),
      under(safe(`signed by ${keyText(by, publishers)}`)),
      under(fact),
      ...(fault === null ? [under(`digest ${digest ?? ''}`)] : [gutter('Refused', safe(fault), 'note')]),
      ...text
        .trimEnd()
        .split('\n')
        .map(line => under(safe(line)))
    ])
  ])
}
