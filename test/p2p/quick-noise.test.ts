import { createServer, connect } from 'node:net'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { tcp } from '@libp2p/tcp'
import { noise } from '@libp2p/noise'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { Libp2p } from '@libp2p/interface'
import { afterEach, expect, test } from 'vitest'
import { FramedStream } from '../../node/p2p/framed-stream.ts'
import { quickNoise } from '../../node/p2p/quick-noise.ts'

const hosts: Libp2p[] = []
afterEach(async () => {
  await Promise.all(hosts.splice(0).map(async host => await host.stop()))
})

const ECHO = '/test/echo/1'
const { signal } = new AbortController()

async function host(encrypter: typeof noise): Promise<Libp2p> {
  const made = await createLibp2p({
    privateKey: await generateKeyPair('Ed25519'),
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [encrypter()],
    streamMuxers: [yamux()]
  })
  hosts.push(made)
  await made.handle(ECHO, stream => {
    const io = new FramedStream(stream)
    void io.read(2 ** 20, signal).then(
      async bytes => bytes !== undefined && (await io.write(bytes, signal)),
      () => undefined
    )
  })
  return made
}

// Below and above where one implementation takes over from another, and over several messages of noise.
const SIZES = [1, 1_100, 1_200, 1_300, 65_519, 300_000]

test.each([
  ['the library', noise, quickNoise],
  ['itself, with', quickNoise, noise],
  ['itself', quickNoise, quickNoise]
])('speaks with %s', async (_, here, there) => {
  const [a, b] = [await host(here), await host(there)]
  const connection = await a.dial(b.getMultiaddrs())
  for (const size of SIZES) {
    const io = new FramedStream(await connection.newStream(ECHO))
    const bytes = Uint8Array.from({ length: size }, (_byte, i) => i % 251)
    await io.write(bytes, signal)
    expect(Uint8Array.from((await io.read(2 ** 20, signal)) ?? [])).toEqual(bytes)
    await io.end(signal)
  }
})

test('hands on nothing that was changed on the way', async () => {
  const [a, b] = [await host(quickNoise), await host(quickNoise)]
  const port = Number(
    b
      .getMultiaddrs()[0]
      ?.getComponents()
      .find(({ name }) => name === 'tcp')?.value
  )
  let isBad = false
  // A bit in the middle of whatever is large: the message it is in had come as a whole, and does not fit its tag.
  const between = createServer(inbound => {
    const outbound = connect(port, '127.0.0.1')
    inbound.on('data', data => {
      if (isBad && data.length > 1_000) data[data.length >> 1] = (data[data.length >> 1] ?? 0) ^ 1
      outbound.write(data)
    })
    outbound.pipe(inbound)
    const end = (socket: Socket) => (): void => void socket.destroy()
    for (const [one, other] of [
      [inbound, outbound],
      [outbound, inbound]
    ] as const)
      one.on('error', end(other)).on('close', end(other))
  }).listen(0, '127.0.0.1')
  await once(between, 'listening')
  try {
    const { port: way } = between.address() as AddressInfo
    const connection = await a.dial(multiaddr(`/ip4/127.0.0.1/tcp/${way}`))
    const io = new FramedStream(await connection.newStream(ECHO))
    isBad = true
    const closed = new Promise<void>(resolve => connection.addEventListener('close', () => resolve(), { once: true }))
    await io.write(new Uint8Array(100_000), signal).catch(() => undefined)
    expect(await io.read(2 ** 20, signal).catch(() => undefined)).toBeUndefined()
    await closed
  } finally {
    between.close()
  }
})
