import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { SETTINGS } from '../../node/config-schema.ts'
import { configOf, NO_FILE, parseConfig, parseConfigFile, resolveSettings } from '../../node/config.ts'
import { multiaddrFault, peerAddressFault } from '../../node/multiaddr-shape.ts'
import { RegistryError } from '../../protocol/errors.ts'
import { settingsTable, withSettingsTable } from '../support/settings-table.ts'
import { REPOSITORY } from '../support/shared.ts'

const PEER = '12D3KooWGRUVh2vPMGeGhkUKNXoFqPrtUXVQ3vQbdyHyTxmAeYGv'

function refusal(text: string): RegistryError {
  try {
    parseConfig(text)
  } catch (error) {
    if (error instanceof RegistryError) return error
    throw error
  }
  throw new Error('this must be refused, and was not')
}

describe('config.toml', () => {
  test('says everything that the table of settings knows', () => {
    const text = `keep = "all"
      leech = true
      upload = "20MB"
      download = "64KiB"
      log = "debug"
      gateways = ["https://gateway.example"]
      metrics.listen = "[::1]:9100"
      dns.lookups = false
      dns.private = true
      dns.servers = ["127.0.0.1:5353", "[::1]:53"]
      [gateway]
      listen = "127.0.0.1:8080"
      [swarm.public]
      listen = ["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/4917/ws"]
      bootstrap = ["/dns4/node.example/tcp/4917/p2p/${PEER}"]
      mdns = true
      relay = true
      allow_peers = ["${PEER}"]
      quota = "20 GiB"`
    expect(parseConfigFile(text).values.size).toBe(SETTINGS.length)
    expect(parseConfig(text)).toEqual({
      keep: 'all',
      dns: { lookups: false, private: true, servers: ['127.0.0.1:5353', '[::1]:53'] },
      leech: true,
      upload: 20_000_000,
      download: 65_536,
      logLevel: 'debug',
      http: { gateway: '127.0.0.1:8080', metrics: '[::1]:9100' },
      gateways: ['https://gateway.example'],
      swarms: [
        {
          name: 'public',
          listen: ['/ip4/127.0.0.1/tcp/0', '/ip6/::1/tcp/4917/ws'],
          bootstrap: [`/dns4/node.example/tcp/4917/p2p/${PEER}`],
          mdns: true,
          relay: true,
          allowPeers: [PEER],
          quotaBytes: 20 * 2 ** 30
        }
      ]
    })
  })

  test.each([
    ['kepe = "all"', 'USAGE', 'perhaps you meant keep'],
    ['listen = []', 'USAGE', 'perhaps you meant swarm.public.listen'],
    ['[swarm.public]\nbootsrap = []', 'USAGE', 'perhaps you meant swarm.public.bootstrap'],
    [
      'nothing_like_it = 1',
      'USAGE',
      'it knows keep, leech, upload, download, log, gateway, metrics, gateways, dns, swarm'
    ],
    ['keep = 1', 'USAGE', 'keep'],
    ['gateway = "127.0.0.1:1"', 'USAGE', 'write it as [gateway]'],
    ['[gateway]\nport = 1', 'USAGE', 'it knows gateway.listen'],
    ['[gateway]\nlisten = "8080"', 'USAGE', 'gateway.listen'],
    ['gateways = ["ftp://a.example"]', 'USAGE', 'gateways'],
    ['upload = "fast"', 'USAGE', 'upload'],
    ['upload = "1KB"', 'USAGE', 'upload'],
    ['download = 20000000', 'USAGE', 'download'],
    ['keep = "', 'INVALID_TOML', 'correct the file'],
    ['[swarm]\n"../x" = {}', 'USAGE', 'use a-z'],
    ['swarm = 3', 'USAGE', '[swarm.public]'],
    [`# ${'x'.repeat(300_000)}`, 'LIMIT_EXCEEDED', undefined],
    [Array.from({ length: 17 }, (_, i) => `[swarm.s${i}]`).join('\n'), 'LIMIT_EXCEEDED', undefined]
  ])('refuses %j', (text, code, next) => {
    const error = refusal(text)
    expect(error.code).toBe(code)
    if (next !== undefined) expect(error.next).toContain(next)
  })

  test.each([
    ['keep = "some"', 'keep must be one of all, none, not "some"'],
    ['[swarm.public]\nmdns = "yes"', 'swarm.public.mdns must be true or false, not "yes"'],
    ['[swarm.public]\nlisten = "/ip4/1.2.3.4/tcp/1"', 'swarm.public.listen must be a list'],
    ['[swarm.public]\nlisten = [3]', 'swarm.public.listen must be a list'],
    ['[swarm.public]\nlisten = [[]]', 'swarm.public.listen must be a list'],
    ['[swarm.public]\nquota = 3', 'swarm.public.quota must be a size'],
    ['[swarm.public]\nquota = "lots"', 'swarm.public.quota: "lots" cannot be used: it is no size'],
    ['[swarm.public]\nquota = "9999999999 TiB"', 'swarm.public.quota: "9999999999 TiB" cannot be used'],
    ['[swarm.public]\nquota = "1kB"', 'swarm.public.quota: "1kB" cannot be used: a quota has at least']
  ])('says what is wanted in place of %j', (text, message) => {
    expect(refusal(text).message).toContain(message)
  })

  test.each([
    ['[swarm.public]\nlisten = ["10.0.0.5:4917"]', 'does not begin with "/"'],
    ['[swarm.public]\nlisten = ["/ip4/10.0.0.256/tcp/1"]', 'no IPv4 address'],
    ['[swarm.public]\nlisten = ["/ip4/10.0.0.5/tcp/70000"]', 'no port'],
    ['[swarm.public]\nlisten = ["/ip4/10.0.0.5"]', 'no TCP port'],
    ['[swarm.public]\nlisten = ["/ip4/10.0.0.5/tcp"]', 'nothing stands behind /tcp'],
    ['[swarm.public]\nlisten = ["/constructor/x"]', 'is no protocol'],
    ['[swarm.public]\nbootstrap = ["/ip4/10.0.0.5/tcp/4917"]', 'add /p2p/<peer id>'],
    ['[swarm.public]\nbootstrap = ["/ip4/10.0.0.5/tcp/4917/p2p/me"]', 'no peer id'],
    ['[swarm.public]\nallow_peers = ["me"]', 'it is no peer id']
  ])('says what is wrong in %j', (text, message) => {
    const error = refusal(text)
    expect(error.code).toBe('USAGE')
    expect(error.message).toContain(message)
  })
})

describe('addresses by their shape', () => {
  test.each([
    '/ip4/127.0.0.1/tcp/0',
    '/ip6/::1/tcp/4917',
    '/ip6zone/eth0/ip6/fe80::1/tcp/1',
    '/dns/node.example/tcp/443/tls/ws',
    `/ip4/10.0.0.5/tcp/4917/p2p/${PEER}/p2p-circuit`
  ])('%s can be one', text => expect(multiaddrFault(text)).toBeUndefined())

  test('a peer behind a relay is the last one named', () => {
    expect(peerAddressFault(`/ip4/1.2.3.4/tcp/1/p2p/${PEER}/p2p-circuit/p2p/${PEER}`)).toBeUndefined()
    expect(peerAddressFault(`/ip4/1.2.3.4/tcp/1/p2p/${PEER}/p2p-circuit`)).toContain('add /p2p/')
  })
})

describe('precedence', () => {
  const file = parseConfigFile('keep = "all"\nlog = "info"\n[swarm.public]\nmdns = true')
  const of = (key: string, flags = {}, variables: Readonly<Record<string, string>> = {}) =>
    withEnvironment(variables, () => {
      const { value, from } = resolveSettings(file, { flags, env: true }).find(found => found.key === key) ?? {}
      return { value, from }
    })

  test('an option beats a variable beats the file beats the default', () => {
    expect(of('swarm.public.listen')).toEqual({ value: ['/ip4/0.0.0.0/tcp/4917'], from: 'default' })
    expect(of('keep')).toEqual({ value: 'all', from: 'file' })
    expect(of('keep', {}, { GGEN_NODE_KEEP: 'none' })).toEqual({ value: 'none', from: 'environment' })
    expect(of('log', { log: 'error' }, { GGEN_NODE_LOG: 'debug' })).toEqual({ value: 'error', from: 'flag' })
    expect(of('swarm.public.mdns', { mdns: false })).toEqual({ value: false, from: 'flag' })
  })

  test('every setting has a variable that is heard', () => {
    const texts: Readonly<Record<string, string>> = {
      keep: 'all',
      leech: '1',
      upload: '20MB',
      download: 'none',
      log: 'error',
      listen: '/ip4/127.0.0.1/tcp/0, /ip4/127.0.0.1/tcp/1',
      bootstrap: `/ip4/1.2.3.4/tcp/1/p2p/${PEER}`,
      mdns: '0',
      relay: 'true',
      allow_peers: PEER,
      quota: '5GB',
      'gateway.listen': '127.0.0.1:0',
      'metrics.listen': '127.0.0.1:0',
      gateways: 'https://gateway.example',
      'dns.lookups': 'false',
      'dns.private': 'true',
      'dns.servers': '127.0.0.1:5353'
    }
    const variables = Object.fromEntries(SETTINGS.map(({ env, key }) => [env, texts[key] ?? '']))
    const found = withEnvironment(variables, () => resolveSettings(NO_FILE, { env: true }))
    expect(found.map(({ from }) => from)).toEqual(SETTINGS.map(() => 'environment'))
    expect(configOf(found).swarms[0]?.listen).toEqual(['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/1'])
  })

  test('a variable that cannot be used is named', () => {
    expect(() => of('keep', {}, { GGEN_NODE_KEEP: 'some' })).toThrow('$GGEN_NODE_KEEP must be one of all, none')
  })

  test('an empty variable is none, and an embedding program hears of none', () => {
    expect(of('keep', {}, { GGEN_NODE_KEEP: '' })).toMatchObject({ from: 'file' })
    const found = withEnvironment({ GGEN_NODE_KEEP: 'none' }, () => resolveSettings(file))
    expect(found.find(({ key }) => key === 'keep')).toMatchObject({ value: 'all', from: 'file' })
  })

  test('variables and options speak of the first swarm only', () => {
    const two = parseConfigFile('[swarm.public]\n[swarm.office]\nmdns = false')
    const found = configOf(resolveSettings(two, { flags: { mdns: true } }))
    expect(found.swarms.map(({ name, mdns }) => [name, mdns])).toEqual([
      ['public', true],
      ['office', false]
    ])
  })
})

describe('the local network', () => {
  test('is looked at by private swarms unless told otherwise, and by the public one only when told', () => {
    const looks = (text: string) => configOf(resolveSettings(parseConfigFile(text))).swarms.map(({ mdns }) => mdns)
    expect(looks('[swarm.public]\n[swarm.acme]')).toEqual([false, true])
    expect(looks('[swarm.public]\nmdns = true\n[swarm.acme]\nmdns = false')).toEqual([true, false])
  })
})

describe('the documentation', () => {
  test('has the table of settings as the program has it', async () => {
    const document = await readFile(join(REPOSITORY, 'docs', 'configuration.md'), 'utf8')
    expect(document).toContain(settingsTable())
    expect(withSettingsTable(document)).toBe(document)
  })

  test('shows an example that is accepted', async () => {
    const document = await readFile(join(REPOSITORY, 'docs', 'configuration.md'), 'utf8')
    const [, example = 'no = "example"'] = /```toml\n(.*?)```/s.exec(document) ?? []
    expect(parseConfig(example)).toMatchObject({ keep: 'all', logLevel: 'info' })
  })
})

/** Variables belong to the process of this test file; what was there comes back. */
function withEnvironment<T>(variables: Readonly<Record<string, string>>, run: () => T): T {
  const before = new Map(Object.keys(variables).map(name => [name, process.env[name]]))
  Object.assign(process.env, variables)
  try {
    return run()
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
}
