import { LIMITS } from '../../protocol/limits.ts'
import { PUBLIC_NAMES } from '../../protocol/membership/names.ts'
import dns from 'node:dns'
import { Resolver } from 'node:dns/promises'
import { Socket } from 'node:net'
import { afterEach, expect, test, vi } from 'vitest'
import { multiaddr } from '@multiformats/multiaddr'
import { isPrivateIp, subnetOf } from '../../node/p2p/address.ts'
import { assertConfig } from '../../node/p2p/assertions.ts'
import { Bans } from '../../node/p2p/bans.ts'
import type { SwarmConfig } from '../../node/p2p/components.ts'
import { connectionGater } from '../../node/p2p/gater.ts'
import type { GaterComponents } from '../../node/p2p/gater.ts'
import { SocketMeter } from '../../node/p2p/meter.ts'
import { tuningOf } from '../../node/p2p/tuning.ts'
import { FactMaker, realClock, registryNamed, stopNodes, testNode } from '../support/swarm-node.ts'

afterEach(async () => {
  await stopNodes()
  vi.restoreAllMocks()
})

const PEER = '12D3KooWM3svask5a9trGkL74PNuvpEQPrMBMYkgSXyTN8bLj9vY'
const RELAY = '12D3KooWGRUVh2vPMGeGhkUKNXoFqPrtUXVQ3vQbdyHyTxmAeYGv'

const config: SwarmConfig = {
  name: 'test',
  listen: ['/ip4/127.0.0.1/tcp/0'],
  bootstrap: [],
  mdns: false,
  relay: false,
  names: PUBLIC_NAMES,
  allowPeers: [],
  agent: 'test',
  roles: []
}

test.each([
  ['the public dht', { names: { ...PUBLIC_NAMES, kadProtocol: '/ipfs/kad/1.0.0' } }],
  ['a dht without a name', { names: { ...PUBLIC_NAMES, kadProtocol: '' } }],
  [
    'a public bootstrap peer',
    { bootstrap: ['/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ'] }
  ],
  ['peers that the dns chooses', { bootstrap: [`/dnsaddr/example.org/p2p/${PEER}`] }],
  ['a bootstrap address without a peer', { bootstrap: ['/ip4/127.0.0.1/tcp/4001'] }],
  ['what is no address', { listen: ['127.0.0.1:4001'] }]
])('refuses a configuration with %s', (_, change) => {
  expect(() => assertConfig({ ...config, ...change }, {})).toThrow(expect.objectContaining({ code: 'USAGE' }))
})

test('a swarm is of the internet as soon as one of its addresses is', () => {
  const internet = (change: Partial<SwarmConfig>) => assertConfig({ ...config, ...change }, {}).internet
  expect(internet({})).toBe(false)
  expect(internet({ listen: ['/ip4/0.0.0.0/tcp/4001'], bootstrap: [`/ip4/10.1.2.3/tcp/1/p2p/${PEER}`] })).toBe(false)
  expect(internet({ bootstrap: [`/ip4/8.8.8.8/tcp/1/p2p/${PEER}`] })).toBe(true)
  expect(internet({ bootstrap: [`/dns4/example.org/tcp/1/p2p/${PEER}`] })).toBe(true)
})

test('three nodes at work open sockets to loopback only and ask the dns nothing', async () => {
  const hosts: unknown[] = []
  // oxlint-disable-next-line typescript/unbound-method -- put back by vi, called with its own `this`
  const connect = Socket.prototype.connect
  vi.spyOn(Socket.prototype, 'connect').mockImplementation(function (this: Socket, ...args: unknown[]) {
    const [first] = args.flat()
    if (typeof first === 'object' && first !== null && 'host' in first) hosts.push(first.host)
    return Reflect.apply(connect, this, args) as Socket
  })
  const lookup = vi.spyOn(dns, 'lookup')
  const resolveTxt = vi.spyOn(Resolver.prototype, 'resolveTxt')
  const registry = registryNamed('acme')
  const registries = [registry]
  const [a, b, c] = [await testNode({ registries }), await testNode({ registries }), await testNode({ registries })]
  a.facts.addAll(registry, new FactMaker(registry).many(3))
  await b.swarm.connect(a.address())
  await c.swarm.connect(b.address())
  await c.facts.until(registry, 3)
  await c.swarm.libp2p.peerStore.merge(a.swarm.libp2p.peerId, {
    multiaddrs: [multiaddr('/dns4/example.invalid/tcp/1')]
  })
  await expect(c.swarm.connect(`/dns4/example.invalid/tcp/1/p2p/${PEER}`)).rejects.toMatchObject({
    code: 'PEER_UNREACHABLE'
  })
  await expect(c.swarm.connect(`/dnsaddr/example.invalid/p2p/${PEER}`)).rejects.toMatchObject({
    code: 'PEER_UNREACHABLE'
  })
  expect(resolveTxt).not.toHaveBeenCalled()
  expect(hosts.length).toBeGreaterThan(1)
  expect(new Set(hosts)).toEqual(new Set(['127.0.0.1']))
  expect(lookup.mock.calls.map(([name]) => name).filter(name => name !== '127.0.0.1')).toEqual([])
})

test('a stopped node leaves no socket, server or timer behind', async () => {
  const registry = registryNamed('acme')
  const before = process.getActiveResourcesInfo().filter(isOurs).length
  const [a, b] = [await testNode({ registries: [registry] }), await testNode({ registries: [registry] })]
  await b.swarm.connect(a.address())
  await b.events.next('onReconciled')
  await b.stop()
  await a.stop()
  await expect.poll(() => process.getActiveResourcesInfo().filter(isOurs).length).toBeLessThanOrEqual(before)
})

function isOurs(resource: string): boolean {
  return /TCP/.test(resource)
}

test('limits by address: eight of one address, sixteen of one subnet, allow-listed peers and other places still get in', () => {
  const { gater, connection } = makeGater()
  const enter = (ip: string, peer = 'stranger') =>
    gater.denyInboundEncryptedConnection?.(peerNamed(peer), connection(ip)) === false
  expect(Array.from({ length: 10 }, () => enter('8.8.8.8')).filter(Boolean).length).toBe(8)
  expect(Array.from({ length: 10 }, () => enter('8.8.8.9')).filter(Boolean).length).toBe(8)
  expect(enter('8.8.8.10')).toBe(false)
  expect(enter('8.8.8.8', 'friend')).toBe(true)
  expect(enter('9.9.9.9')).toBe(true)
  expect(Array.from({ length: 30 }, () => enter('10.0.0.1')).every(Boolean)).toBe(true)
})

test('five connections a second from a public address, many more from a private one', () => {
  const { gater, connection } = makeGater()
  const allowed = (ip: string, tries: number) =>
    Array.from({ length: tries }, () => {
      const one = connection(ip)
      const isAllowed = gater.denyInboundConnection?.(one) === false
      // Gone before the next one comes: those that stay have a bound of their own.
      one.hangUp()
      return isAllowed
    }).filter(Boolean).length
  expect(allowed('8.8.8.8', 20)).toBe(5)
  expect(allowed('192.168.1.1', 100)).toBe(100)
})

test('a closed connection makes room', () => {
  const { gater, connection } = makeGater({ inbound: 1 })
  const first = connection('8.8.8.8')
  expect(gater.denyInboundEncryptedConnection?.(peerNamed('a'), first)).toBe(false)
  expect(gater.denyInboundEncryptedConnection?.(peerNamed('b'), connection('9.9.9.9'))).toBe(true)
  first.hangUp()
  expect(gater.denyInboundEncryptedConnection?.(peerNamed('b'), connection('9.9.9.9'))).toBe(false)
})

test('those that come through one relay share its rate and its room, and not its address', () => {
  const { gater, connection, through } = makeGater()
  const { inboundPerRelay, inboundPerRelayPerSecond } = LIMITS.reach.relay
  for (let i = 0; i < inboundPerRelayPerSecond; i++) expect(gater.denyInboundConnection(through(RELAY))).toBe(false)
  expect(gater.denyInboundConnection(through(RELAY))).toBe(true)
  expect(gater.denyInboundConnection(through(PEER))).toBe(false)
  // The relay's own address is as free as before.
  expect(gater.denyInboundConnection(connection('9.9.9.9'))).toBe(false)
  const held = Array.from({ length: inboundPerRelay }, () => through(RELAY))
  for (const [i, each] of held.entries())
    expect(gater.denyInboundEncryptedConnection(peerNamed(`${i}`), each)).toBe(false)
  expect(gater.denyInboundEncryptedConnection(peerNamed('late'), through(RELAY))).toBe(true)
  held[0]?.hangUp()
  expect(gater.denyInboundEncryptedConnection(peerNamed('late'), through(RELAY))).toBe(false)
})

test('who is kept out gets no place at a relay, nobody through it, and in through none', () => {
  const { gater, bans } = makeGater()
  const [bad, good] = [peerNamed('bad'), peerNamed('good')]
  bans.ban('bad', 1_000)
  expect([bad, good].map(peer => gater.denyInboundRelayReservation(peer))).toEqual([true, false])
  const pairs = [
    [bad, good],
    [good, bad],
    [good, good]
  ] as const
  expect(pairs.map(([from, to]) => gater.denyOutboundRelayedConnection(from, to))).toEqual([true, true, false])
  expect(pairs.map(([relay, from]) => gater.denyInboundRelayedConnection(relay, from))).toEqual([true, true, false])
})

test.each([
  ['127.0.0.1', true],
  ['10.1.2.3', true],
  ['172.32.0.1', false],
  ['192.168.0.9', true],
  ['8.8.8.8', false],
  ['::1', true],
  ['::ffff:10.0.0.1', true],
  ['::ffff:8.8.8.8', false],
  ['fd00::1', true],
  ['2001:db8::1', false]
])('%s is private: %s', (ip, expected) => {
  expect(isPrivateIp(ip)).toBe(expected)
})

test('subnets are /24 and /48, in one spelling', () => {
  expect(subnetOf('1.2.3.4')).toBe('1.2.3')
  expect(subnetOf('2001:db8:1:2::9')).toBe('2001:db8:1')
  expect(subnetOf('2001:0db8::9')).toBe('2001:db8:0')
})

type Gater = Required<
  Pick<
    ReturnType<typeof connectionGater>,
    | 'denyInboundConnection'
    | 'denyInboundEncryptedConnection'
    | 'denyInboundRelayReservation'
    | 'denyInboundRelayedConnection'
    | 'denyOutboundRelayedConnection'
  >
>
type Raw = Parameters<Gater['denyInboundConnection']>[0]

/** The gater sees an address and a close event; that is all that stands in for a connection here. */
function makeGater(tuning: Parameters<typeof tuningOf>[0] = {}) {
  const bans = new Bans()
  const components: GaterComponents = {
    bans,
    meter: new SocketMeter(),
    clock: { ...realClock, now: () => 1_000 },
    tuning: tuningOf(tuning),
    allowPeers: new Set(['friend']),
    allowHosts: new Set(),
    onReached: () => {}
  }
  const made = (address: string) => {
    const events = new EventTarget()
    const remoteAddr = multiaddr(address)
    return Object.assign(events as unknown as Raw, {
      remoteAddr,
      hangUp: () => void events.dispatchEvent(new Event('close'))
    })
  }
  const connection = (ip: string) => made(ip.includes(':') ? `/ip6/${ip}/tcp/1` : `/ip4/${ip}/tcp/1`)
  const through = (relay: string) => made(`/ip4/9.9.9.9/tcp/1/p2p/${relay}/p2p-circuit/p2p/${PEER}`)
  return { gater: connectionGater(components) as Gater, bans, connection, through }
}

function peerNamed(name: string): Parameters<Gater['denyInboundEncryptedConnection']>[0] {
  return { toString: () => name } as Parameters<Gater['denyInboundEncryptedConnection']>[0]
}
