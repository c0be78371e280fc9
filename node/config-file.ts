import { realpath } from 'node:fs/promises'
import { RegistryError, isRegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { toWriteError } from '../storage/disk-errors.ts'
import { writeDurably } from '../storage/durable.ts'
import { homePaths, prepareHome } from '../storage/home.ts'
import { readSmallFile } from '../storage/small-file.ts'
import { fullKey, HOME_SETTING, SETTINGS, valueOfText } from './config-schema.ts'
import type { Setting, SettingValue } from './config-schema.ts'
import { configOf, homeOrigin, homePath, NO_FILE, parseConfigFile, resolveSettings, unknownSetting } from './config.ts'
import type { Config, ConfigFile, Flags, Origin } from './config.ts'
import { editToml } from './config-text.ts'

/** A setting as `config list` shows it. */
export interface ShownSetting {
  readonly key: string
  readonly value: SettingValue
  readonly from: Origin
  readonly env: string
  readonly description: string
}

/** The configuration of a data directory with variables and options on top. */
export async function effectiveConfig(path: string, flags: Flags = {}): Promise<Config> {
  return configOf(resolveSettings(await readFileOf(path), { flags, env: true }))
}

/** Where the configuration file is, or would be, and whether there is one. */
export async function configPath(
  flag: string | undefined
): Promise<{ readonly path: string; readonly exists: boolean }> {
  const { config } = homePaths(homePath(flag))
  return { path: config, exists: (await textOf(config)) !== undefined }
}

/** Every setting, with its value and where that was said. */
export async function listSettings(flag: string | undefined): Promise<readonly ShownSetting[]> {
  const home = homePath(flag)
  const { env, description } = HOME_SETTING
  const found = resolveSettings(await readFileOf(home), { env: true })
  return [
    { key: 'home', value: home, from: homeOrigin(flag), env, description },
    ...found.map(({ key, value, from, setting }) => ({
      key,
      value,
      from,
      env: setting.env,
      description: setting.description
    }))
  ]
}

/** The names of all settings that may be asked for, without their values. */
export async function getSettingKeys(flag: string | undefined): Promise<readonly string[]> {
  return resolveSettings(await readFileOf(homePath(flag))).map(({ key }) => key)
}

/** One setting. @throws RegistryError USAGE with what comes near */
export async function getSetting(flag: string | undefined, key: string): Promise<ShownSetting> {
  const settings = await listSettings(flag)
  const found = settings.find(setting => setting.key === key)
  if (found !== undefined) return found
  throw unknownSetting(
    key,
    settings.map(setting => setting.key)
  )
}

/** What an edit of the file did. */
export interface SettingEdit {
  readonly key: string
  readonly path: string
  readonly value: SettingValue | null
  readonly changed: boolean
}

/**
 * Writes one setting to the file, and leaves the rest of it as it is. A crash leaves the old file or the new one.
 * @throws RegistryError USAGE | INVALID_TOML | LIMIT_EXCEEDED
 */
export async function setSetting(
  flag: string | undefined,
  key: string,
  texts: readonly string[]
): Promise<SettingEdit> {
  const { setting, path } = settingAt(key)
  const value = valueOfText(setting, texts, key)
  return { key, value, ...(await edit(flag, path, value)) }
}

/** Takes a setting out of the file, also one that this program does not know. */
export async function unsetSetting(flag: string | undefined, key: string): Promise<SettingEdit> {
  return { key, value: null, ...(await edit(flag, key.split('.'), undefined)) }
}

async function edit(
  flag: string | undefined,
  path: readonly string[],
  value: SettingValue | undefined
): Promise<{ readonly path: string; readonly changed: boolean }> {
  const { config } = await prepareHome(homePath(flag))
  const before = (await textOf(config)) ?? ''
  const after = editToml(before, path, value)
  if (after === before) return { path: config, changed: false }
  if (after.length > LIMITS.config.fileBytes) throw new RegistryError('LIMIT_EXCEEDED', 'config.toml is too large')
  // A link to a file that is kept elsewhere stays a link: what it points to is replaced.
  try {
    await writeDurably(await realpath(config).catch(() => config), after)
  } catch (cause) {
    throw toWriteError(cause, config)
  }
  return { path: config, changed: true }
}

function settingAt(key: string): { readonly setting: Setting; readonly path: readonly string[] } {
  const path = key.split('.')
  const [head = '', swarm = '', name = ''] = path
  const isSwarm = head === 'swarm' && path.length === 3 && /^[a-z0-9][a-z0-9-]{0,63}$/.test(swarm)
  const setting = SETTINGS.find(({ scope, key: known }) =>
    isSwarm ? scope === 'swarm' && known === name : scope === 'node' && known === key
  )
  if (setting !== undefined) return { setting, path }
  if (key === 'home') {
    throw new RegistryError('USAGE', 'the data directory cannot be set in the file that lies in it', {
      next: `use --home FOLDER or $${HOME_SETTING.env}`
    })
  }
  throw unknownSetting(
    key,
    SETTINGS.map(known => fullKey(known, isSwarm ? swarm : 'public'))
  )
}

async function readFileOf(home: string): Promise<ConfigFile> {
  const text = await textOf(homePaths(home).config)
  return text === undefined ? NO_FILE : parseConfigFile(text)
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return (await readSmallFile(file, { maxBytes: LIMITS.config.fileBytes, followLinks: true })).toString('utf8')
  } catch (cause) {
    if (isRegistryError(cause)) throw cause
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new RegistryError('UNKNOWN_FILE', `${file} cannot be read`, { cause })
  }
}
