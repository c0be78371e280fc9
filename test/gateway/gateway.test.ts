import { createHash } from 'node:crypto'
import { trustlessGatewayBlockBroker } from '@helia/trustless-gateway-client'
import { CarReader } from '@ipld/car'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ContentCarReader } from '../../protocol/content-car.ts'
import type { CarSection } from '../../protocol/content-car.ts'
import { toLink } from '../../protocol/cid.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { parseUnixfsNode } from '../../protocol/unixfs-node.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { listBlocks } from '../../storage/content/walk-dag.ts'
import { httpGet } from '../support/http-get.ts'
import type { HttpAnswer } from '../support/http-get.ts'
import { packageFolder } from '../support/package-folder.ts'
import { runningNode, stopRunningNodes } from '../support/running-node.ts'
import type { TestRunningNode } from '../support/running-node.ts'

const ANY = { 'if-none-match': '*' }
const BIG = Buffer.alloc(2 * 1024 * 1024 + 500, 'large ')
let node: TestRunningNode
let at: string
let root: string

beforeAll(async () => {
  node = await runningNode({ config: { http: { gateway: '127.0.0.1:0', metrics: '' } } })
  at = node.parts.gateway.listening[0]?.address ?? ''
  const registry = await node.found('curated')
  const files = { 'docs/one.md': 'same', 'docs/two.md': 'same', 'docs/large.bin': BIG }
  const published = await node.call('publish', { folder: await packageFolder({ name: 'alpha', files }), registry })
  root = published.cid
}, 180_000)

afterAll(stopRunningNodes)

const get = (path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<HttpAnswer> =>
  httpGet(at, path, { method, headers })

function sectionsOf(body: Uint8Array): readonly CarSection[] {
  const reader = new ContentCarReader()
  const sections = reader.push(body)
  reader.end()
  return sections
}

/** The CIDs of an archive, each with bytes that are its own. */
function cidsOf(body: Uint8Array): readonly string[] {
  return sectionsOf(body).map(({ cid, bytes }) => {
    expect(createHash('sha256').update(bytes).digest()).toEqual(Buffer.from(cid.multihash.digest))
    return cid.toString()
  })
}

async function childOf(cid: string, name: string): Promise<string> {
  const { body } = await get(`/ipfs/${cid}?format=raw`)
  const parsed = parseUnixfsNode(body, LIMITS.content)
  if (parsed.type !== 'directory') throw new Error('not a folder')
  return parsed.entries.find(entry => entry.name === name)?.cid.toString() ?? ''
}

describe('a block', () => {
  test('comes as it is, by format or by Accept, with what a cache and a browser need to know', async () => {
    const { status, headers, body } = await get(`/ipfs/${root}?format=raw`)
    expect(status).toBe(200)
    expect(createHash('sha256').update(body).digest()).toEqual(Buffer.from(CID.parse(root).multihash.digest))
    expect(headers).toMatchObject({
      'content-type': 'application/vnd.ipld.raw',
      'content-length': String(body.length),
      'content-disposition': `attachment; filename="${root}.bin"`,
      'x-content-type-options': 'nosniff',
      'cache-control': 'public, max-age=29030400, immutable',
      etag: `"${root}.raw"`
    })
    expect(headers).not.toHaveProperty('content-location')
    const byHeader = await get(`/ipfs/${root}`, { accept: 'application/vnd.ipld.raw' })
    expect(byHeader.body).toEqual(body)
    expect(byHeader.headers['content-location']).toBe(`/ipfs/${root}?format=raw`)
  })

  test('comes under every spelling of its name', async () => {
    const { body } = await get(`/ipfs/${root}?format=raw`)
    const cid = CID.parse(root)
    const old = CID.createV0(createDigest(0x12, cid.multihash.digest)).toString()
    expect((await get(`/ipfs/${old}?format=raw`)).body).toEqual(body)
    const raw = CID.createV1(0x55, cid.multihash).toString()
    expect((await get(`/ipfs/${raw}?format=raw`)).body).toEqual(body)
  })

  test('comes in parts, and is not sent again to whoever has it', async () => {
    const large = await childOf(await childOf(root, 'docs'), 'large.bin')
    const { body } = await get(`/ipfs/${large}?format=raw`)
    const parsed = parseUnixfsNode(body, LIMITS.content)
    const leaf = parsed.type === 'file' ? parsed.leaves[0]?.cid.toString() : undefined
    const part = await get(`/ipfs/${leaf}?format=raw`, { range: 'bytes=10-19' })
    expect(part.status).toBe(206)
    expect(part.headers['content-range']).toBe(`bytes 10-19/${1024 * 1024}`)
    expect(part.body).toEqual(BIG.subarray(10, 20))
    expect((await get(`/ipfs/${leaf}?format=raw`, { range: 'bytes=-5' })).body).toEqual(
      BIG.subarray(1024 * 1024 - 5, 1024 * 1024)
    )
    expect((await get(`/ipfs/${leaf}?format=raw`, { range: 'bytes=9999999-' })).status).toBe(416)
    expect((await get(`/ipfs/${leaf}?format=raw`, { range: 'bytes=0-1,5-6' })).body.length).toBe(1024 * 1024)
    const again = await get(`/ipfs/${leaf}?format=raw`, { 'if-none-match': `W/"${leaf}.raw"` })
    expect(again).toMatchObject({ status: 304, text: '' })
    expect((await get(`/ipfs/${leaf}?format=raw`, { range: 'Bytes=10-19' })).status).toBe(206)
    // Parts are for GET alone.
    const head = await get(`/ipfs/${leaf}?format=raw`, { range: 'bytes=10-19' }, 'HEAD')
    expect(head).toMatchObject({ status: 200, headers: { 'content-length': String(1024 * 1024) } })
  })

  test('is called as the reader wants, and no name ends the header or leads anywhere', async () => {
    const nameOf = async (filename: string, format = 'raw'): Promise<string> => {
      const query = `format=${format}&filename=${encodeURIComponent(filename)}`
      return String((await get(`/ipfs/${root}?${query}`)).headers['content-disposition'])
    }
    expect(await nameOf('alpha-1.0.0 (1).car', 'car')).toBe('attachment; filename="alpha-1.0.0 (1).car"')
    expect(await nameOf('testтест.bin')).toBe(
      `attachment; filename="test____.bin"; filename*=UTF-8''test%D1%82%D0%B5%D1%81%D1%82.bin`
    )
    expect(await nameOf('a"; x="\r\nset-cookie: b=c')).toBe('attachment; filename="a__ x=___set-cookie_ b=c"')
    expect(await nameOf('../../etc/passwd')).toBe('attachment; filename=".._.._etc_passwd"')
    expect(await nameOf('gpj.\u202eexe')).toBe('attachment; filename="gpj._exe"')
    expect(await nameOf('')).toBe(`attachment; filename="${root}.bin"`)
    expect(await nameOf('a'.repeat(256))).toBe(`attachment; filename="${root}.bin"`)
  })

  test('is sent again to nobody who has it, under the address that says all', async () => {
    const held = { accept: 'application/vnd.ipld.raw', 'if-none-match': `"${root}.raw"` }
    const { status, headers } = await get(`/ipfs/${root}`, held)
    expect(status).toBe(304)
    expect(headers['content-location']).toBe(`/ipfs/${root}?format=raw`)
    const both = await get(`/ipfs/${root}?format=car`, { accept: 'application/vnd.ipld.car;dups=y' }, 'HEAD')
    expect(both.headers['content-location']).toBe(`/ipfs/${root}?format=car&car-dups=y`)
    const other = await get(`/ipfs/${root}?format=car`, { accept: 'application/vnd.ipld.raw' }, 'HEAD')
    expect(other.headers).toMatchObject({ 'content-location': `/ipfs/${root}?format=car` })
    const same = await get(`/ipfs/${root}?format=car&car-dups=y`, { accept: '*/*' }, 'HEAD')
    expect(same.headers).not.toHaveProperty('content-location')
  })

  test('HEAD says how long it is and sends nothing', async () => {
    const { body } = await get(`/ipfs/${root}?format=raw`)
    const head = await get(`/ipfs/${root}?format=raw`, {}, 'HEAD')
    expect(head).toMatchObject({ status: 200, text: '' })
    expect(head.headers['content-length']).toBe(String(body.length))
  })
})

describe('an archive', () => {
  test('holds everything below a root once, a node before what it names', async () => {
    const { status, headers, body } = await get(`/ipfs/${root}?format=car`)
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'application/vnd.ipld.car; version=1; order=dfs; dups=n',
      'content-disposition': `attachment; filename="${root}.car"`,
      'accept-ranges': 'none'
    })
    const cids = cidsOf(body)
    // root, README, docs, large and its three leaves, the two files that are one, package.toml
    expect(cids).toHaveLength(9)
    expect(cids[0]).toBe(root)
    expect(new Set(cids).size).toBe(9)
    const again = await get(`/ipfs/${root}?format=car&car-dups=y`)
    expect(again.headers['content-type']).toContain('dups=y')
    expect(cidsOf(again.body)).toHaveLength(10)
    expect(again.headers.etag).not.toBe(headers.etag)
  })

  test('follows a path and shows the way', async () => {
    const docs = await childOf(root, 'docs')
    const one = await childOf(docs, 'one.md')
    expect(cidsOf((await get(`/ipfs/${root}/docs/one.md?format=car`)).body)).toEqual([root, docs, one])
    expect(cidsOf((await get(`/ipfs/${root}/docs/?format=car&dag-scope=block`)).body)).toEqual([root, docs])
    expect(cidsOf((await get(`/ipfs/${root}/docs?format=car&dag-scope=entity`)).body)).toEqual([root, docs])
    const { headers } = await get(`/ipfs/${root}/docs`, { accept: 'application/vnd.ipld.car;dups=y' })
    expect(headers['content-location']).toBe(`/ipfs/${root}/docs?format=car&car-dups=y`)
  })

  test('holds no more leaves than the bytes that are asked for', async () => {
    const file = `/ipfs/${root}/docs/large.bin?format=car&entity-bytes=`
    const sizes = async (bytes: string): Promise<readonly number[]> =>
      sectionsOf((await get(`${file}${bytes}`)).body)
        .slice(3)
        .map(section => section.bytes.length)
    expect(await sizes('0:9')).toEqual([1024 * 1024])
    expect(await sizes('-1:*')).toEqual([500])
    expect(await sizes('1048576:-501')).toEqual([1024 * 1024])
    expect(await sizes('0:*')).toHaveLength(3)
    expect((await get(`${file}9999999:*`)).status).toBe(400)
  })

  test('HEAD has all but the archive', async () => {
    expect(await get(`/ipfs/${root}?format=car`, {}, 'HEAD')).toMatchObject({ status: 200, text: '' })
  })
})

describe('the probe', () => {
  test('is answered as a block, as an archive and by HEAD', async () => {
    expect(await get('/ipfs/bafkqaaa?format=raw')).toMatchObject({ status: 200, text: '' })
    expect(await get('/ipfs/bafkqaaa?format=raw', {}, 'HEAD')).toMatchObject({ status: 200 })
    const car = await get('/ipfs/bafkqaaa?format=car')
    expect(car.headers['content-type']).toContain('version=1')
    expect(sectionsOf(car.body)).toEqual([])
  })
})

describe('what is not sent', () => {
  const absent = CID.createV1(0x55, createDigest(0x12, createHash('sha256').update('nobody').digest())).toString()

  const inline = CID.createV1(0x55, createDigest(0, Buffer.from('hello'))).toString()

  const cases: readonly (readonly [string, () => string, Record<string, string>, number])[] = [
    ['no format', () => `/ipfs/${root}`, {}, 400],
    ['a page', () => `/ipfs/${root}`, { accept: 'text/html,*/*;q=0.8' }, 406],
    ['a format of another gateway', () => `/ipfs/${root}?format=tar`, {}, 406],
    ['another order of blocks', () => `/ipfs/${root}`, { accept: 'application/vnd.ipld.car;order=bfs' }, 406],
    ['another version of archives', () => `/ipfs/${root}?format=car&car-version=2`, {}, 406],
    ['a path of a block', () => `/ipfs/${root}/docs?format=raw`, {}, 400],
    ['no CID', () => '/ipfs/hello?format=raw', {}, 400],
    ['a way out of the folder', () => '/ipfs/../../etc/passwd?format=raw', {}, 400],
    ['a name that no folder holds', () => `/ipfs/${root}/..?format=car`, {}, 404],
    ['a name that no folder holds, to whoever says that he has it', () => `/ipfs/${root}/no?format=car`, ANY, 404],
    ['a path through a file', () => `/ipfs/${root}/README.md/x?format=car`, {}, 404],
    ['a path that is not UTF-8', () => `/ipfs/${root}/%ff?format=car`, {}, 400],
    ['an unknown scope', () => `/ipfs/${root}?format=car&dag-scope=some`, {}, 400],
    ['a range that is none', () => `/ipfs/${root}?format=car&entity-bytes=a:b`, {}, 400],
    ['what is not here', () => `/ipfs/${absent}?format=raw`, {}, 404],
    ['what is not here, from a cache', () => `/ipfs/${absent}?format=raw`, { 'cache-control': 'only-if-cached' }, 412],
    ['what is not here, in capitals', () => `/ipfs/${absent}?format=raw`, { 'cache-control': 'Only-If-Cached' }, 412],
    ['bytes in the name itself', () => `/ipfs/${inline}?format=raw`, {}, 404],
    ['a name', () => '/ipns/example.org?format=ipns-record', {}, 404],
    ['an address that is too long', () => `/ipfs/${root}/${'a'.repeat(5_000)}?format=car`, {}, 414],
    ['numbers of the node', () => '/metrics', {}, 404]
  ]
  test.each(cases)('%s', async (_, path, headers, status) => {
    const answer = await get(path(), headers)
    expect(answer.status).toBe(status)
    expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(answer.text).toMatch(/^[\x20-\x7e]+\n$/)
  })

  test('orders, and requests with a body', async () => {
    expect(await get(`/ipfs/${root}?format=raw`, {}, 'DELETE')).toMatchObject({ status: 405 })
    expect(await get(`/ipfs/${root}?format=raw`, { 'content-length': '3' })).toMatchObject({ status: 400 })
  })

  test('what lies on the disk and no release of a followed registry reaches', async () => {
    const bytes = Buffer.from('a draft that was never published')
    const cid = CID.createV1(0x55, createDigest(0x12, createHash('sha256').update(bytes).digest()))
    await node.parts.spaces.public.blocks.put(cid, bytes)
    expect(await get(`/ipfs/${cid.toString()}?format=raw`)).toMatchObject({ status: 404 })
    // Held as a whole, like what `publish` imports before the registry refuses it.
    await node.parts.spaces.public.markKept(cid.toString() as never)
    expect(await get(`/ipfs/${cid.toString()}?format=raw`)).toMatchObject({ status: 404 })
  })

  test('what is in quarantine', async () => {
    const registry = node.parts.registries.ids[0] ?? ''
    const folder = await packageFolder({ name: 'gamma', files: { 'a.md': 'stopped for now' } })
    const { cid } = await node.call('publish', { folder, registry })
    const below = await childOf(cid, 'a.md')
    expect(await get(`/ipfs/${below}?format=raw`)).toMatchObject({ status: 200 })
    await node.call('quarantine', { reference: 'gamma@1.0.0', reason: '' })
    expect(await get(`/ipfs/${cid}?format=car`)).toMatchObject({ status: 404 })
    expect(await get(`/ipfs/${below}?format=raw`)).toMatchObject({ status: 404 })
    await node.call('unquarantine', { reference: 'gamma@1.0.0' })
    expect(await get(`/ipfs/${below}?format=raw`)).toMatchObject({ status: 200 })
  })

  test('what an operator took down', async () => {
    const registry = node.parts.registries.ids[0]
    const files = { 'secret.md': 'only here' }
    const folder = await packageFolder({ name: 'beta', files })
    const published = await node.call('publish', { folder, registry: registry ?? '' })
    const secret = await childOf(published.cid, 'secret.md')
    const order = { reference: 'beta@1.0.0', reason: '', release: false, isDeleted: false }
    await node.call('takedown', order)
    expect(await get(`/ipfs/${published.cid}?format=car`)).toMatchObject({ status: 451 })
    expect(await get(`/ipfs/${secret}?format=raw`)).toMatchObject({ status: 451 })
    await node.call('takedown', { ...order, isDeleted: true })
    expect(await get(`/ipfs/${published.cid}?format=car`)).toMatchObject({ status: 410 })
    expect(await node.parts.spaces.public.allBlocks.has(toLink(published.cid))).toBe(false)
  })
})

describe('web pages', () => {
  test('learn nothing from a listener of this machine', async () => {
    const path = `/ipfs/${root}?format=raw`
    expect(await get(path, { origin: 'https://evil.example' })).toMatchObject({ status: 403 })
    expect(await get(path, { 'sec-fetch-site': 'cross-site' })).toMatchObject({ status: 403 })
    // DNS rebinding: a name of somebody else's that leads here.
    expect(await get(path, { host: 'evil.example:8080' })).toMatchObject({ status: 403 })
    const { status, headers } = await get(path, { host: 'localhost:8080' })
    expect(status).toBe(200)
    expect(headers).not.toHaveProperty('access-control-allow-origin')
  })
})

describe('other programs', () => {
  test("Helia's client of trustless gateways fetches every block", async () => {
    const multiaddrs = [multiaddr(`/ip4/127.0.0.1/tcp/${at.split(':')[1]}/http`)]
    const routing = {
      async *findProviders() {
        yield { id: toLink(root as ContentId), multiaddrs, fallback: false, router: 'test' }
      }
    }
    const logger = { forComponent: () => Object.assign(() => {}, { trace() {}, error() {}, enabled: false }) }
    const broker = trustlessGatewayBlockBroker({ allowInsecure: true, allowLocal: true })({ routing, logger } as never)
    const taken: string[] = []
    const source = {
      get: async (cid: CID) => {
        taken.push(cid.toString())
        return (await broker.retrieve?.(cid, {})) as Uint8Array
      }
    }
    // Reading a package verifies each block, and that it is a package that could have been published.
    for await (const cid of listBlocks(root as ContentId, source)) if (cid.code === 0x55) await source.get(cid)
    expect(new Set(taken).size).toBe(9)
  })

  test('the archive reader of IPLD reads it', async () => {
    const { body } = await get(`/ipfs/${root}?format=car`)
    const reader = await CarReader.fromBytes(body)
    expect((await reader.getRoots()).map(String)).toEqual([root])
    const cids: string[] = []
    for await (const { cid } of reader.blocks()) cids.push(cid.toString())
    expect(cids).toEqual(cidsOf(body))
  })

  test('fetch of Node.js', async () => {
    const answer = await fetch(`http://${at}/ipfs/${root}`, { headers: { accept: 'application/vnd.ipld.raw' } })
    expect(answer.status).toBe(200)
  })
})
