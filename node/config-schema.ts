import { parseByteSize } from '../protocol/byte-size.ts'
import { RegistryError } from '../protocol/errors.ts'
import { LIMITS } from '../protocol/limits.ts'
import { dnsServerFault } from './dns-server.ts'
import { gatewayUrlFault } from './http/gateway-url.ts'
import { httpAddressFault } from './http/http-address.ts'
import { isPeerId, listenAddressFault, peerAddressFault } from './multiaddr-shape.ts'

/** What a setting may hold, whichever way it comes. */
export type SettingValue = string | boolean | readonly string[]

/** How a setting is read from text and from TOML, and what is wanted of it. */
export type SettingType = 'folder' | 'text' | 'choice' | 'switch' | 'list' | 'size' | 'rate'

/** One thing that an operator decides. Files, environment, flags, help and documentation all follow from this. */
export interface Setting {
  /** In `config.toml`: a name, or that of a table and a name. Of a setting of a swarm, the part behind `swarm.<name>.`. */
  readonly key: string
  readonly type: SettingType
  readonly scope: 'node' | 'swarm'
  readonly choices: readonly string[]
  readonly fallback: SettingValue
  readonly env: string
  /** The option of `start` that sets it, without its dashes; the data directory's is every command's. */
  readonly flag: string | undefined
  /** What the option's value is called in help texts. */
  readonly operand: string
  readonly description: string
  /** Why one entry can't be used; for lists, of each entry. */
  readonly fault: (text: string) => string | undefined
}

/** The port that a node listens on unless told otherwise. */
export const DEFAULT_PORT = 4917

/** The swarm that every node is in. */
export const PUBLIC_SWARM = 'public'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export const KEEPS = ['all', 'none'] as const

/** As many bytes as there is room for, and as fast as they come. */
export const NO_QUOTA = 'none'
export const NO_RATE = 'none'

const anything = (): undefined => undefined

/** The data directory: the one setting that the file in it can't hold. */
export const HOME_SETTING: Setting = {
  key: 'home',
  type: 'folder',
  scope: 'node',
  choices: [],
  fallback: '~/.ggen-node',
  env: 'GGEN_NODE_HOME',
  flag: 'home',
  operand: 'folder',
  description: 'the data directory',
  fault: anything
}

/** Every setting that `config.toml` may hold. */
export const SETTINGS: readonly Setting[] = [
  {
    key: 'keep',
    type: 'choice',
    scope: 'node',
    choices: KEEPS,
    fallback: 'none',
    env: 'GGEN_NODE_KEEP',
    flag: 'keep',
    operand: 'what',
    description:
      'all: keep the bytes of everything the registries hold; none: only what is published and installed here',
    fault: anything
  },
  {
    key: 'leech',
    type: 'switch',
    scope: 'node',
    choices: [],
    fallback: false,
    env: 'GGEN_NODE_LEECH',
    flag: 'leech',
    operand: '',
    description: 'take content from others and give none: what is installed here has to come from somebody else',
    fault: anything
  },
  {
    key: 'upload',
    type: 'rate',
    scope: 'node',
    choices: [],
    fallback: NO_RATE,
    env: 'GGEN_NODE_UPLOAD',
    flag: 'upload',
    operand: 'rate',
    description: 'how much content is sent a second, to all peers together',
    fault: anything
  },
  {
    key: 'download',
    type: 'rate',
    scope: 'node',
    choices: [],
    fallback: NO_RATE,
    env: 'GGEN_NODE_DOWNLOAD',
    flag: 'download',
    operand: 'rate',
    description: 'how much content is taken a second, from all peers together',
    fault: anything
  },
  {
    key: 'log',
    type: 'choice',
    scope: 'node',
    choices: LOG_LEVELS,
    fallback: 'warn',
    env: 'GGEN_NODE_LOG',
    flag: 'log',
    operand: 'level',
    description: 'the least important lines that are logged, to standard error',
    fault: anything
  },
  {
    key: 'gateway.listen',
    type: 'text',
    scope: 'node',
    choices: [],
    fallback: '',
    env: 'GGEN_NODE_GATEWAY',
    flag: 'gateway',
    operand: 'address:port',
    description: 'where packages are handed out over plain HTTP, to any IPFS program; nowhere unless told',
    fault: httpAddressFault
  },
  {
    key: 'metrics.listen',
    type: 'text',
    scope: 'node',
    choices: [],
    fallback: '',
    env: 'GGEN_NODE_METRICS',
    flag: 'metrics',
    operand: 'address:port',
    description: 'where `/metrics` is, for Prometheus; it may be the address of the gateway; nowhere unless told',
    fault: httpAddressFault
  },
  {
    key: 'gateways',
    type: 'list',
    scope: 'node',
    choices: [],
    fallback: [],
    env: 'GGEN_NODE_GATEWAYS',
    flag: 'ask-gateway',
    operand: 'url',
    description: 'trustless IPFS gateways that are asked for public content which peers do not send',
    fault: gatewayUrlFault
  },
  {
    key: 'dns.lookups',
    type: 'switch',
    scope: 'node',
    choices: [],
    fallback: true,
    env: 'GGEN_NODE_DNS',
    flag: undefined,
    operand: '',
    description: 'ask domains whether they name the keys that claim them, where a package is shown or installed',
    fault: anything
  },
  {
    key: 'dns.private',
    type: 'switch',
    scope: 'node',
    choices: [],
    fallback: false,
    env: 'GGEN_NODE_DNS_PRIVATE',
    flag: undefined,
    operand: '',
    description: 'do so for private registries, too: whoever answers for the domains learns that somebody here asked',
    fault: anything
  },
  {
    key: 'dns.servers',
    type: 'list',
    scope: 'node',
    choices: [],
    fallback: [],
    env: 'GGEN_NODE_DNS_SERVERS',
    flag: undefined,
    operand: 'address',
    description: 'DNS servers that are asked instead of those of the system, such as 192.0.2.53 or 127.0.0.1:5353',
    fault: dnsServerFault
  },
  {
    key: 'listen',
    type: 'list',
    scope: 'swarm',
    choices: [],
    fallback: [`/ip4/0.0.0.0/tcp/${DEFAULT_PORT}`],
    env: 'GGEN_NODE_LISTEN',
    flag: 'listen',
    operand: 'address',
    description: 'multiaddrs to listen on',
    fault: listenAddressFault
  },
  {
    key: 'bootstrap',
    type: 'list',
    scope: 'swarm',
    choices: [],
    fallback: [],
    env: 'GGEN_NODE_BOOTSTRAP',
    flag: 'bootstrap',
    operand: 'address',
    description: 'multiaddrs of peers to stay connected to',
    fault: peerAddressFault
  },
  {
    key: 'mdns',
    type: 'switch',
    scope: 'swarm',
    choices: [],
    fallback: false,
    env: 'GGEN_NODE_MDNS',
    flag: 'mdns',
    operand: '',
    description: 'find peers on the local network; in a private swarm true unless told otherwise',
    fault: anything
  },
  {
    key: 'relay',
    type: 'switch',
    scope: 'swarm',
    choices: [],
    fallback: false,
    env: 'GGEN_NODE_RELAY',
    flag: 'relay',
    operand: '',
    description: 'carry connections between peers that cannot reach each other',
    fault: anything
  },
  {
    key: 'allow_peers',
    type: 'list',
    scope: 'swarm',
    choices: [],
    fallback: [],
    env: 'GGEN_NODE_ALLOW_PEERS',
    flag: undefined,
    operand: 'peer id',
    description: 'peer ids that no limit by address applies to',
    fault: text => (isPeerId(text) ? undefined : 'it is no peer id')
  },
  {
    key: 'quota',
    type: 'size',
    scope: 'swarm',
    choices: [],
    fallback: NO_QUOTA,
    env: 'GGEN_NODE_QUOTA',
    flag: 'quota',
    operand: 'size',
    description: 'bytes of packages that are kept at most, such as 20GiB: what is not pinned goes first',
    fault: quotaFault
  }
]

/**
 * What holds when nobody said anything. A private swarm looks around on the local network, where it shows strangers a
 * name that tells them nothing; the public one speaks to nobody whom it was not told of.
 */
export function fallbackOf(setting: Setting, swarm: string): SettingValue {
  return setting.key === 'mdns' ? swarm !== PUBLIC_SWARM : setting.fallback
}

/** The full name of a setting in `config.toml`: `keep`, `swarm.public.listen`. */
export function fullKey({ scope, key }: Setting, swarm: string): string {
  return scope === 'node' ? key : `swarm.${swarm}.${key}`
}

/** What a setting must be, in words. */
export function wantedOf({ type, choices }: Setting): string {
  switch (type) {
    case 'choice':
      return `one of ${choices.join(', ')}`
    case 'switch':
      return 'true or false'
    case 'list':
      return `a list of at most ${LIMITS.peers.bootstrap} texts`
    case 'text':
      return 'a text'
    case 'folder':
      return 'a folder'
    case 'size':
      return 'a size such as 500MB or 20GiB, or none'
    case 'rate':
      return `${NO_RATE}, or bytes a second, from ${LIMITS.dag.leastRate / 1024}KiB, such as 500KB or 20MB`
  }
}

const UNITS: Readonly<Record<string, number>> = {
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30
}

/** Bytes a second of a rate that was checked; undefined for one without a bound, or that is none. */
export function bytesPerSecond(rate: SettingValue | undefined): number | undefined {
  const found = typeof rate === 'string' ? /^([1-9][0-9]{0,5})([KMG]i?B)$/.exec(rate) : null
  const unit = UNITS[found?.[2] ?? '']
  return unit === undefined ? undefined : Number(found?.[1]) * unit
}

function isRate(value: unknown): value is string {
  return value === NO_RATE || (typeof value === 'string' && (bytesPerSecond(value) ?? 0) >= LIMITS.dag.leastRate)
}

/**
 * The value when it is one that the setting may have. `where` names it in the message: a key, a variable, an option.
 * @throws RegistryError USAGE
 */
export function checkedValue(setting: Setting, value: unknown, where: string): SettingValue {
  const list = setting.type === 'list' && Array.isArray(value) ? (value as readonly unknown[]) : undefined
  if (list !== undefined && list.length <= LIMITS.peers.bootstrap && list.every(isText)) {
    for (const entry of list) checkEntry(setting, entry, where)
    return list
  }
  if (setting.type === 'switch' && typeof value === 'boolean') return value
  if (setting.type === 'rate' && isRate(value)) return value
  if (setting.type === 'folder' && typeof value === 'string' && value !== '') return value
  if ((setting.type === 'size' || setting.type === 'text') && typeof value === 'string') {
    checkEntry(setting, value, where)
    return value
  }
  if (setting.type === 'choice' && typeof value === 'string' && setting.choices.includes(value)) return value
  throw new RegistryError('USAGE', `${where} must be ${wantedOf(setting)}, not ${shown(value)}`, {
    next: nextFor(setting)
  })
}

/**
 * The value of what somebody typed, or put into a variable. A list is several texts, or one with commas.
 * @throws RegistryError USAGE
 */
export function valueOfText(setting: Setting, texts: readonly string[], where: string): SettingValue {
  const [first = ''] = texts
  if (setting.type === 'list') {
    const entries = texts.flatMap(text => text.split(/[\s,]+/)).filter(text => text !== '')
    return checkedValue(setting, entries, where)
  }
  if (texts.length > 1) throw new RegistryError('USAGE', `${where} takes one value: ${wantedOf(setting)}`)
  if (setting.type !== 'switch') return checkedValue(setting, first, where)
  const known: Readonly<Record<string, boolean>> = { true: true, 1: true, false: false, 0: false }
  return checkedValue(setting, Object.hasOwn(known, first) ? known[first] : first, where)
}

/** A value as a person reads it, on one line. */
export function showValue(value: SettingValue): string {
  if (typeof value !== 'object') return value === '' ? '(none)' : String(value)
  return value.length === 0 ? '(none)' : value.join(', ')
}

/** The bytes of a quota; undefined for none. */
export function quotaBytesOf(text: SettingValue | undefined): number | undefined {
  return typeof text === 'string' && text !== NO_QUOTA ? parseByteSize(text) : undefined
}

function quotaFault(text: string): string | undefined {
  if (text === NO_QUOTA) return undefined
  const bytes = parseByteSize(text)
  if (bytes === undefined) return 'it is no size: write it as 500MB or 20GiB, or none'
  const { quotaMinBytes, quotaMaxBytes } = LIMITS.store
  if (bytes < quotaMinBytes) return `a quota has at least ${quotaMinBytes} bytes`
  return bytes > quotaMaxBytes ? `a quota has at most ${quotaMaxBytes} bytes` : undefined
}

function checkEntry(setting: Setting, entry: string, where: string): void {
  const fault = setting.fault(entry)
  if (fault === undefined) return
  throw new RegistryError('USAGE', `${where}: ${shown(entry)} cannot be used: ${fault}`, { next: nextFor(setting) })
}

function nextFor({ scope, key }: Setting): string {
  return `ggen-node config list shows every setting; this one is ${scope === 'node' ? key : `swarm.<name>.${key}`}`
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function shown(value: unknown): string {
  const text = typeof value === 'object' && value !== null && !Array.isArray(value) ? 'a table' : JSON.stringify(value)
  return (text ?? String(value)).slice(0, 120)
}
