import { randomBytes } from 'node:crypto'
import { contentRoutingSymbol, peerRoutingSymbol } from '@libp2p/interface'
import { afterEach, describe, expect, test } from 'vitest'
import { PUBLIC_NAMES, privateNames } from '../../protocol/membership/names.ts'
import { assertHost, assertProtocols } from '../../node/p2p/assert-host.ts'
import { assertConfig } from '../../node/p2p/assertions.ts'
import type { SwarmConfig } from '../../node/p2p/components.ts'
import type { Membership } from '../../node/p2p/membership.ts'
import { stopNodes, testNode } from '../support/swarm-node.ts'

afterEach(stopNodes)

const secret = (): Uint8Array => new Uint8Array(randomBytes(32))
const names = privateNames(secret())

/** Members, none of whom is here: enough to make a host, and to start it. */
const membership: Membership = {
  secrets: () => [{ epoch: 0, key: secret() }],
  proof: async () => ({ certificate: null, binding: null, evidence: [] }),
  isKnown: () => false,
  isBarred: () => false,
  judge: async () => ({ accepted: false, reason: 'not-a-member' }),
  stands: () => false,
  certify: async () => undefined,
  takeCertificate: async () => false,
  roster: () => [],
  takeRoster: async () => {},
  swarmKey: () => undefined,
  doubtsSecret: () => false,
  takeSwarmKey: async () => {},
  needsCertificate: () => false,
  onChange: () => () => {}
}

const config: SwarmConfig = {
  name: 'acme',
  listen: ['/ip4/127.0.0.1/tcp/0'],
  bootstrap: [],
  mdns: false,
  relay: false,
  names,
  psks: [secret()],
  allowPeers: [],
  agent: 'test',
  roles: []
}

describe('a configuration is refused when', () => {
  const key = secret()
  const cases: readonly (readonly [
    string,
    Partial<SwarmConfig>,
    Pick<{ membership: Membership }, never> | object,
    string
  ])[] = [
    ['private names come without members', {}, {}, 'lets in everybody'],
    [
      'members come with the public names',
      { names: PUBLIC_NAMES, psks: [] },
      { membership },
      'goes by the public names'
    ],
    [
      'only the dht is private',
      { names: { ...names, mdnsTag: PUBLIC_NAMES.mdnsTag } },
      { membership },
      'not of one swarm'
    ],
    [
      'the dht is the public one',
      { names: { ...names, kadProtocol: '/ipfs/kad/1.0.0' } },
      { membership },
      'a name of its own'
    ],
    ['the public swarm has a pre-shared key', { names: PUBLIC_NAMES }, {}, 'cut it off'],
    ['a pre-shared key is short', { psks: [key.slice(1)] }, { membership }, '32 secret bytes'],
    ['a pre-shared key is empty', { psks: [new Uint8Array(32)] }, { membership }, '32 secret bytes'],
    ['there are three pre-shared keys', { psks: [key, secret(), secret()] }, { membership }, 'too many'],
    ['two pre-shared keys are the same', { psks: [key, key] }, { membership }, 'are the same'],
    ['a public relay leads to a peer', { bootstrap: [throughPublicRelay()] }, { membership }, 'public ipfs network'],
    ['it would listen with a certificate', { listen: ['/ip4/127.0.0.1/tcp/0/tls/ws'] }, { membership }, 'a proxy'],
    ['it would listen at a relay of its choice', { listen: ['/p2p-circuit'] }, { membership }, 'without being told']
  ]
  test.each(cases)('%s', (_, change, components, says) => {
    expect(() => assertConfig({ ...config, ...change }, components)).toThrow(says)
  })

  test('and not when nothing is wrong with it', () => {
    expect(assertConfig(config, { membership }).internet).toBe(false)
  })
})

test('the local network is left alone by who listens on loopback only', () => {
  const looks = (listen: readonly string[]): boolean =>
    assertConfig({ ...config, mdns: true, listen }, { membership }).mdns
  expect(looks(['/ip4/127.0.0.1/tcp/0', '/ip6/::1/tcp/0'])).toBe(false)
  expect(looks(['/ip4/127.0.0.1/tcp/0', '/ip4/10.0.0.5/tcp/0'])).toBe(true)
  expect(looks([])).toBe(true)
})

describe('a host is refused when', () => {
  type Anything = Record<string | symbol, unknown>
  const made = async () => {
    const { libp2p } = (await testNode({ config, membership: () => membership, start: false })).swarm
    const components = Reflect.get(libp2p, 'components') as Anything
    return { libp2p, components, gater: components['connectionGater'] as object }
  }
  const withField = (owner: unknown, name: string, value: unknown): object =>
    Object.create(owner as object, { [name]: { value } }) as object
  /** The host with one of its parts replaced; the host itself stays as it is. */
  const withPart = (host: object, components: Anything, name: string, value: unknown): object =>
    withField(host, 'components', withField(components, name, value))

  const cases: readonly (readonly [string, string, (components: Anything, dht: object) => unknown, string])[] = [
    ['it has no connection protector', 'connectionProtector', () => undefined, 'has no connection protector'],
    ['its protector is not ours', 'connectionProtector', () => ({ protect: () => {} }), 'has no connection protector'],
    ['its gater is not ours', 'connectionGater', () => ({}), 'gater is not ours'],
    [
      'nothing waits for the introduction',
      'registrar',
      ({ registrar }) => withField(registrar, 'getMiddleware', () => []),
      'nothing waits'
    ],
    [
      'it speaks in the clear',
      'upgrader',
      ({ upgrader }) => withField(upgrader, 'connectionEncrypters', new Map([['/plaintext/2.0.0', {}]])),
      'noise alone'
    ],
    [
      'it has another transport',
      'transportManager',
      ({ transportManager }) => withField(transportManager, 'transports', new Map([['@libp2p/webrtc', {}]])),
      'somebody else'
    ],
    [
      'it has a delegated content router',
      'contentRouting',
      (_, dht) => ({ routers: [Reflect.get(dht, contentRoutingSymbol), {}] }),
      'content is looked for elsewhere'
    ],
    [
      'it has a delegated peer router',
      'peerRouting',
      (_, dht) => ({ routers: [Reflect.get(dht, peerRoutingSymbol), {}] }),
      'peers are looked for elsewhere'
    ]
  ]
  test.each(cases)('%s', async (_, name, value, says) => {
    const { libp2p, components, gater } = await made()
    const host = withPart(libp2p, components, name, value(components, libp2p.services.dht))
    expect(() => assertHost(host as typeof libp2p, { config, gater })).toThrow(says)
  })

  test('its dht goes by another name than it should, or it has a key that it was not given', async () => {
    const { libp2p, gater } = await made()
    expect(() => assertHost(libp2p, { config: { ...config, names: PUBLIC_NAMES }, gater })).toThrow('its own name')
    expect(() => assertHost(libp2p, { config: { ...config, psks: [] }, gater })).toThrow('was not given')
  })

  test('and not as it is made', async () => {
    const { libp2p, gater } = await made()
    expect(() => assertHost(libp2p, { config, gater })).not.toThrow()
  })

  test('LIBP2P_FORCE_PNET would have let it pass: the library makes a host without a protector', async () => {
    // What threats call F13: this is why nothing here relies on the variable.
    const { createLibp2p } = await import('libp2p')
    const before = process.env['LIBP2P_FORCE_PNET']
    process.env['LIBP2P_FORCE_PNET'] = '1'
    try {
      const host = await createLibp2p({ start: false })
      expect((Reflect.get(host, 'components') as Anything)['connectionProtector']).toBeUndefined()
    } finally {
      if (before === undefined) delete process.env['LIBP2P_FORCE_PNET']
      else process.env['LIBP2P_FORCE_PNET'] = before
    }
  })
})

describe('the protocols of a host that runs', () => {
  test('are those that are meant, of the public swarm, a private one and a relay', async () => {
    for (const change of [{ names: PUBLIC_NAMES }, { names: PUBLIC_NAMES, relay: true }, { names, psks: [secret()] }]) {
      const isPrivate = change.names === names
      const node = await testNode({ config: change, ...(isPrivate && { membership: () => membership }) })
      expect(node.swarm.libp2p.getProtocols()).toContain(change.names.kadProtocol)
    }
  })

  test.each([
    ['another dht', '/ggen/kad/1.0.0'],
    ['the dht of the internet', '/ipfs/kad/1.0.0'],
    ['a relay that nobody asked for', '/libp2p/circuit/relay/0.2.0/hop'],
    ['something that nobody knows', '/x/1']
  ])('may not be %s', (_, protocol) => {
    expect(() => assertProtocols([names.kadProtocol, '/ggen/hello/1', protocol], config)).toThrow(protocol)
  })
})

function throughPublicRelay(): string {
  const peer = '12D3KooWM3svask5a9trGkL74PNuvpEQPrMBMYkgSXyTN8bLj9vY'
  return `/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ/p2p-circuit/p2p/${peer}`
}
