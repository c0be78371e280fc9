import { createHash } from 'node:crypto'
import { chmod, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RegistryId } from '../../protocol/cid.ts'
import { httpGet } from '../support/http-get.ts'
import { packageFolder } from '../support/package-folder.ts'
import { join as followIt, runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'
import { tempDir } from '../support/temp-dir.ts'

let node: TestRunningNode
let at: string
let registry: RegistryId
let secret: string

beforeAll(async () => {
  node = await runningNode({ config: { http: { gateway: '127.0.0.1:0', metrics: '127.0.0.1:0' } } })
  at = node.parts.gateway.listening.find(({ serves }) => serves.includes('gateway'))?.address ?? ''
  registry = (await node.call('swarmCreate', { name: 'acme' })).registry
  secret = (await node.call('publish', { folder: await packageFolder({ name: 'secret' }), registry })).cid
}, 180_000)

afterAll(stopRunningNodes)

const ask = (token?: string, query = 'format=car') =>
  httpGet(at, `/ipfs/${secret}?${query}`, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })

test('a private package is shown to nobody but the bearer of a token', async () => {
  expect(await ask()).toMatchObject({ status: 404 })
  const { token, member } = await node.call('gatewayToken', { renew: false })
  expect(member).toBe(node.key)
  const { status, headers, body } = await ask(token, 'format=raw')
  expect(status).toBe(200)
  expect(createHash('sha256').update(body).digest('hex')).toHaveLength(64)
  expect(headers['cache-control']).toBe('private, max-age=29030400, immutable')
  expect(headers.vary).toContain('Authorization')
  expect(await ask(token)).toMatchObject({ status: 200 })
  // It still shows what everybody may see, and it is no way round the rest.
  expect(
    await httpGet(at, '/ipfs/bafkqaaa?format=raw', { headers: { authorization: `Bearer ${token}` } })
  ).toMatchObject({ status: 200 })
})

test('a token is good for one member, for a while, as long as it is one', async () => {
  const { token } = await node.call('gatewayToken', { renew: false })
  const at = token.lastIndexOf('.')
  const flipped = `${token.slice(0, at - 1)}${token[at - 1] === '0' ? '1' : '0'}${token.slice(at)}`
  for (const wrong of [flipped, token.slice(0, -2), '', 'ggen1.a.b.c.d']) {
    expect(await ask(wrong)).toMatchObject({ status: 401 })
  }
  const stranger = 'did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK'
  await expect(node.call('gatewayToken', { member: stranger, renew: false })).rejects.toMatchObject({
    code: 'NOT_AUTHORIZED'
  })
  await expect(node.call('gatewayToken', { expires: '900d', renew: false })).rejects.toMatchObject({ code: 'USAGE' })
  const ended = node.parts.gateway.tokens
  const pass = { registry, member: stranger as never, expires: node.parts.clock.now() + 60_000 }
  // Somebody who was expelled: the MAC holds, the membership does not.
  expect(await ask(await ended.issue(pass, { renew: false }))).toMatchObject({ status: 401 })
  const past = await ended.issue({ ...pass, member: node.key as never, expires: 1_000_000 }, { renew: false })
  expect(await ask(past)).toMatchObject({ status: 401 })
})

test('who tries tokens one after the other is not listened to for a while, with a good one neither', async () => {
  const other = await runningNode({ config: { http: { gateway: '127.0.0.1:0', metrics: '' } } })
  const { registry: own } = await other.call('swarmCreate', { name: 'beta' })
  const { cid } = await other.call('publish', { folder: await packageFolder({ name: 'gamma' }), registry: own })
  const address = other.parts.gateway.listening[0]?.address ?? ''
  const { token } = await other.call('gatewayToken', { renew: false })
  const show = (bearer: string) =>
    httpGet(address, `/ipfs/${cid}?format=raw`, { headers: { authorization: `Bearer ${bearer}` } })
  expect(await show(token)).toMatchObject({ status: 200 })
  for (let i = 0; i < 12; i++) await show(`wrong${i}`)
  expect(await show(token)).toMatchObject({ status: 401 })
})

test('a new secret ends all tokens', async () => {
  const before = await node.call('gatewayToken', { renew: false })
  const after = await node.call('gatewayToken', { renew: true })
  expect(await ask(before.token)).toMatchObject({ status: 401 })
  expect(await ask(after.token)).toMatchObject({ status: 200 })
})

test('a secret that other users can read is not used', async () => {
  const { GatewayTokens } = await import('../../node/gateway-tokens.ts')
  const folder = await tempDir('home')
  const tokens = new GatewayTokens(folder)
  await tokens.issue({ registry, member: node.key as never, expires: 2e12 }, { renew: false })
  await chmod(join(folder, 'gateway.key'), 0o644)
  await expect(new GatewayTokens(folder).load()).rejects.toMatchObject({ code: 'UNSAFE_PERMISSIONS' })
})

test('numbers have an address of their own, and name no private swarm, peer or package', async () => {
  const numbers = node.parts.gateway.listening.find(({ serves }) => serves.includes('metrics'))?.address ?? ''
  expect(numbers).not.toBe(at)
  expect(await httpGet(at, '/metrics')).toMatchObject({ status: 404 })
  const { status, headers, text } = await httpGet(numbers, '/metrics')
  expect(status).toBe(200)
  expect(headers['content-type']).toContain('version=0.0.4')
  for (const line of text.trimEnd().split('\n')) {
    expect(line).toMatch(/^(?:# (?:HELP|TYPE) .+|[a-z_0-9]+(?:\{(?:[a-z_]+="[^"\\\n]*",?)+\})? -?[0-9.e+-]+)$/)
  }
  expect(text).toMatch(/^ggen_store_facts [1-9]/m)
  for (const what of ['blocks', 'bytes', 'contents']) {
    expect(text).toMatch(new RegExp(`^ggen_store_${what}\\{swarm="private"\\} [1-9]`, 'm'))
    expect(text).toContain(`ggen_store_${what}{swarm="public"} 0`)
  }
  expect(text).toContain('ggen_store_damaged_blocks{swarm="private"} 0')
  expect(text).toContain('ggen_gossip_messages_total{verdict="reject"} 0')
  expect(text).toMatch(/^ggen_swarms\{swarm="private"\} 1$/m)
  expect(text).toMatch(/^ggen_gateway_answers_total\{status="2xx"\} [1-9]/m)
  expect(text).toMatch(/^ggen_cpu_seconds_total [0-9.]+$/m)
  expect(text).toMatch(/^libp2p_[a-z_]+\{swarm="private"/m)
  expect(text).toMatch(/^libp2p_[a-z_]+\{swarm="public"/m)
  const telling = [
    registry,
    secret,
    'acme',
    node.peerId,
    node.key,
    ...node.parts.swarms.names.filter(n => n !== 'public')
  ]
  for (const name of telling) expect(text).not.toContain(name)
  expect(await httpGet(numbers, '/metrics', { headers: { origin: 'https://evil.example' } })).toMatchObject({
    status: 403
  })
  expect(await httpGet(numbers, `/ipfs/${secret}?format=raw`)).toMatchObject({ status: 404 })
})

test('status says what is answered where, and the rates of each swarm', async () => {
  const { http, traffic } = await node.call('status', {})
  expect(http.map(({ serves }) => serves)).toEqual([['gateway'], ['metrics']])
  expect(http.every(({ isLocal, address }) => isLocal && !address.endsWith(':0'))).toBe(true)
  expect(traffic.map(({ swarm }) => swarm)).toEqual(['public', 'acme'])
  expect(traffic[0]).toMatchObject({ perSecond: { bytesIn: expect.any(Number) as number } })
})

// Gateways of others: here, because starting the first node of a process is what costs the time.

const FILES = { 'docs/large.bin': Buffer.alloc(3 * 1024 * 1024, 'large '), 'docs/small.md': 'small' }

/** A node with a gateway that has a package, and is of no use as a peer any more. */
async function publisher(): Promise<{ readonly source: TestRunningNode; readonly url: string }> {
  const source = await runningNode({ config: { http: { gateway: '127.0.0.1:0', metrics: '' } } })
  await source.found('curated')
  await source.call('publish', { folder: await packageFolder({ name: 'alpha', files: FILES }) })
  return { source, url: `http://${source.parts.gateway.listening[0]?.address ?? ''}` }
}

const hostGone = async (node: TestRunningNode): Promise<void> => await node.parts.swarms.take('public')?.stop()

test('what no peer sends is installed from a gateway that the configuration names', { timeout: 180_000 }, async () => {
  const { source, url } = await publisher()
  const reader = await runningNode({ config: { gateways: [url] } })
  await followIt(reader, source.parts.registries.ids[0] ?? ('' as never), source)
  await hostGone(source)
  const project = await tempDir('project')
  await reader.call('install', { references: ['alpha'], project, singleSource: true })
  expect(await readFile(join(project, '.ggen', 'packages', 'alpha', 'docs', 'large.bin'))).toEqual(
    FILES['docs/large.bin']
  )
  expect(reader.parts.gateways.received()[0]?.[1]).toBeGreaterThan(3 * 1024 * 1024)
})

test('when nobody has it, the message says what peers and gateways said', async () => {
  const { source } = await publisher()
  const empty = createServer((_, response) => response.writeHead(404).end())
  await new Promise<void>(resolve => empty.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(empty.address() as AddressInfo).port}`
  try {
    const reader = await runningNode({ config: { gateways: [url] } })
    await followIt(reader, source.parts.registries.ids[0] ?? ('' as never), source)
    await hostGone(source)
    const project = await tempDir('project')
    const failed = reader.call('install', { references: ['alpha'], project, singleSource: true })
    await expect(failed).rejects.toMatchObject({
      code: 'CONTENT_UNAVAILABLE',
      message: expect.stringMatching(`no peer sent .*${url} said 404`) as string
    })
  } finally {
    empty.close()
    empty.closeAllConnections()
  }
})

test('nothing of a private registry is asked of a gateway', async () => {
  const asked: string[] = []
  const spy = createServer((request, response) => {
    asked.push(request.url ?? '')
    response.writeHead(404).end()
  })
  await new Promise<void>(resolve => spy.listen(0, '127.0.0.1', resolve))
  const gateways = [`http://127.0.0.1:${(spy.address() as AddressInfo).port}`]
  try {
    const owner = await runningNode({ config: { gateways } })
    const { registry } = await owner.call('swarmCreate', { name: 'acme' })
    const { cid } = await owner.call('publish', { folder: await packageFolder({ name: 'secret' }), registry })
    // Its bytes are lost, so that they have to be fetched from somewhere.
    const space = owner.parts.spaces.of(registry)
    for await (const { cid: block } of space.allBlocks.getAll()) await space.allBlocks.delete(block)
    await space.forgetKept(cid)
    const project = await tempDir('project')
    const failed = owner.call('install', { references: ['acme:secret'], project, singleSource: true })
    await expect(failed).rejects.toMatchObject({ code: 'CONTENT_UNAVAILABLE' })
    expect(asked).toEqual([])
  } finally {
    spy.close()
    spy.closeAllConnections()
  }
})
