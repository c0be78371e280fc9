import { parseOverlap } from '../../node/services/swarm/terms.ts'
import { report } from './print.ts'
import { argument, listOption, textOption, withNode, withProgress } from './run.ts'
import type { Options, Session } from './run.ts'
import { textParam } from './signed.ts'
import { gutter, under } from './style.ts'
import { createdLines, rotatedLines, swarmLines } from './swarm-text.ts'

/** `ggen-node swarm create`. */
export async function create(session: Session, args: readonly string[], options: Options): Promise<void> {
  const params = {
    name: argument(args, 0),
    ...textParam(options, 'alias'),
    ...textParam(options, 'admission'),
    ...listenParam(options),
    psk: options['psk'] === true
  }
  const made = await withNode(session, { network: false, create: true }, client =>
    client.call('swarmCreate', params, { signal: session.signal })
  )
  report(session, made, () => createdLines(made))
}

/** `--listen`, when it was given. */
export function listenParam(options: Options): { readonly listen?: readonly string[] } {
  const listen = listOption(options, 'listen')
  return listen.length === 0 ? {} : { listen }
}

/** `ggen-node swarm list`. */
export async function list(session: Session): Promise<void> {
  const swarms = await withNode(session, { network: false }, client => client.call('swarmList', {}))
  report(session, { swarms }, () => swarmLines(swarms, Date.now()))
}

/** `ggen-node rotate`. */
export async function rotate(session: Session, options: Options): Promise<void> {
  const overlap = textOption(options, 'overlap')
  parseOverlap(overlap, Date.now())
  const params = { ...textParam(options, 'registry'), ...textParam(options, 'overlap'), ...textParam(options, 'key') }
  const rotated = await withProgress(session, onProgress =>
    withNode(session, { network: true }, client =>
      client.call('swarmRotate', params, { signal: session.signal, onProgress })
    )
  )
  report(session, rotated, () => rotatedLines(rotated, Date.now()))
}

/** `ggen-node leave`. */
export async function leave(session: Session, args: readonly string[], options: Options): Promise<void> {
  const newDefault = textOption(options, 'default')
  const params = {
    registry: argument(args, 0),
    purge: options['purge'] === true,
    ...(newDefault === undefined ? {} : { newDefault })
  }
  const left = await withNode(session, { network: false }, client =>
    client.call('swarmLeave', params, { signal: session.signal })
  )
  report(session, left, () => [
    gutter('Left', `${left.alias}  ${left.registry}`),
    under(
      left.purged ? 'what it said was deleted, and its secret' : 'its secret was deleted; what it said is still here'
    ),
    under('the others count this key as a member until ggen-node expel ends that on their side'),
    ...(left.newDefault === null ? [] : [gutter('Default', left.newDefault, 'same')])
  ])
}
