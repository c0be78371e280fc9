import { getSettingKeys } from '../../node/config-file.ts'
import { listKeys } from '../../node/key-ring.ts'
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
    case 'settings':
      return getSettingKeys(session.home)
    case 'keys':
      return (await listKeys(session.home)).map(({ name }) => name)
    default:
      return []
  }
}
