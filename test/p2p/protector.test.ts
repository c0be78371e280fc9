import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import type { Libp2p } from '@libp2p/interface'
import { preSharedKey } from '@libp2p/pnet'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import type { Libp2pOptions } from 'libp2p'
import { afterEach, expect, test } from 'vitest'
import { PskProtector } from '../../node/p2p/protector.ts'
import { ANY_RELAY, relayClient, relayServer } from '../../node/p2p/relay.ts'
import { webSockets } from '../../node/p2p/websockets.ts'

const hosts: Libp2p[] = []

/** A crowded machine takes its time. */
const SLOWLY = { timeout: 60_000 }

afterEach(async () => {
  for (const host of hosts.splice(0)) await host.stop()
})

const [old, fresh, other] = [randomBytes(32), randomBytes(32), randomBytes(32)].map(key => new Uint8Array(key))
const keys = { old, fresh, other } as { old: Uint8Array; fresh: Uint8Array; other: Uint8Array }

async function host(
  connectionProtector: NonNullable<Libp2pOptions['connectionProtector']>,
  options: Libp2pOptions = {}
): Promise<Libp2p> {
  const made: Libp2p = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    connectionManager: { inboundConnectionThreshold: 1_000 },
    connectionProtector,
    ...options
  })
  hosts.push(made)
  await made.handle('/echo/1', stream => {
    stream.addEventListener('message', ({ data }) => void stream.send(data))
  })
  return made
}

const ours = async (...psks: readonly Uint8Array[]): Promise<Libp2p> => await host(() => new PskProtector(psks))

/** The library's protector, with the key in its file format. */
const theirs = async (psk: Uint8Array): Promise<Libp2p> =>
  await host(() => {
    const file = Buffer.from(`/key/swarm/psk/1.0.0/\n/base16/\n${Buffer.from(psk).toString('hex')}`)
    return preSharedKey({ psk: new Uint8Array(file) })()
  })

/** Sends bytes there and back, and says whether the same came back. */
async function echoes(from: Libp2p, to: Libp2p, bytes = 300_000): Promise<boolean> {
  const sent = randomBytes(bytes)
  const stream = await from.dialProtocol(to.getMultiaddrs(), '/echo/1', { signal: AbortSignal.timeout(60_000) })
  const got: Uint8Array[] = []
  let length = 0
  const all = new Promise<void>(resolve => {
    stream.addEventListener('message', ({ data }) => {
      got.push(data.subarray())
      length += data.byteLength
      if (length >= bytes) resolve()
    })
  })
  for (let at = 0; at < bytes; at += 60_000) {
    if (!stream.send(sent.subarray(at, at + 60_000))) await stream.onDrain()
  }
  await all
  await stream.close()
  return Buffer.concat(got).equals(sent)
}

test('carries what is sent between two that have the key', async () => {
  const [a, b] = [await ours(keys.fresh), await ours(keys.fresh)]
  expect(await echoes(a, b)).toBe(true)
})

test('speaks what other libp2p programs speak, in both directions', async () => {
  const [a, b] = [await ours(keys.fresh, keys.old), await theirs(keys.fresh)]
  expect(await echoes(a, b)).toBe(true)
  const c = await theirs(keys.old)
  expect(await echoes(c, a)).toBe(true)
})

test('accepts the older key as well as the newer one, and no other', async () => {
  const listener = await ours(keys.fresh, keys.old)
  expect(await echoes(await ours(keys.fresh), listener)).toBe(true)
  expect(await echoes(await ours(keys.old), listener)).toBe(true)
  await expect((await ours(keys.other)).dial(listener.getMultiaddrs())).rejects.toThrow()
  await expect((await theirs(keys.other)).dial(listener.getMultiaddrs())).rejects.toThrow()
})

test('dials under the newest key, under the older one after that came to nothing, and stays with what worked', async () => {
  const dialler = await ours(keys.fresh, keys.old)
  const behind = await ours(keys.old)
  await expect(dialler.dial(behind.getMultiaddrs())).rejects.toThrow()
  const connection = await dialler.dial(behind.getMultiaddrs())
  await connection.close()
  await expect(dialler.dial(behind.getMultiaddrs())).resolves.toBeDefined()
})

test('stands around WebSockets, and around what goes through a relay from end to end', async () => {
  const psks = [keys.fresh, keys.old]
  const transports = [tcp(), await webSockets(true), relayClient()]
  const wall =
    (...all: readonly Uint8Array[]) =>
    () =>
      new PskProtector(all)
  const listen = ['/ip4/127.0.0.1/tcp/0/ws']
  const services = { identify: identify(), relay: relayServer() }
  const relay = await host(wall(...psks), { transports, services, addresses: { listen } })
  const inside = await host(wall(...psks), {
    transports,
    services: { identify: identify() },
    addresses: { listen: [ANY_RELAY] }
  })
  await inside.dial(relay.getMultiaddrs())
  await expect.poll(() => inside.getMultiaddrs().map(String), SLOWLY).toEqual([expect.stringContaining('/ws/p2p/')])
  expect(await echoes(await host(wall(keys.old), { transports, services: { identify: identify() } }), inside)).toBe(
    true
  )
  // The relay holds both keys, and the one behind it only the new one: the wall is between the two ends as well.
  const strict = await host(wall(keys.fresh), {
    transports,
    services: { identify: identify() },
    addresses: { listen: [ANY_RELAY] }
  })
  await strict.dial(relay.getMultiaddrs())
  await expect.poll(() => strict.getMultiaddrs().length, SLOWLY).toBeGreaterThan(0)
  const late = await host(wall(keys.old), { transports, services: { identify: identify() } })
  await expect(late.dial(strict.getMultiaddrs())).rejects.toThrow()
})

test('says nothing to somebody without the key, and closes the socket', async () => {
  const listener = await ours(keys.fresh, keys.old)
  const { port } = portOf(listener)
  const [quiet, talking] = [knock(port), knock(port)]
  quiet.socket.write(randomBytes(23))
  talking.socket.write(randomBytes(24))
  await talking.hear(24)
  // Whoever has said too little has heard nothing meanwhile, not even random bytes.
  expect(quiet.heard()).toBe(0)
  quiet.socket.write(randomBytes(1 + 20))
  talking.socket.write(randomBytes(20))
  await Promise.all([quiet.closed, talking.closed])
  expect([quiet.heard(), talking.heard()]).toEqual([24, 24])
})

test('gives the memory of its ciphers back: 20 connections later no more of it is taken than before', async () => {
  const [a, b] = [await ours(keys.fresh), await ours(keys.fresh)]
  const before = await reachOfMany()
  for (let i = 0; i < 20; i++) {
    const connection = await a.dial(b.getMultiaddrs())
    await connection.close()
  }
  for (const each of hosts.splice(0)) await each.stop()
  expect(await reachOfMany()).toBe(before)
})

/** A socket, and how much it has heard. */
function knock(port: number): {
  readonly socket: Socket
  readonly closed: Promise<void>
  heard(): number
  hear(bytes: number): Promise<void>
} {
  const socket = connect({ host: '127.0.0.1', port })
  let bytes = 0
  socket.on('data', chunk => (bytes += chunk.length))
  socket.on('error', () => {}) // a reset is an end like any other here
  return {
    socket,
    closed: new Promise(resolve => void socket.once('close', () => resolve())),
    heard: () => bytes,
    hear: async wanted => {
      while (bytes < wanted) await once(socket, 'data')
    }
  }
}

function portOf(listener: Libp2p): { readonly port: number } {
  const [, port = ''] = /tcp\/(\d+)/.exec(String(listener.getMultiaddrs()[0])) ?? []
  return { port: Number(port) }
}

/** How far up in its memory the cipher has to go for 400 of them: further when earlier ones were not given back. */
async function reachOfMany(): Promise<number> {
  const { default: xsalsa20 } = await import('xsalsa20')
  type Internals = { readonly _xor: { readonly _pointer: number }; finalize(): void }
  const many = Array.from(
    { length: 400 },
    () => xsalsa20(new Uint8Array(24), new Uint8Array(32)) as unknown as Internals
  )
  const reach = Math.max(...many.map(cipher => cipher._xor._pointer))
  for (const cipher of many) cipher.finalize()
  return reach
}
