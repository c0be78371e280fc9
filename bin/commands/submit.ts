import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiMethods, NodeClient } from '../../node/services/api.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { report, safe } from './print.ts'
import { argument, listOption, textOption, withNode } from './run.ts'
import type { Options, Session } from './run.ts'
import { gutter, nextStep, under } from './style.ts'

type Submitted = ApiMethods['submit']['result']

/** `ggen-node submit`. */
export async function submit(session: Session, args: readonly string[], options: Options): Promise<void> {
  const registry = textOption(options, 'registry')
  const note = textOption(options, 'note')
  const threshold = thresholdOf(textOption(options, 'threshold'))
  const params: ApiMethods['submit']['params'] = {
    reference: argument(args, 0),
    owners: listOption(options, 'owner'),
    ...(registry === undefined ? {} : { registry }),
    ...(note === undefined ? {} : { note }),
    ...(threshold === undefined ? {} : { threshold })
  }
  const submitted = await withNode(session, { network: true }, async client =>
    options['wait'] === true ? await decided(client, params, session) : await ask(client, params, session)
  )
  if (submitted.state === 'denied') throw denied(submitted)
  report(session, submitted, () => linesOf(submitted))
}

async function ask(
  client: NodeClient,
  params: ApiMethods['submit']['params'],
  { signal }: Session
): Promise<Submitted> {
  return client.call('submit', params, { signal })
}

/** Asks again, less and less often, until somebody has decided and the claim is here. */
async function decided(
  client: NodeClient,
  params: ApiMethods['submit']['params'],
  session: Session
): Promise<Submitted> {
  const { pollMs, pollMaxMs } = LIMITS.submit
  let isSaid = false
  for (let waitMs = pollMs; ; waitMs = Math.min(waitMs * 2, pollMaxMs)) {
    // A curator who is away for a while is no reason to stop waiting once a submission lies there.
    const submitted = await ask(client, params, session).catch((error: unknown) => {
      if (isSaid && error instanceof RegistryError && error.code === 'NO_CURATOR') return undefined
      throw error
    })
    if (submitted?.state === 'denied' || (submitted?.state === 'granted' && submitted.here)) return submitted
    if (!isSaid && !session.json) process.stderr.write(`${gutter('Waiting', 'for a curator to decide', 'note')}\n`)
    isSaid = true
    await sleep(waitMs, undefined, { signal: session.signal }).catch(() => session.signal.throwIfAborted())
  }
}

function thresholdOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const threshold = Number(text)
  if (Number.isInteger(threshold) && threshold >= 1 && threshold <= LIMITS.submit.keys) return threshold
  throw new RegistryError('USAGE', `--threshold takes a whole number from 1 to ${LIMITS.submit.keys}`)
}

function denied({ name, alias, reason, curator }: Submitted): RegistryError {
  return new RegistryError('DENIED', `${shortOf(name)} was denied in ${alias}: ${reason}`, {
    tried: [`asked ${curator ?? 'nobody'}`],
    next: `ask again with other words: ggen-node submit ${shortOf(name)} --note TEXT`
  })
}

function linesOf({ name, alias, state, here, keys, threshold, id }: Submitted): readonly string[] {
  const short = shortOf(name)
  if (state === 'waiting') {
    return [
      gutter('Waiting', `${short} in ${alias}  a curator decides`, 'note'),
      ...(id === null ? [] : [under(id)]),
      nextStep(`ggen-node submit ${short} asks what became of it, --wait waits for it`)
    ]
  }
  return [
    gutter('Granted', `${short} in ${alias}`),
    ...keys.map(key => under(key)),
    ...(threshold > 1 ? [under(`${threshold} of them must sign`)] : []),
    here
      ? nextStep('ggen-node publish FOLDER')
      : gutter('Pending', 'the claim has not arrived here yet: ask again before you publish', 'note')
  ]
}

function shortOf(name: string): string {
  return safe(name.replace(/^ggen\//, ''))
}
