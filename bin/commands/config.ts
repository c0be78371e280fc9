import { configPath, getSetting, listSettings, setSetting, unsetSetting } from '../../node/config-file.ts'
import type { SettingEdit } from '../../node/config-file.ts'
import { showValue } from '../../node/config-schema.ts'
import { report, safe, table } from './print.ts'
import { argument } from './run.ts'
import type { Session } from './run.ts'

/** `ggen-node config list`. */
export async function list(session: Session): Promise<void> {
  const settings = await listSettings(session.home)
  report(session, { settings }, () =>
    table([
      ['SETTING', 'FROM', 'VALUE'],
      ...settings.map(({ key, from, env, value }) => [
        key,
        from === 'environment' ? `$${env}` : from,
        safe(showValue(value))
      ])
    ])
  )
}

/** `ggen-node config get`. */
export async function get(session: Session, args: readonly string[]): Promise<void> {
  const setting = await getSetting(session.home, argument(args, 0))
  const { value } = setting
  // A list is one entry a line, and an empty one no line: a script reads what it needs.
  report(session, setting, () => (typeof value === 'object' ? value : [String(value)]).map(safe))
}

/** `ggen-node config set`. */
export async function set(session: Session, args: readonly string[]): Promise<void> {
  const [key = '', ...texts] = args
  const edit = await setSetting(session.home, key, texts)
  report(session, edit, () => editLines(edit))
}

/** `ggen-node config unset`. */
export async function unset(session: Session, args: readonly string[]): Promise<void> {
  const edit = await unsetSetting(session.home, argument(args, 0))
  report(session, edit, () => editLines(edit))
}

/** `ggen-node config path`. */
export async function path(session: Session): Promise<void> {
  const found = await configPath(session.home)
  report(session, found, () => [found.path])
}

function editLines({ key, path: file, value, changed }: SettingEdit): readonly string[] {
  if (!changed) return [`Unchanged ${key}`]
  return [
    value === null ? `Removed ${key} from ${file}` : `Set ${key} = ${safe(showValue(value))} in ${file}`,
    'A running node takes it up at its next start'
  ]
}
