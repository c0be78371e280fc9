import { contentRoutingSymbol, peerRoutingSymbol } from '@libp2p/interface'
import type { ConnectionGater } from '@libp2p/interface'
import { RegistryError } from '../../protocol/errors.ts'
import { HELLO_PROTOCOL } from '../../protocol/hello.ts'
import type { SwarmConfig } from './components.ts'
import { PskProtector } from './protector.ts'

/** What the host was meant to be made of. */
export interface Intended {
  readonly config: SwarmConfig
  readonly gater: ConnectionGater
}

const TRANSPORTS = ['@ggen/websockets', '@libp2p/circuit-relay-v2-transport', '@libp2p/tcp']
const ENCRYPTERS = ['/noise']

/** Protocols of the libraries that a host may answer to, besides its DHT and what begins with `/ggen/`. */
const OF_LIBRARIES = [
  /^\/ipfs\/bitswap(?:\/1\.[012]\.0)?$/,
  /^\/ipfs\/id\/1\.0\.0$/,
  /^\/ipfs\/id\/push\/1\.0\.0$/,
  /^\/ipfs\/ping\/1\.0\.0$/,
  /^\/meshsub\/1\.[0-9]+\.0$/,
  /^\/libp2p\/circuit\/relay\/0\.2\.0\/stop$/,
  /^\/libp2p\/dcutr$/
]
const HOP = '/libp2p/circuit/relay/0.2.0/hop'

/**
 * Looks at a host that was created, and not at what it was created from. libp2p takes options that it does not know, or
 * that are undefined, without a word: with a misspelt `connectionProtector`, and with `LIBP2P_FORCE_PNET` set, it makes a
 * host without a protector. Nothing here trusts that an option was heeded.
 * @throws RegistryError INTERNAL for the first thing that is not as it must be
 */
export function assertHost(host: { readonly services: { readonly dht: object } }, { config, gater }: Intended): void {
  const parts = part(host, 'components')
  const must = (holds: boolean, what: string): void => {
    if (!holds) throw new RegistryError('INTERNAL', `swarm ${config.name} does not start: ${what}`)
  }

  // Attack: without the outer wall, who has no key gets as far as the handshake.
  const isWalled = part(parts, 'connectionProtector') instanceof PskProtector
  must(
    isWalled === (config.psks ?? []).length > 0,
    isWalled ? 'it has a key that it was not given' : 'it has no connection protector'
  )

  // Attack: who is banned or expelled, or floods, is kept out by the gater alone.
  must(part(parts, 'connectionGater') === gater, 'its connection gater is not ours')

  // Attack: before the introduction is accepted, no stream may reach a handler.
  must(middlewares(part(parts, 'registrar')) > 0, 'nothing waits for the introduction')

  const upgrader = part(parts, 'upgrader')
  must(same(keysOf(part(upgrader, 'connectionEncrypters')), ENCRYPTERS), 'connections are not encrypted by noise alone')
  must(
    same(keysOf(part(part(parts, 'transportManager'), 'transports')), TRANSPORTS),
    'it has a transport of somebody else'
  )

  // Attack: a delegated router, or a second DHT, is told what is looked for here.
  const { dht } = host.services
  must(
    isOnly(part(part(parts, 'contentRouting'), 'routers'), part(dht, contentRoutingSymbol)),
    'content is looked for elsewhere'
  )
  must(
    isOnly(part(part(parts, 'peerRouting'), 'routers'), part(dht, peerRoutingSymbol)),
    'peers are looked for elsewhere'
  )
  must(part(dht, 'protocol') === config.names.kadProtocol, 'its dht does not go by its own name')
}

/**
 * Looks at the protocols of a host that runs: handlers are registered by whoever starts, so only now all are known.
 * @throws RegistryError INTERNAL
 */
export function assertProtocols(protocols: readonly string[], config: SwarmConfig): void {
  const stranger = protocols.find(protocol => !isExpected(protocol, config))
  if (stranger === undefined) return
  throw new RegistryError('INTERNAL', `swarm ${config.name} does not start: it answers to ${stranger}`)
}

function isExpected(protocol: string, { names, relay }: SwarmConfig): boolean {
  if (protocol === names.kadProtocol) return true
  if (protocol === HOP) return relay
  if (protocol.startsWith('/ggen/')) return !protocol.includes('kad')
  return OF_LIBRARIES.some(pattern => pattern.test(protocol))
}

function middlewares(registrar: unknown): number {
  const get = part(registrar, 'getMiddleware')
  if (typeof get !== 'function') return 0
  const of = (protocol: string): unknown => Reflect.apply(get, registrar, [protocol])
  const [hello, other] = [of(HELLO_PROTOCOL), of('/any/other/1')]
  return Array.isArray(hello) && hello.length === 0 && Array.isArray(other) ? other.length : 0
}

/** A field of something that the library's types do not show; undefined where an update has moved it, which then fails. */
function part(owner: unknown, name: string | symbol): unknown {
  return typeof owner === 'object' && owner !== null ? Reflect.get(owner, name) : undefined
}

function keysOf(value: unknown): readonly string[] {
  return value instanceof Map ? [...value.keys()].map(String).toSorted() : []
}

function same(found: readonly string[], wanted: readonly string[]): boolean {
  return found.length === wanted.length && wanted.every(each => found.includes(each))
}

function isOnly(list: unknown, wanted: unknown): boolean {
  return Array.isArray(list) && wanted !== undefined && list.length === 1 && list[0] === wanted
}
