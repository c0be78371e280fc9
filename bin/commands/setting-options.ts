import { Option } from 'commander'
import { HOME_SETTING, SETTINGS, showValue } from '../../node/config-schema.ts'
import type { Setting } from '../../node/config-schema.ts'

/** The options of `start`, as the table of settings has them. */
export function settingOptions(): readonly Option[] {
  return SETTINGS.flatMap(setting => (setting.flag === undefined ? [] : optionsOf(setting, setting.flag)))
}

/** `--home`, which every command takes. */
export function homeOption(): Option {
  const { operand, description, env, fallback } = HOME_SETTING
  return new Option(`--home <${operand}>`, `${description} (default: $${env} or ${showValue(fallback)})`)
}

function optionsOf(setting: Setting, flag: string): readonly Option[] {
  const { type, operand, choices, env } = setting
  const description = `${setting.description} ($${env})`
  switch (type) {
    case 'switch':
      return [new Option(`--${flag}`, description), new Option(`--no-${flag}`).hideHelp()]
    case 'list': {
      // Several of it, as often as somebody says it: `--listen A --listen B`.
      const option = new Option(`--${flag} <${operand}>`, `${description}, repeatable`)
      return [option.argParser((value, before: readonly string[] | undefined) => [...(before ?? []), value])]
    }
    case 'choice':
      return [new Option(`--${flag} <${operand}>`, description).choices(choices)]
    case 'text':
    case 'folder':
    case 'size':
    case 'rate':
      return [new Option(`--${flag} <${operand}>`, description)]
  }
}
