import { resolve } from 'node:path'
import { bytesText, report, safe } from './print.ts'
import { passphraseFor } from './passphrase.ts'
import { argument, withNode, withProgress } from './run.ts'
import type { Options, Session } from './run.ts'
import { gutter, nextStep } from './style.ts'

/** `ggen-node backup`. */
export async function backup(session: Session, args: readonly string[], options: Options): Promise<void> {
  const file = resolve(argument(args, 0))
  const keys = options['withKeys'] === true ? await sealedKeys(session, options) : []
  const params = { file, blocks: options['blocks'] === true, keys }
  const done = await withProgress(session, onProgress =>
    withNode(session, { network: false }, client =>
      client.call('backup', params, { signal: session.signal, onProgress })
    )
  )
  report(session, done, () => [
    gutter('Wrote', `${done.file}  ${bytesText(done.bytes)}`),
    gutter(
      'Holds',
      `${done.registries} registries, ${done.facts} statements, ${done.roots} packages' bytes, ${done.keys} keys`
    ),
    ...done.skipped.map(text => gutter('Left out', safe(text), 'note')),
    ...(done.keys === 0
      ? [gutter('No keys', 'whoever restores it follows the registries and signs as somebody new', 'note')]
      : []),
    nextStep('ggen-node --home FOLDER restore FILE')
  ])
}

async function sealedKeys(session: Session, options: Options): Promise<readonly { name: string; text: string }[]> {
  const { sealKeys } = await import('../../node/key-ring.ts')
  return sealKeys(session.home, await passphraseFor(options, 'Passphrase for the keys in the backup: '))
}

/** `ggen-node restore`. */
export async function restore(session: Session, args: readonly string[], options: Options): Promise<void> {
  const { restoreHome } = await import('../../node/restore.ts')
  const restored = await withProgress(session, onProgress =>
    restoreHome(session.home, resolve(argument(args, 0)), {
      passphrase: () => passphraseFor(options, 'Passphrase of the backup: '),
      signal: session.signal,
      onProgress
    })
  )
  const { home, key, keys, registries, facts, waiting, roots } = restored
  report(session, restored, () => [
    gutter('Restored', home),
    gutter('Holds', `${registries} registries, ${facts} statements, ${roots} packages' bytes, ${keys.length} keys`),
    gutter('Key', `${key}${keys.length === 0 ? ' (new: the backup holds none)' : ''}`),
    ...(waiting === 0 ? [] : [gutter('Waiting', `${waiting} statements wait for others that come from peers`, 'note')]),
    gutter('New chain', 'it signs at no position that another machine with this key has signed'),
    nextStep('ggen-node start')
  ])
}
