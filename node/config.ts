import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { parse } from 'smol-toml'
import { RegistryError, messageOf } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { nearest } from '../protocol/nearest.ts'
import {
  bytesPerSecond,
  checkedValue,
  fallbackOf,
  fullKey,
  HOME_SETTING,
  KEEPS,
  LOG_LEVELS,
  PUBLIC_SWARM,
  quotaBytesOf,
  SETTINGS,
  valueOfText
} from './config-schema.ts'
import type { Setting, SettingValue } from './config-schema.ts'

/** One swarm: a libp2p host of its own. The public swarm is called `public`; each private registry will be another. */
export interface SwarmSettings {
  readonly name: string
  readonly listen: readonly string[]
  readonly bootstrap: readonly string[]
  readonly mdns: boolean
  /** Carries connections between peers that cannot reach each other. */
  readonly relay: boolean
  /** Peer ids that no limit by address applies to. */
  readonly allowPeers: readonly string[]
  /** Bytes of packages that are kept at most; undefined for as many as come. */
  readonly quotaBytes?: number | undefined
}

/** What the operator decided, from all the places where it can be said. */
export interface Config {
  /** `all`: fetch and keep the bytes of every release of the registries that are followed. */
  readonly keep: (typeof KEEPS)[number]
  readonly logLevel: (typeof LOG_LEVELS)[number]
  /** Takes content from others and gives none. */
  readonly leech: boolean
  /** Bytes of content a second, to and from all peers; undefined without a bound. */
  readonly upload: number | undefined
  readonly download: number | undefined
  readonly swarms: readonly SwarmSettings[]
  /** Where this node answers plain HTTP; an empty text is nowhere. */
  readonly http: { readonly gateway: string; readonly metrics: string }
  /** Trustless gateways that are asked for public content. */
  readonly gateways: readonly string[]
  /** Whether, for whom and where domains are looked up that keys claim. */
  readonly dns: { readonly lookups: boolean; readonly private: boolean; readonly servers: readonly string[] }
}

/** A node that answers nobody over HTTP. */
export const NO_HTTP: Config['http'] = { gateway: '', metrics: '' }

/** Where a value was said, the strongest last. */
export type Origin = 'default' | 'file' | 'environment' | 'flag'

/** One setting as it is in force. */
export interface ResolvedSetting {
  readonly key: string
  readonly setting: Setting
  readonly value: SettingValue
  readonly from: Origin
}

/** The values of the options that were given to `start`, by the name of the option. */
export type Flags = Readonly<Record<string, SettingValue>>

/** What `start` was told on its command line. */
export interface StartSettings {
  readonly home: string | undefined
  readonly flags: Flags
}

/** What a configuration file says, checked: values by their full keys, and the swarms it names. */
export interface ConfigFile {
  readonly values: ReadonlyMap<string, SettingValue>
  readonly swarms: readonly string[]
}

/** A data directory without a configuration file. */
export const NO_FILE: ConfigFile = { values: new Map(), swarms: [PUBLIC_SWARM] }

/** The data directory: the flag, then $GGEN_NODE_HOME, then ~/.ggen-node. */
export function homePath(flag: string | undefined): string {
  return resolve(flag ?? variable(HOME_SETTING.env) ?? join(homedir(), '.ggen-node'))
}

/** Where the data directory was named. */
export function homeOrigin(flag: string | undefined): Origin {
  if (flag !== undefined) return 'flag'
  return variable(HOME_SETTING.env) === undefined ? 'default' : 'environment'
}

/**
 * Reads a configuration file's text. Keys that are not known are named, not ignored: a typo in a limit is a hole.
 * @throws RegistryError INVALID_TOML | USAGE | LIMIT_EXCEEDED
 */
export function parseConfigFile(text: string): ConfigFile {
  if (text.length > LIMITS.config.fileBytes) throw new RegistryError('LIMIT_EXCEEDED', 'config.toml is too large')
  let raw: Record<string, unknown>
  try {
    raw = parse(text)
  } catch (cause) {
    throw new RegistryError('INVALID_TOML', `config.toml: ${messageOf(cause)}`, {
      cause,
      next: 'correct the file; ggen-node config path says where it is'
    })
  }
  const ofNode = SETTINGS.filter(setting => setting.scope === 'node')
  const ofSwarm = SETTINGS.filter(setting => setting.scope === 'swarm')
  // `gateway.listen` stands in a table of its own.
  const keysOf = (table: string): readonly string[] =>
    ofNode.flatMap(({ key }) => (key.startsWith(`${table}.`) ? [key.slice(table.length + 1)] : []))
  const tops = [...new Set(ofNode.map(({ key }) => key.split('.')[0] ?? key))]
  assertKeys(raw, [...tops, 'swarm'], '')
  for (const top of tops) {
    if (keysOf(top).length > 0 && raw[top] !== undefined) assertKeys(tableOf(raw[top], top), keysOf(top), `${top}.`)
  }
  const tables = raw['swarm'] === undefined ? {} : tableOf(raw['swarm'], 'swarm')
  const swarms = Object.keys(tables)
  if (swarms.length > LIMITS.config.swarms) throw new RegistryError('LIMIT_EXCEEDED', 'config.toml has too many swarms')
  const values = new Map<string, SettingValue>()
  takeValues(raw, ofNode, { values, swarm: '' })
  for (const swarm of swarms) {
    if (!/^[a-z0-9][a-z0-9-]{0,63}$/.test(swarm)) {
      throw new RegistryError('USAGE', `config.toml: ${JSON.stringify(swarm.slice(0, 80))} cannot name a swarm`, {
        next: 'use a-z, 0-9 and "-"'
      })
    }
    const table = tableOf(tables[swarm], `swarm.${swarm}`)
    assertKeys(
      table,
      ofSwarm.map(setting => setting.key),
      `swarm.${swarm}.`
    )
    takeValues(table, ofSwarm, { values, swarm })
  }
  return { values, swarms: swarms.length === 0 ? NO_FILE.swarms : swarms }
}

/**
 * Every setting with the value in force: an option beats a variable, a variable beats the file, the file beats the
 * default. Variables and options speak of the first swarm.
 * @throws RegistryError USAGE
 */
export function resolveSettings(
  file: ConfigFile,
  { flags = {}, env = false }: Overrides = {}
): readonly ResolvedSetting[] {
  const [first = PUBLIC_SWARM] = file.swarms
  const placed = [
    ...SETTINGS.filter(({ scope }) => scope === 'node').map(setting => ({ setting, swarm: first })),
    ...file.swarms.flatMap(swarm =>
      SETTINGS.filter(({ scope }) => scope === 'swarm').map(setting => ({ setting, swarm }))
    )
  ]
  return placed.map(({ setting, swarm }) => {
    const key = fullKey(setting, swarm)
    const value = (from: Origin, found: SettingValue): ResolvedSetting => ({ key, setting, value: found, from })
    if (swarm === first) {
      const flag = setting.flag === undefined ? undefined : flags[setting.flag]
      if (flag !== undefined) return value('flag', checkedValue(setting, flag, `--${setting.flag}`))
      const text = env ? variable(setting.env) : undefined
      if (text !== undefined) return value('environment', valueOfText(setting, [text], `$${setting.env}`))
    }
    const inFile = file.values.get(key)
    return inFile === undefined ? value('default', fallbackOf(setting, swarm)) : value('file', inFile)
  })
}

/** What comes on top of the file. */
export interface Overrides {
  readonly flags?: Flags
  /** Whether environment variables count: they do for the command line, not for a program that embeds a node. */
  readonly env?: boolean
}

/** The settings in force, as the node's parts want them. */
export function configOf(settings: readonly ResolvedSetting[]): Config {
  const values = new Map(settings.map(({ key, value }) => [key, value]))
  const names = [...new Set([...values.keys()].flatMap(key => /^swarm\.([^.]+)\./.exec(key)?.[1] ?? []))]
  const listOf = (key: string): readonly string[] => {
    const value = values.get(key)
    return typeof value === 'object' ? value : []
  }
  const textOf = (key: string): string => {
    const value = values.get(key)
    return typeof value === 'string' ? value : ''
  }
  return {
    http: { gateway: textOf('gateway.listen'), metrics: textOf('metrics.listen') },
    gateways: listOf('gateways'),
    dns: {
      lookups: values.get('dns.lookups') !== false,
      private: values.get('dns.private') === true,
      servers: listOf('dns.servers')
    },
    keep: KEEPS.find(keep => keep === values.get('keep')) ?? 'none',
    leech: values.get('leech') === true,
    upload: bytesPerSecond(values.get('upload')),
    download: bytesPerSecond(values.get('download')),
    logLevel: LOG_LEVELS.find(level => level === values.get('log')) ?? 'warn',
    swarms: names.map(name => ({
      name,
      listen: listOf(`swarm.${name}.listen`),
      bootstrap: listOf(`swarm.${name}.bootstrap`),
      mdns: values.get(`swarm.${name}.mdns`) === true,
      relay: values.get(`swarm.${name}.relay`) === true,
      allowPeers: listOf(`swarm.${name}.allow_peers`),
      quotaBytes: quotaBytesOf(values.get(`swarm.${name}.quota`))
    }))
  }
}

/** What a file alone amounts to. @throws RegistryError INVALID_TOML | USAGE | LIMIT_EXCEEDED */
export function parseConfig(text: string): Config {
  return configOf(resolveSettings(parseConfigFile(text)))
}

export const DEFAULT_CONFIG: Config = configOf(resolveSettings(NO_FILE))

function takeValues(
  table: Readonly<Record<string, unknown>>,
  settings: readonly Setting[],
  { values, swarm }: { readonly values: Map<string, SettingValue>; readonly swarm: string }
): void {
  for (const setting of settings) {
    const [name = '', inner] = setting.key.split('.')
    if (!Object.hasOwn(table, name)) continue
    const key = fullKey(setting, swarm)
    const own = inner === undefined ? table : tableOf(table[name], name)
    const last = inner ?? name
    if (Object.hasOwn(own, last)) values.set(key, checkedValue(setting, own[last], key))
  }
}

function assertKeys(table: Readonly<Record<string, unknown>>, known: readonly string[], prefix: string): void {
  const unknown = Object.keys(table).find(key => !known.includes(key))
  if (unknown === undefined) return
  throw unknownSetting(
    `${prefix}${unknown}`,
    known.map(key => `${prefix}${key}`)
  )
}

/** An unknown key, with what comes near. */
export function unknownSetting(key: string, known: readonly string[]): RegistryError {
  const text = key.slice(0, 120)
  // A setting of a swarm is often written without its table.
  const near = nearest(text, known)
  const inSwarm = SETTINGS.filter(({ scope, key: name }) => scope === 'swarm' && name === text.split('.').at(-1))
  const meant = inSwarm.length > 0 ? inSwarm.map(setting => fullKey(setting, PUBLIC_SWARM)) : near
  return new RegistryError('USAGE', `the configuration has no setting ${JSON.stringify(text)}`, {
    next: meant.length > 0 ? `perhaps you meant ${meant.join(' or ')}` : `it knows ${known.join(', ')}`
  })
}

function tableOf(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RegistryError('USAGE', `${where} must be a table`, {
      next: `write it as [${where === 'swarm' ? `swarm.${PUBLIC_SWARM}` : where}]`
    })
  }
  return value as Record<string, unknown>
}

/** The variables that say which private swarm a machine without a person is a member of. */
export const TOKEN_VARIABLES = ['GGEN_NODE_TOKEN', 'GGEN_NODE_TOKEN_FILE'] as const

/**
 * A member's token, or the file that it is in, as the environment has it.
 * @throws RegistryError USAGE when it has both
 */
export function environmentToken(): { readonly token: string } | { readonly file: string } | undefined {
  const [inVariable, inFile] = TOKEN_VARIABLES
  const [token, file] = [variable(inVariable), variable(inFile)]
  if (token !== undefined && file !== undefined)
    throw new RegistryError('USAGE', `both $${inVariable} and $${inFile} name a token`, { next: 'set one of them' })
  if (token !== undefined) return { token }
  return file === undefined ? undefined : { file: resolve(file) }
}

/** The only place that reads the environment. An empty variable is as good as none. */
function variable(name: string): string | undefined {
  const value = process.env[name]
  return value === undefined || value === '' ? undefined : value
}
