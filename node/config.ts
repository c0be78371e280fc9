import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { parse } from 'smol-toml'
import { RegistryError, messageOf } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'

/** One swarm: a libp2p host of its own. The public swarm is called `public`; each private registry will be another. */
export interface SwarmSettings {
  readonly name: string
  readonly listen: readonly string[]
  readonly bootstrap: readonly string[]
  readonly mdns: boolean
  /** Peer ids that no limit by address applies to. */
  readonly allowPeers: readonly string[]
}

/** What the operator decided. `config.toml` in the data directory; flags of `start` come on top. */
export interface Config {
  /** `all`: fetch and keep the bytes of every release of the registries that are followed. */
  readonly keep: 'all' | 'none'
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent'
  readonly swarms: readonly SwarmSettings[]
}

/** The port that a node listens on unless told otherwise. */
export const DEFAULT_PORT = 4917

export const DEFAULT_CONFIG: Config = {
  keep: 'none',
  logLevel: 'warn',
  swarms: [{ name: 'public', listen: [`/ip4/0.0.0.0/tcp/${DEFAULT_PORT}`], bootstrap: [], mdns: false, allowPeers: [] }]
}

/** The data directory: the flag, then $GGEN_NODE_HOME, then ~/.ggen-node. The only place that reads the environment. */
export function homePath(flag: string | undefined): string {
  return resolve(flag ?? process.env['GGEN_NODE_HOME'] ?? join(homedir(), '.ggen-node'))
}

/**
 * Reads a configuration file's text. Keys that are not known are named, not ignored: a typo in a limit is a hole.
 * @throws RegistryError INVALID_TOML | USAGE
 */
export function parseConfig(text: string): Config {
  if (text.length > LIMITS.config.fileBytes) throw new RegistryError('LIMIT_EXCEEDED', 'config.toml is too large')
  let raw: Record<string, unknown>
  try {
    raw = parse(text)
  } catch (cause) {
    throw new RegistryError('INVALID_TOML', `config.toml: ${messageOf(cause)}`, { cause })
  }
  assertKeys(raw, ['keep', 'log', 'swarm'], 'config.toml')
  const [defaults] = DEFAULT_CONFIG.swarms
  const tables = raw['swarm'] === undefined ? {} : tableOf(raw['swarm'], 'swarm')
  const names = Object.keys(tables).length === 0 ? ['public'] : Object.keys(tables)
  if (names.length > LIMITS.config.swarms) throw new RegistryError('LIMIT_EXCEEDED', 'config.toml has too many swarms')
  return {
    keep: oneOf(raw['keep'] ?? DEFAULT_CONFIG.keep, ['all', 'none'], 'keep'),
    logLevel: oneOf(raw['log'] ?? DEFAULT_CONFIG.logLevel, ['debug', 'info', 'warn', 'error', 'silent'], 'log'),
    swarms: names.map(name => swarmOf(name, tableOf(tables[name] ?? {}, `swarm.${name}`), defaults?.listen ?? []))
  }
}

function swarmOf(name: string, table: Record<string, unknown>, listen: readonly string[]): SwarmSettings {
  assertKeys(table, ['listen', 'bootstrap', 'mdns', 'allow_peers'], `swarm.${name}`)
  const mdns = table['mdns'] ?? false
  if (typeof mdns !== 'boolean') throw wrong(`swarm.${name}.mdns`, 'true or false')
  return {
    name,
    listen: listOf(table['listen'] ?? listen, `swarm.${name}.listen`),
    bootstrap: listOf(table['bootstrap'] ?? [], `swarm.${name}.bootstrap`),
    mdns,
    allowPeers: listOf(table['allow_peers'] ?? [], `swarm.${name}.allow_peers`)
  }
}

function assertKeys(table: Record<string, unknown>, known: readonly string[], where: string): void {
  const unknown = Object.keys(table).find(key => !known.includes(key))
  if (unknown === undefined) return
  throw new RegistryError('USAGE', `${where} has no setting ${JSON.stringify(unknown)}`, {
    next: `it knows ${known.join(', ')}`
  })
}

function tableOf(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(where, 'a table')
  return value as Record<string, unknown>
}

function listOf(value: unknown, where: string): readonly string[] {
  const isList =
    Array.isArray(value) && value.length <= LIMITS.peers.bootstrap && value.every(item => typeof item === 'string')
  if (!isList) throw wrong(where, `a list of at most ${LIMITS.peers.bootstrap} texts`)
  return value
}

function oneOf<T extends string>(value: unknown, allowed: readonly T[], where: string): T {
  const found = allowed.find(candidate => candidate === value)
  if (found === undefined) throw wrong(where, allowed.join(', '))
  return found
}

function wrong(where: string, wanted: string): RegistryError {
  return new RegistryError('USAGE', `${where} must be ${wanted}`)
}

/** What `start` was told on its command line. */
export interface StartSettings {
  readonly home: string | undefined
  readonly listen: readonly string[]
  readonly bootstrap: readonly string[]
  readonly keep: string | undefined
  readonly mdns: boolean
}

/** The file's settings with the flags on top. @throws RegistryError USAGE */
export function withFlags(config: Config, { listen, bootstrap, keep, mdns }: StartSettings): Config {
  const swarms = config.swarms.map((swarm, i) =>
    i > 0
      ? swarm
      : {
          ...swarm,
          listen: listen.length > 0 ? listen : swarm.listen,
          bootstrap: [...swarm.bootstrap, ...bootstrap],
          mdns: swarm.mdns || mdns
        }
  )
  return { ...config, swarms, keep: oneOf(keep ?? config.keep, ['all', 'none'], '--keep') }
}
