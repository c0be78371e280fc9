import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { concatBytes } from '../../protocol/bytes.ts'
import { contentCarHeader, contentCarPrefix } from '../../protocol/content-car.ts'
import type { ContentId } from '../../protocol/cid.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { Gateways } from '../../node/gateway-source.ts'
import type { GatewayStore } from '../../node/gateway-source.ts'
import { systemClock } from '../../node/runtime/clock.ts'
import type { Clock } from '../../node/runtime/clock.ts'
import { MemoryBlocks } from '../content/support.ts'
import { testClock } from '../support/test-clock.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

const CAR = { 'content-type': 'application/vnd.ipld.car; version=1; order=dfs; dups=n' }
const RAW = { 'content-type': 'application/vnd.ipld.raw' }
const stops: (() => void)[] = []
let blocks: MemoryBlocks
let root: CID
let leaf: CID
let size: number

beforeEach(() => {
  blocks = new MemoryBlocks()
  const bytes = Buffer.alloc(100_000, 'leaf')
  leaf = blocks.raw(bytes)
  root = blocks.directory([['a.txt', leaf, bytes.length]])
  size = bytes.length
})

afterEach(() => {
  for (const stop of stops.splice(0)) stop()
})

async function serve(handler: Handler): Promise<string> {
  const server = createServer((request, response) => {
    response.on('error', () => undefined)
    handler(request, response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  stops.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function sectionOf(cid: CID, bytes = blocks.map.get(cid.toString()) ?? new Uint8Array()): Uint8Array {
  return concatBytes([contentCarPrefix(cid, bytes.length), bytes])
}

const archive = (...cids: readonly CID[]): Uint8Array =>
  concatBytes([contentCarHeader(root), ...cids.map(cid => sectionOf(cid))])

/** What a fetch from these gateways does, and what it stores. */
function fetching(urls: readonly string[], clock: Clock = systemClock(() => {})) {
  const gateways = new Gateways({ urls, clock, log: { warn: () => {} } })
  stops.push(() => gateways.close())
  const stored = new Map<string, Uint8Array>()
  const store: GatewayStore = {
    has: async cid => stored.has(cid.toString()),
    put: async (cid, bytes) => void stored.set(cid.toString(), bytes),
    read: async cid => stored.get(cid.toString())
  }
  const session = gateways.session()
  const { signal } = new AbortController()
  return {
    gateways,
    session,
    stored,
    content: (declared = size) =>
      session.content({ root: root.toString() as ContentId, size: declared }, store, signal),
    block: (cid: CID) => session.block(cid, signal)
  }
}

describe('content from a gateway', () => {
  test('comes as one archive, hashed block by block', async () => {
    const asked: string[] = []
    const url = await serve((request, response) => {
      asked.push(`${request.url} ${request.headers.accept}`)
      response.writeHead(200, CAR).end(archive(root, leaf))
    })
    const { content, stored, gateways } = fetching([`${url}/under/`])
    expect(await content()).toBeGreaterThan(size)
    expect([...stored.keys()]).toEqual([root.toString(), leaf.toString()])
    expect(asked).toEqual([
      `/under/ipfs/${root.toString()}?format=car&dag-scope=all&car-order=dfs&car-dups=n application/vnd.ipld.car;version=1;order=dfs;dups=n`
    ])
    expect(gateways.received()[0]?.[1]).toBeGreaterThan(size)
  })

  test('is taken up by another one where the first broke off', async () => {
    const first = await serve((_, response) => {
      response.writeHead(200, CAR)
      response.write(archive(root), () => response.destroy())
    })
    const second = await serve((_, response) => response.writeHead(200, CAR).end(archive(root, leaf)))
    const { content, stored, session } = fetching([first, second])
    await content()
    expect(stored.size).toBe(2)
    expect(session.said.join()).toContain(`${first} broke off`)
  })
})

describe('a hostile gateway', () => {
  const nothing = async (url: string, says: RegExp): Promise<void> => {
    const { content, stored } = fetching([url])
    await expect(content()).rejects.toMatchObject({
      code: 'CONTENT_UNAVAILABLE',
      message: expect.stringMatching(says) as string
    })
    expect(stored.has(leaf.toString())).toBe(false)
  }

  test('that sends other bytes under the name of a block is not asked again', async () => {
    let asked = 0
    const url = await serve((_, response) => {
      asked += 1
      response.writeHead(200, CAR).end(concatBytes([archive(root), sectionOf(leaf, Buffer.from('wrong'))]))
    })
    const { content, session, stored } = fetching([url])
    await content()
    expect([...stored.keys()]).toEqual([root.toString()])
    expect(session.said).toEqual([`${url} sent bytes that are not the block that they stand for`])
    await expect(content()).rejects.toMatchObject({
      code: 'CONTENT_UNAVAILABLE',
      message: expect.stringMatching(/sent wrong bytes before/) as string
    })
    expect(asked).toBe(1)
  })

  test('that sends blocks of something else without end is left', async () => {
    let sent = 0
    const url = await serve((_, response) => {
      response.writeHead(200, CAR)
      response.write(contentCarHeader(root))
      const more = (): void => {
        const other = Buffer.alloc(1024 * 1024, String(sent))
        sent += other.length
        if (!response.destroyed) response.write(sectionOf(blocks.raw(other), other), () => setImmediate(more))
      }
      more()
    })
    await nothing(url, /in another order, or of something else|without end/)
    expect(sent).toBeLessThan(256 * 1024 * 1024)
  })

  test('that repeats a good block without end is left', async () => {
    const other = blocks.raw('another file')
    root = blocks.directory([
      ['a.txt', leaf, size],
      ['b.txt', other, 12]
    ])
    const url = await serve((_, response) => {
      response.writeHead(200, CAR)
      response.write(archive(root))
      const more = (): void => {
        if (!response.destroyed) response.write(sectionOf(leaf), () => setImmediate(more))
      }
      more()
    })
    const { content, session, stored } = fetching([url])
    await content()
    expect(session.said).toEqual([`${url} sent an archive without end`])
    expect([...stored.keys()]).toEqual([root.toString(), leaf.toString()])
  })

  test('that has content which is larger than the signed release declares is believed, and the content refused', async () => {
    const parts = [Buffer.alloc(LIMITS.content.chunkBytes, 1), Buffer.alloc(500, 2)]
    const unixfs = new UnixFS({ type: 'file', blockSizes: parts.map(({ length }) => BigInt(length)) })
    const links = parts.map(part => ({ Name: '', Hash: blocks.raw(part), Tsize: part.length }))
    const file = blocks.node({ Data: unixfs.marshal(), Links: links })
    root = blocks.directory([['large.bin', file, LIMITS.content.chunkBytes + 500]])
    const url = await serve((_, response) => response.writeHead(200, CAR).end(archive(root, file)))
    const { content } = fetching([url])
    await expect(content(1_000)).rejects.toMatchObject({ code: 'LIMIT_EXCEEDED' })
  })

  test.each<readonly [string, Handler, RegExp]>([
    ['a redirect', (_, r) => r.writeHead(302, { location: 'http://169.254.169.254/' }).end(), /said 302, which is not/],
    ['a page', (_, r) => r.writeHead(200, { 'content-type': 'text/html' }).end('<p>'), /it is no trustless gateway/],
    ['an error', (_, r) => r.writeHead(404).end(), /said 404/],
    ['packed bytes', (_, r) => r.writeHead(200, { ...CAR, 'content-encoding': 'gzip' }).end(), /sends packed bytes/],
    ['no archive', (_, r) => r.writeHead(200, CAR).end('hello, this is no archive at all'), /sent no archive/],
    ['half a header', (_, r) => r.writeHead(200, CAR).end(contentCarHeader(root).subarray(0, 9)), /cut short/],
    ['a length of 2^31', (_, r) => r.writeHead(200, CAR).end(Buffer.from('8080808008', 'hex')), /sent no archive/],
    ['huge headers', (_, r) => r.writeHead(200, { ...CAR, 'x-a': 'a'.repeat(64 * 1024) }).end(), /could not be asked/]
  ])('that sends %s says so and nothing is kept', async (_, handler, says) => {
    await nothing(await serve(handler), says)
  })

  test('that does not answer, or sends a byte now and then, is left in time', async () => {
    const clock = testClock()
    const arrived = Promise.withResolvers<void>()
    const silent = await serve(() => arrived.resolve())
    const first = fetching([silent], clock)
    const given = first.content()
    given.catch(() => undefined)
    await arrived.promise
    await clock.advance(LIMITS.gatewaySource.answerMs)
    await expect(given).rejects.toMatchObject({
      code: 'CONTENT_UNAVAILABLE',
      message: expect.stringMatching(/did not answer in 10 s/) as string
    })

    const answering = Promise.withResolvers<ServerResponse>()
    const slow = await serve((_, response) => {
      response.writeHead(200, CAR)
      response.write(contentCarHeader(root), () => answering.resolve(response))
    })
    const second = fetching([slow], clock)
    const trickle = second.content()
    trickle.catch(() => undefined)
    await answering.promise
    let isOver = false
    void trickle.then(
      () => (isOver = true),
      () => (isOver = true)
    )
    while (!isOver) {
      await new Promise(resolve => setImmediate(resolve))
      await clock.advance(LIMITS.gatewaySource.windowMs)
    }
    await expect(trickle).rejects.toMatchObject({
      code: 'CONTENT_UNAVAILABLE',
      message: expect.stringMatching(/sends less than 16 KiB\/s/) as string
    })
  })

  test('wastes no more of one block than a block has', async () => {
    const endless = await serve((_, response) => {
      response.writeHead(200, RAW)
      const more = (): void => {
        if (!response.destroyed) response.write(Buffer.alloc(256 * 1024), () => setImmediate(more))
      }
      more()
    })
    const good = await serve((_, response) => response.writeHead(200, RAW).end(blocks.map.get(leaf.toString())))
    const { block, session } = fetching([endless, good])
    expect((await block(leaf)).length).toBe(size)
    expect(session.said).toEqual([`${endless} sent a block that is too large`])
  })
})
