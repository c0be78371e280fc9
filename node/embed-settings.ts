import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { NO_HTTP } from './config.ts'
import type { Config } from './config.ts'
import type { NodeLog, NodeSettings } from './embedded-node.ts'
import type { LogLevel } from './runtime/log.ts'

/** What each setting must be; the compiler sees to it that none is missing. */
const CHECKS: Readonly<
  Record<keyof NodeSettings, { readonly wanted: string; readonly isFine: (value: unknown) => boolean }>
> = {
  keep: { wanted: "'all' or 'none'", isFine: value => value === 'all' || value === 'none' },
  listen: { wanted: 'a list of multiaddrs', isFine: isList },
  bootstrap: { wanted: 'a list of multiaddrs', isFine: isList },
  mdns: { wanted: 'true or false', isFine: value => typeof value === 'boolean' },
  allowPeers: { wanted: 'a list of peer ids', isFine: isList }
}

const LOG_LEVELS: readonly LogLevel[] = ['silent', 'error', 'warn', 'info', 'debug', 'trace']

/** Checks the settings of a program that may have no types. A misspelt one is named, not ignored. @throws RegistryError USAGE */
export function assertSettings(settings: NodeSettings): void {
  for (const [name, value] of Object.entries(settings)) {
    if (!isSetting(name)) {
      throw new RegistryError('USAGE', `there is no setting ${JSON.stringify(name)}`, {
        next: `there are ${Object.keys(CHECKS).join(', ')}`
      })
    }
    const { wanted, isFine } = CHECKS[name]
    if (value !== undefined && !isFine(value)) throw new RegistryError('USAGE', `the setting ${name} must be ${wanted}`)
  }
}

/** @throws RegistryError USAGE */
export function assertLog(log: NodeLog): void {
  if (!LOG_LEVELS.includes(log.level)) {
    throw new RegistryError('USAGE', `log.level must be one of ${LOG_LEVELS.join(', ')}`)
  }
  if (typeof log.write !== 'function') throw new RegistryError('USAGE', 'log.write must be a function')
}

/** @throws RegistryError USAGE */
export function assertText(value: unknown, name: string): asserts value is string {
  if (typeof value !== 'string' || value === '')
    throw new RegistryError('USAGE', `${name} must be a text that is not empty`)
}

/**
 * The data directory's configuration with a program's settings in place of its own. Addresses to listen on are only
 * ever the program's: the same directory may be what a daemon listens for at other times.
 */
export function withSettings(config: Config, settings: NodeSettings): Config {
  const { keep = config.keep, listen = [] } = settings
  const swarms = config.swarms.map((swarm, index) => {
    if (index > 0) return { ...swarm, listen: [], relay: false }
    const { bootstrap = swarm.bootstrap, mdns = swarm.mdns, allowPeers = swarm.allowPeers } = settings
    // Whom nobody can dial is no relay.
    return { ...swarm, listen, bootstrap, mdns, allowPeers, relay: swarm.relay && listen.length > 0 }
  })
  return { ...config, keep, swarms, http: NO_HTTP }
}

function isSetting(name: string): name is keyof NodeSettings {
  return Object.hasOwn(CHECKS, name)
}

function isList(value: unknown): boolean {
  return Array.isArray(value) && value.length <= LIMITS.peers.bootstrap && value.every(item => typeof item === 'string')
}
