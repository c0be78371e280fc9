import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { once } from 'node:events'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { afterEach, describe, expect, test } from 'vitest'
import { LIMITS } from '../../protocol/limits.ts'
import { gatewayRoute } from '../../node/http/gateway.ts'
import type { Shelf } from '../../node/http/gateway.ts'
import { httpAddressFault, isLocalHostHeader, parseHttpAddress } from '../../node/http/http-address.ts'
import { openListener } from '../../node/http/listener.ts'
import type { Listener } from '../../node/http/listener.ts'
import { Turnstile } from '../../node/http/turnstile.ts'
import { gatewayUrlFault } from '../../node/http/gateway-url.ts'
import { httpGet } from '../support/http-get.ts'
import { testClock } from '../support/test-clock.ts'
import type { TestClock } from '../support/test-clock.ts'

const BYTES = Buffer.alloc(1024 * 1024, 'block')
const CID_OF = CID.createV1(0x55, createDigest(0x12, createHash('sha256').update(BYTES).digest()))
const PATH = `/ipfs/${CID_OF.toString()}?format=raw`
const open: Listener[] = []
const sockets: Socket[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const listener of open.splice(0)) await listener.close()
})

/** A listener with one block on its shelf. */
async function listening(
  { isLocal = false, shelf = {} }: { readonly isLocal?: boolean; readonly shelf?: Partial<Shelf> } = {},
  clock: TestClock = testClock()
): Promise<{ readonly address: string; readonly faults: unknown[] }> {
  const faults: unknown[] = []
  const own: Shelf = { look: async () => 'here', read: async () => BYTES, ...shelf }
  const init = { open: own, ofToken: () => undefined, clock }
  const listener = await openListener({
    address: { host: '127.0.0.1', port: 0, isLocal },
    routes: turnstile => [gatewayRoute(init, turnstile, isLocal)],
    clock,
    onFault: error => faults.push(error)
  })
  open.push(listener)
  return { address: listener.address, faults }
}

function dial(address: string): Socket {
  const [host = '', port = ''] = address.split(':')
  const socket = connect(Number(port), host)
  socket.on('error', () => undefined)
  sockets.push(socket)
  return socket
}

describe('a listener for everybody', () => {
  test('lets web pages read what everybody may read, and send no token', async () => {
    const { address } = await listening()
    const origin = 'https://app.example'
    const answer = await httpGet(address, PATH, { headers: { origin } })
    expect(answer).toMatchObject({ status: 200, headers: { 'access-control-allow-origin': '*' } })
    const asked = await httpGet(address, PATH, { method: 'OPTIONS', headers: { origin } })
    expect(asked.status).toBe(204)
    expect(asked.headers['access-control-allow-headers']).not.toMatch(/authorization/i)
    const withToken = await httpGet(address, PATH, { headers: { origin, authorization: 'Bearer x' } })
    expect(withToken.status).toBe(401)
    expect(withToken.headers).not.toHaveProperty('access-control-allow-origin')
  })

  test('refuses headers that are too large and ends what is no HTTP', async () => {
    const { address } = await listening()
    expect(await httpGet(address, PATH, { headers: { 'x-a': 'a'.repeat(LIMITS.gateway.headerBytes) } })).toMatchObject({
      status: 431
    })
    const socket = dial(address)
    socket.resume().write('\x16\x03\x01\x02\x00 this is no HTTP\r\n\r\n')
    await once(socket, 'close')
  })

  test('ends a reader that takes nothing, and sends nothing in advance', async () => {
    const clock = testClock()
    let reads = 0
    const { address, faults } = await listening(
      {
        shelf: {
          read: async () => {
            reads += 1
            return BYTES
          }
        }
      },
      clock
    )
    const socket = dial(address)
    socket.pause()
    // Pipelined, so that more waits than the kernel takes for a reader that does not read.
    const request = `GET ${PATH} HTTP/1.1\r\nhost: x\r\n\r\n`
    socket.write(request.repeat(24))
    const closed = once(socket, 'close')
    while (faults.length === 0) {
      await new Promise(resolve => setImmediate(resolve))
      if (reads > 0) await clock.advance(LIMITS.gateway.idleMs + 1_000)
    }
    expect(String(faults[0])).toMatch(/the reader takes too little|is gone/)
    expect(reads).toBeLessThanOrEqual(LIMITS.gateway.answersPerPrivateAddress)
    socket.resume()
    await closed
  })

  test('says so when the disk fails, and cuts what has begun', async () => {
    const broken = await listening({ shelf: { read: () => Promise.reject(new Error('EIO')) } })
    expect(await httpGet(broken.address, PATH)).toMatchObject({ status: 500 })
    expect(broken.faults).toHaveLength(1)
  })
})

describe('the turnstile', () => {
  const strange = '203.0.113.7'

  test('lets one address have so many answers at once, and all of them so many', () => {
    const turnstile = new Turnstile(testClock())
    const leaves = Array.from({ length: LIMITS.gateway.answersPerAddress }, () => turnstile.enter(strange))
    expect(leaves.every(leave => typeof leave === 'function')).toBe(true)
    expect(turnstile.enter(strange)).toMatchObject({ status: 429 })
    for (const leave of leaves) if (typeof leave === 'function') leave()
    expect(turnstile.active).toBe(0)
    for (let i = 0; i < LIMITS.gateway.answers; i++) turnstile.enter(`198.51.100.${i}`)
    expect(turnstile.enter(strange)).toMatchObject({ status: 503 })
  })

  test('takes a /64 of IPv6 for one address, and IPv4 in IPv6 for itself', () => {
    const turnstile = new Turnstile(testClock())
    for (let i = 1; i <= LIMITS.gateway.answersPerAddress; i++) turnstile.enter(`2001:db8:0:1::${i.toString(16)}`)
    expect(turnstile.enter('2001:db8::1:ffff:1:2:3')).toMatchObject({ status: 429 })
    expect(typeof turnstile.enter('2001:db8:0:2::1')).toBe('function')
    expect(typeof turnstile.enter('::ffff:198.51.100.9')).toBe('function')
  })

  test('lets an address ask so often, and again after a while', async () => {
    const clock = testClock()
    const turnstile = new Turnstile(clock)
    const ask = (): boolean => {
      const leave = turnstile.enter(strange)
      if (typeof leave !== 'function') return false
      leave()
      return true
    }
    for (let i = 0; i < LIMITS.gateway.burst; i++) expect(ask()).toBe(true)
    expect(ask()).toBe(false)
    await clock.advance(1_000)
    expect(ask()).toBe(true)
  })

  test('bounds the connections of one address', () => {
    const turnstile = new Turnstile(testClock())
    const closes = Array.from({ length: LIMITS.gateway.connections / 8 }, () => turnstile.connect(strange))
    expect(turnstile.connect(strange)).toBeUndefined()
    closes[0]?.()
    expect(turnstile.connect(strange)).toBeDefined()
  })
})

test.each([
  ['127.0.0.1:0', true],
  ['localhost:8080', true],
  ['[::1]:8080', true],
  ['0.0.0.0:80', false],
  ['[::]:80', false]
])('%s can be listened on', (text, isLocal) => {
  expect(parseHttpAddress(text)).toMatchObject({ isLocal })
})

test.each([
  '8080',
  ':8080',
  'example.org:80',
  '127.0.0.1',
  '127.0.0.1:65536',
  '::1:80',
  'http://127.0.0.1:80',
  '1.2.3:80'
])('%s cannot be listened on', text => {
  expect(httpAddressFault(text)).toBeDefined()
})

test.each(['ftp://a.example', 'https://user:pw@a.example', 'https://a.example/?x', 'a.example', ''])(
  '%s is no gateway',
  text => {
    expect(gatewayUrlFault(text)).toBeDefined()
  }
)

test.each([
  ['localhost', true],
  ['127.0.0.1:80', true],
  ['[::1]:80', true],
  ['localhost.evil.example', false],
  ['127.0.0.1.evil.example', false],
  ['evil.example:80', false],
  [undefined, false]
])('the Host %s is this machine: %s', (host, isLocal) => {
  expect(isLocalHostHeader(host)).toBe(isLocal)
})
