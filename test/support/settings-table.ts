import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fullKey, HOME_SETTING, SETTINGS, showValue, wantedOf } from '../../node/config-schema.ts'
import type { Setting } from '../../node/config-schema.ts'

const BEGIN = '<!-- settings:begin -->'
const END = '<!-- settings:end -->'

/** The table of settings as node/config-schema.ts states them. */
export function settingsTable(): string {
  const rows = [HOME_SETTING, ...SETTINGS].map(setting => {
    const { env, flag, description, fallback } = setting
    const key = setting === HOME_SETTING ? '' : `\`${fullKey(setting, 'NAME')}\``
    return `| ${key} | \`${env}\` | ${flagOf(setting, flag)} | ${typeOf(setting)} | \`${showValue(fallback)}\` | ${description} |`
  })
  return [
    '| in `config.toml` | variable | option | type | default | what it does |',
    '|---|---|---|---|---|---|',
    ...rows
  ].join('\n')
}

/** The document with the current table between its markers. */
export function withSettingsTable(document: string): string {
  const begin = document.indexOf(BEGIN)
  const end = document.indexOf(END)
  if (begin < 0 || end < begin) throw new Error(`the document has no ${BEGIN} … ${END}`)
  return `${document.slice(0, begin + BEGIN.length)}\n\n${settingsTable()}\n\n${document.slice(end)}`
}

function flagOf({ type }: Setting, flag: string | undefined): string {
  if (flag === undefined) return ''
  return type === 'switch' ? `\`--${flag}\`, \`--no-${flag}\`` : `\`--${flag}\``
}

function typeOf(setting: Setting): string {
  return setting.type === 'choice' ? setting.choices.map(choice => `\`${choice}\``).join(', ') : wantedOf(setting)
}

if (import.meta.main) {
  const file = join(import.meta.dirname, '..', '..', 'docs', 'configuration.md')
  await writeFile(file, withSettingsTable(await readFile(file, 'utf8')))
}
