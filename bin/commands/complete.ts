import { getSettingKeys } from '../../node/config-file.ts'
import { listKeys } from '../../node/key-ring.ts'
import type { NodeClient } from '../../node/services/api.ts'
import { print, safe } from './print.ts'
import { argument, withNode } from './run.ts'
import type { Session } from './run.ts'

/**
 * `ggen-node __complete KIND PREFIX`: what a shell may offer, one a line, from what is here: it never asks the network
 * and makes no data directory. Whatever goes wrong is no answer, because nobody asked a question.
 */
export async function complete(session: Session, args: readonly string[]): Promise<void> {
  const names = await namesOf(session, argument(args, 0), args[1] ?? '').catch(() => [])
  for (const name of names) print(safe(name))
}

async function namesOf(session: Session, kind: string, prefix: string): Promise<readonly string[]> {
  switch (kind) {
    case 'packages':
    case 'registries':
      return withNode(session, { network: false }, client => client.call('complete', { kind, prefix }))
    case 'swarms':
      return withNode(session, { network: false }, async client =>
        (await client.call('swarmList', {})).map(({ alias }) => alias)
      )
    case 'members':
      return withNode(session, { network: false }, async client => everyMember(client))
    case 'settings':
      return getSettingKeys(session.home)
    case 'keys':
      return (await listKeys(session.home)).map(({ name }) => name)
    default:
      return []
  }
}

/** Keys that could be expelled, of all private swarms: the line says which one is meant only to who reads all of it. */
async function everyMember(client: NodeClient): Promise<readonly string[]> {
  const swarms = await client.call('swarmList', {})
  const shown = await Promise.all(swarms.map(({ alias }) => client.call('members', { registry: alias })))
  return shown.flatMap(({ members }) => members.filter(({ isSelf }) => !isSelf).map(({ key }) => key))
}
