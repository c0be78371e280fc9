import { multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import { RegistryError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { ipOf, isPrivateIp, needsDns } from './address.ts'
import type { SwarmConfig } from './components.ts'

/** The addresses of a configuration that has been looked through. */
export interface CheckedConfig {
  readonly listen: readonly Multiaddr[]
  readonly bootstrap: readonly BootstrapPeer[]
  /** Names that the operator wrote down: the only ones that the DNS may be asked for. */
  readonly hosts: ReadonlySet<string>
  /** Does this swarm reach beyond its machine or site? Then private addresses are not passed around in the DHT. */
  readonly internet: boolean
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
export function assertConfig(config: SwarmConfig): CheckedConfig {
  // The public DHT's name, or anybody else's, would put our records into a table that strangers read.
  if (!/^\/ggen\/[!-~]{1,128}\/\d+\.\d+\.\d+$/.test(config.names.kadProtocol)) {
    throw wrong(
      config,
      `the dht needs a name of its own, /ggen/…/1.0.0, not ${JSON.stringify(config.names.kadProtocol)}`
    )
  }
  if (config.bootstrap.length > LIMITS.peers.bootstrap) throw wrong(config, 'too many bootstrap addresses')
  const bootstrap = config.bootstrap.map(text => parseBootstrap(config, text))
  const listen = config.listen.map(text => parseAddress(config, text))
  const hosts = bootstrap.flatMap(({ address }) =>
    address.getComponents().flatMap(({ name, value }) => (name.startsWith('dns') && value !== undefined ? [value] : []))
  )
  const addresses = [...listen, ...bootstrap.map(({ address }) => address)]
  return { listen, bootstrap, hosts: new Set(hosts), internet: hosts.length > 0 || addresses.some(isPublic) }
}

function parseBootstrap(config: SwarmConfig, text: string): BootstrapPeer {
  const address = parseAddress(config, text)
  const parts = address.getComponents()
  const id = parts.findLast(({ name }) => name === 'p2p')?.value
  if (id === undefined) throw wrong(config, `the bootstrap address ${text} names no peer: add /p2p/<peer id>`)
  if (PUBLIC_BOOTSTRAP.has(id) || text.includes('bootstrap.libp2p.io')) {
    throw wrong(config, `${text} belongs to the public ipfs network`)
  }
  if (parts.some(({ name }) => name === 'dnsaddr')) {
    throw wrong(config, `${text} lets the dns choose the peers: name one with /dns4/<host>/tcp/<port>/p2p/<peer id>`)
  }
  return { id, address }
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
  const ip = ipOf(address)
  return needsDns(address) || (ip !== undefined && !isPrivateIp(ip))
}

function wrong(config: SwarmConfig, message: string): RegistryError {
  return new RegistryError('USAGE', `swarm ${config.name}: ${message}`)
}
