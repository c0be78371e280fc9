import { multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import { equalBytes } from '../../protocol/bytes.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { PUBLIC_NAMES } from '../../protocol/membership/names.ts'
import { firstIpOf, isLoopbackIp, isPrivateIp, needsDns } from './address.ts'
import type { SwarmComponents, SwarmConfig } from './components.ts'

/** The addresses of a configuration that has been looked through. */
export interface CheckedConfig {
  readonly listen: readonly Multiaddr[]
  readonly bootstrap: readonly BootstrapPeer[]
  /** Names that the operator wrote down: the only ones that the DNS may be asked for. */
  readonly hosts: ReadonlySet<string>
  /** Does this swarm reach beyond its machine or site? Then private addresses are not passed around in the DHT. */
  readonly internet: boolean
  /** Is anybody looked for on the local network? Not by who listens on loopback alone: nobody there could reach it. */
  readonly mdns: boolean
}

export interface BootstrapPeer {
  readonly id: string
  readonly address: Multiaddr
}

/** The peers that IPFS programs start from. A registry that meets them has left its own network. */
const PUBLIC_BOOTSTRAP = new Set([
  'QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN',
  'QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa',
  'QmbLHAnMoJPWSCR5Zhtx6BHJX9KiKNN6tpvbUcqanj75Nb',
  'QmcZf59bWwK5XFi76CZX8cbJ4BhTzzA3gU1ZjYZcYW3dwt',
  'QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ',
  'QmSoLer265NRgSp2LA3dPaeykiS1J6DifTC88f5uVQKNAd'
])

/**
 * Refuses a configuration in which the swarm would not keep to itself.
 * @throws RegistryError USAGE with what to change
 */
export function assertConfig(config: SwarmConfig, components: Pick<SwarmComponents, 'membership'>): CheckedConfig {
  assertPrivacy(config, components.membership !== undefined)
  // The public DHT's name, or anybody else's, would put our records into a table that strangers read.
  if (!/^\/ggen\/[!-~]{1,128}\/\d+\.\d+\.\d+$/.test(config.names.kadProtocol)) {
    throw wrong(
      config,
      `the dht needs a name of its own, /ggen/…/1.0.0, not ${JSON.stringify(config.names.kadProtocol)}`
    )
  }
  if (config.bootstrap.length > LIMITS.peers.bootstrap) throw wrong(config, 'too many bootstrap addresses')
  const bootstrap = config.bootstrap.map(text => parseBootstrap(config, text))
  const listen = config.listen.map(text => parseListen(config, text))
  const hosts = bootstrap.flatMap(({ address }) =>
    address.getComponents().flatMap(({ name, value }) => (name.startsWith('dns') && value !== undefined ? [value] : []))
  )
  const addresses = [...listen, ...bootstrap.map(({ address }) => address)]
  const isLocal = listen.length > 0 && listen.every(address => isLoopbackIp(firstIpOf(address) ?? ''))
  return {
    listen,
    bootstrap,
    hosts: new Set(hosts),
    internet: hosts.length > 0 || addresses.some(isPublic),
    mdns: config.mdns && !isLocal
  }
}

/** What makes a swarm private comes together or not at all: names, members, and with them alone a pre-shared key. */
function assertPrivacy(config: SwarmConfig, hasMembers: boolean): void {
  const { names, psks = [] } = config
  const isPrivate = names.kadProtocol !== PUBLIC_NAMES.kadProtocol
  if (isPrivate !== (names.mdnsTag !== PUBLIC_NAMES.mdnsTag)) {
    throw wrong(config, 'the names of its dht and of its service on the local network are not of one swarm')
  }
  if (isPrivate && !hasMembers) throw wrong(config, 'it has private names and lets in everybody')
  if (!isPrivate && hasMembers) throw wrong(config, 'it has members and goes by the public names')
  if (psks.length > 0 && !isPrivate) throw wrong(config, 'a pre-shared key would cut it off from the public swarm')
  if (psks.length > LIMITS.reach.psk.keys) throw wrong(config, 'it has too many pre-shared keys')
  // Attack: an all-zero key is what a buffer that nobody filled looks like.
  if (psks.some(key => key.length !== LIMITS.reach.psk.keyBytes || key.every(byte => byte === 0))) {
    throw wrong(config, `a pre-shared key has ${LIMITS.reach.psk.keyBytes} secret bytes`)
  }
  const [newest, old] = psks
  if (newest !== undefined && old !== undefined && equalBytes(newest, old)) {
    throw wrong(config, 'its two pre-shared keys are the same')
  }
}

function parseBootstrap(config: SwarmConfig, text: string): BootstrapPeer {
  const address = parseAddress(config, text)
  const parts = address.getComponents()
  const id = parts.findLast(({ name }) => name === 'p2p')?.value
  if (id === undefined) throw wrong(config, `the bootstrap address ${text} names no peer: add /p2p/<peer id>`)
  if (parts.some(({ value = '' }) => PUBLIC_BOOTSTRAP.has(value)) || text.includes('bootstrap.libp2p.io')) {
    throw wrong(config, `${text} belongs to the public ipfs network`)
  }
  if (parts.some(({ name }) => name === 'dnsaddr')) {
    throw wrong(config, `${text} lets the dns choose the peers: name one with /dns4/<host>/tcp/<port>/p2p/<peer id>`)
  }
  return { id, address }
}

function parseListen(config: SwarmConfig, text: string): Multiaddr {
  const address = parseAddress(config, text)
  const names = address.getComponents().map(({ name }) => name)
  if (names.includes('tls') || names.includes('wss')) {
    throw wrong(config, `${text} needs a certificate: listen on /ws, and put a proxy with one before it`)
  }
  if (names.includes('p2p-circuit')) {
    throw wrong(config, `${text} is no address to listen on: places at relays are kept without being told to`)
  }
  return address
}

function parseAddress(config: SwarmConfig, text: string): Multiaddr {
  try {
    return multiaddr(text)
  } catch (cause) {
    throw new RegistryError('USAGE', `swarm ${config.name}: ${JSON.stringify(text)} is not a multiaddr`, {
      cause,
      next: 'write it like /ip4/127.0.0.1/tcp/4101'
    })
  }
}

function isPublic(address: Multiaddr): boolean {
  const ip = firstIpOf(address)
  return needsDns(address) || (ip !== undefined && !isPrivateIp(ip))
}

function wrong(config: SwarmConfig, message: string): RegistryError {
  return new RegistryError('USAGE', `swarm ${config.name}: ${message}`)
}
