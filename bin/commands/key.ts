import { createKey, exportKeyFile, importKeyFile, listKeys, pemOf, showKey } from '../../node/key-ring.ts'
import { passphraseFor } from './passphrase.ts'
import { report, table } from './print.ts'
import { argument } from './run.ts'
import type { Options, Session } from './run.ts'

/** `ggen-node key list`. */
export async function list(session: Session): Promise<void> {
  const keys = await listKeys(session.home)
  report(session, { keys }, () =>
    keys.length === 0 ? ['No keys yet: ggen-node init'] : table(keys.map(({ name, key }) => [name, key]))
  )
}

/** `ggen-node key new`. */
export async function create(session: Session, args: readonly string[]): Promise<void> {
  const made = await createKey(session.home, argument(args, 0))
  report(session, made, () => [`Made ${made.name}  ${made.key}`])
}

/** `ggen-node key show`. */
export async function show(session: Session, args: readonly string[], options: Options): Promise<void> {
  const shown = await showKey(session.home, argument(args, 0))
  const pem = pemOf(shown)
  report(session, { ...shown, pem }, () => [options['pem'] === true ? pem.trimEnd() : shown.key])
}

/** `ggen-node key export`. */
export async function exportKey(session: Session, args: readonly string[], options: Options): Promise<void> {
  const passphrase = await passphraseFor(options, 'Passphrase for the new file: ')
  const file = argument(args, 1)
  const { name, key } = await exportKeyFile(session.home, { name: argument(args, 0), file, passphrase })
  report(session, { name, key, file }, () => [
    `Exported ${name}  ${key}  to ${file}`,
    'The chain of this device is not in it: two devices with one key do not collide'
  ])
}

/** `ggen-node key import`. */
export async function importKey(session: Session, args: readonly string[], options: Options): Promise<void> {
  const passphrase = await passphraseFor(options, 'Passphrase of the file: ')
  const { name, key } = await importKeyFile(session.home, {
    name: argument(args, 0),
    file: argument(args, 1),
    passphrase
  })
  report(session, { name, key }, () => [`Imported ${name}  ${key}`])
}
