import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { NO_HTTP } from '../../node/config.ts'
import { utf8 } from '../../protocol/bytes.ts'
import type { RegistryId } from '../../protocol/cid.ts'
import type { Principal } from '../../protocol/did.ts'
import { parsePrincipal } from '../../protocol/did.ts'
import { parseDomain, questionOf } from '../../protocol/publisher/domain.ts'
import { txtOf } from '../../protocol/publisher/txt.ts'
import { dnsServer } from '../support/dns-server.ts'
import type { TestDnsServer } from '../support/dns-server.ts'
import { person } from '../support/facts.ts'
import { packageFolder } from '../support/package-folder.ts'
import { refusal } from '../support/project.ts'
import { runningNode } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { tempDir } from '../support/temp-dir.ts'

const HOLE = JSON.stringify({
  id: 'OSV-2026-1',
  modified: '2026-01-31T12:00:00Z',
  affected: [{ package: { ecosystem: 'ggen', name: 'lib' }, versions: ['99.0.0'] }]
})
const stranger = person('somebody else').did
const name = (domain: string): string => questionOf(parseDomain(domain))

let dns: TestDnsServer
let node: TestRunningNode
let key: Principal
let main: RegistryId

beforeAll(async () => {
  dns = await dnsServer()
  node = await runningNode({
    config: { http: NO_HTTP, dns: { lookups: true, private: false, servers: [dns.address] } }
  })
  key = parsePrincipal(node.key)
  main = await node.found('curated')
  await node.call('publish', { folder: await packageFolder({ name: 'lib' }) })
})
afterAll(async () => {
  await node.stop()
  await dns.close()
})
beforeEach(() => {
  dns.zone.clear()
  dns.asked.length = 0
})

const names = (domain: string, ...keys: readonly Principal[]): unknown =>
  dns.zone.set(
    name(domain),
    keys.map(one => [txtOf(one)])
  )

const verified = async (what?: string): Promise<readonly (readonly [string, string])[]> => {
  const { bindings } = await node.call('publisherVerify', what === undefined ? {} : { what })
  return bindings.map(({ domain, standing }) => [domain, standing] as const)
}

describe('a publisher', () => {
  test('is verified when the key claims the domain and the domain names the key', async () => {
    const claimed = await node.call('publisherClaim', { domain: 'example.org' })
    expect(claimed).toMatchObject({ isNew: true, alias: 'main', record: { name: '_ggen-node.example.org' } })
    expect(await node.call('publisherClaim', { domain: 'example.org' })).toMatchObject({ isNew: false })
    // Nobody has asked yet, and then: no such record; the key of somebody else; this one beside another.
    expect((await node.call('publisherList', {})).map(({ standing }) => standing)).toEqual(['unasked'])
    expect(await verified()).toEqual([['example.org', 'refused']])
    names('example.org', stranger)
    expect(await verified()).toEqual([['example.org', 'refused']])
    dns.zone.set(claimed.record.name, [['v=spf1 -all'], [txtOf(stranger)], [claimed.record.text]])
    expect(await verified()).toEqual([['example.org', 'verified']])
    expect(await node.call('publisherVerify', { what: 'example.org' })).toMatchObject({
      bindings: [{ key, standing: 'verified', registry: main }],
      unclaimed: [stranger]
    })
  })

  test('is shown and judged by the domain, and asked for it no second time', async () => {
    names('example.org', key)
    await verified()
    dns.asked.length = 0
    expect((await node.call('show', { reference: 'lib' })).publishers).toMatchObject([{ key, domain: 'example.org' }])
    await node.call('attest', { reference: 'lib', type: 'star' })
    const { attestations } = await node.call('attestations', { reference: 'lib' })
    expect(attestations).toMatchObject([{ issuer: key, domain: 'example.org' }])
    expect((await node.call('verifyRelease', { reference: 'lib' })).publishers).toMatchObject([
      { key, domain: 'example.org', age: 'fresh' }
    ])
    const folder = await tempDir('advisory')
    await writeFile(join(folder, 'hole.json'), HOLE)
    await node.call('advisoryAdd', { path: folder })
    expect(await node.call('advisoryList', { reference: 'lib' })).toMatchObject({
      advisories: [{ by: key }],
      publishers: [{ key, domain: 'example.org' }]
    })
    expect(await node.call('search', { query: 'lib', limit: 1 })).toMatchObject([
      { publisher: { domain: 'example.org' } }
    ])
    await node.call('edit', { reference: 'lib', edits: [{ op: 'put', path: ['title'], value: 'A lib' }] })
    await node.call('announce', { text: 'rules' })
    await node.call('trustAdd', { what: key, purpose: 'reviews' })
    expect(await node.call('trustList', {})).toMatchObject([{ who: key, publisher: { domain: 'example.org' } }])
    const named = { publishers: [{ key, domain: 'example.org' }] }
    expect(await node.call('history', { reference: 'lib', limit: 1 })).toMatchObject(named)
    expect(await node.call('announceList', {})).toMatchObject(named)
    expect(await node.call('roleList', {})).toMatchObject(named)
    expect(await node.call('registryShow', {})).toMatchObject(named)
    const project = await tempDir('project')
    const explained = await node.call('policyExplain', { reference: 'lib', project })
    expect(explained.verdict).toBe('allow')
    expect(await node.parts.publishers.domainOf(key)).toMatchObject({ domain: 'example.org', age: 'fresh' })
    expect(await node.call('install', { project, references: ['lib'] })).toMatchObject({
      installed: [{ author: key }],
      ...named
    })
    expect(dns.asked).toEqual([])
  })

  test('may have two domains, each for itself', async () => {
    await node.call('publisherClaim', { domain: 'another.example.org' })
    names('example.org', key)
    expect(await verified()).toEqual([
      ['another.example.org', 'refused'],
      ['example.org', 'verified']
    ])
    names('another.example.org', key)
    expect((await verified()).map(([, standing]) => standing)).toEqual(['verified', 'verified'])
  })

  test('whose record is taken away is none any more, and one whose server fails is what he was', async () => {
    names('example.org', key)
    names('another.example.org', key)
    await verified()
    dns.zone.delete(name('example.org'))
    dns.zone.set(name('another.example.org'), 'failing')
    const { bindings } = await node.call('publisherVerify', {})
    expect(bindings).toMatchObject([
      { domain: 'another.example.org', standing: 'verified', fault: 'no-answer' },
      { domain: 'example.org', standing: 'refused', fault: null }
    ])
  })

  test('a domain that answers to nobody is told so, and what is no domain is not asked', async () => {
    dns.zone.set(name('down.example.org'), 'failing')
    expect(await node.call('publisherVerify', { what: 'down.example.org' })).toMatchObject({
      bindings: [],
      fault: 'no-answer'
    })
    dns.asked.length = 0
    for (const what of ['localhost', '192.0.2.1', 'EXAMPLE.org', 'exаmple.org'])
      expect(await refusal(node.call('publisherVerify', { what }))).toMatchObject({ code: 'USAGE' })
    expect(await refusal(node.call('publisherClaim', { domain: 'co.uk' }))).toMatchObject({ code: 'USAGE' })
    expect(dns.asked).toEqual([])
  })

  test('a statement about a release says nothing of who signed it', async () => {
    const predicate = `${await tempDir('predicate')}/domain.json`
    const { writeFile } = await import('node:fs/promises')
    await writeFile(predicate, utf8('{"domain":"victim.example.org"}'))
    await node.call('attest', { reference: 'lib', type: 'domain', predicate })
    expect((await verified()).map(([domain]) => domain)).not.toContain('victim.example.org')
  })
})

describe('a private registry', () => {
  test('has nobody asked about its keys, nor about what they claim in it', async () => {
    const { registry: id } = await node.call('swarmCreate', { name: 'secret', listen: ['/ip4/127.0.0.1/tcp/0'] })
    await node.call('publish', { folder: await packageFolder({ name: 'hidden' }), registry: 'secret' })
    await node.call('publisherClaim', { domain: 'secret.example.org', registry: 'secret' })
    names('secret.example.org', key)
    await node.call('show', { reference: 'secret:hidden' })
    const project = await tempDir('project')
    await node.call('install', { project, references: ['secret:hidden'] })
    await node.parts.publishers.refresh([{ registry: id, key }], new AbortController().signal)
    await node.parts.publishers.refresh([{ registry: main, key }], new AbortController().signal)
    expect(dns.asked).not.toContain(name('secret.example.org'))
  })
})
